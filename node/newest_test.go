package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
)

// What is newest under a label is what reading all leaves says, however the log grew and whenever it was read.
func TestNewestIsWhatReadingSays(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	n, origin := m.nodes["a.test"].node, "x.test/p3do/log"
	rapid.Check(t, func(t *rapid.T) {
		if err := n.store.ForgetLog(context.Background(), origin, "x.test"); err != nil {
			t.Fatal(err)
		}
		log := &evilLog{}
		var leaves []keylog.Leaf
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			for range rapid.IntRange(1, 300).Draw(t, "more") {
				leaf := keylog.Leaf{
					Kind: keylog.Kind(rapid.Uint8Range(uint8(keylog.Card), uint8(keylog.Ended)).Draw(t, "kind")), Time: time.Unix(int64(len(leaves)), 0),
					Label: keylog.Label{rapid.Uint8Range(0, 5).Draw(t, "label")},
				}
				leaves = append(leaves, leaf)
				hashes, err := tlog.StoredHashes(int64(len(log.leaves)), leaf.Bytes(), log)
				if err != nil {
					t.Fatal(err)
				}
				log.hashes, log.leaves = append(log.hashes, hashes...), append(log.leaves, string(leaf.Bytes()))
			}
			copyOf(t, n, origin, log)
			if rapid.Bool().Draw(t, "read") {
				if err := n.readNewest(context.Background(), origin); err != nil {
					t.Fatal(err)
				}
			}
		}
		number := rapid.IntRange(0, len(leaves)-1).Draw(t, "number")
		var want error
		for _, later := range leaves[number+1:] {
			if later.Label == leaves[number].Label && (later.Kind == keylog.Card || later.Kind == keylog.Ended) {
				want = keyserver.ErrOldCopy
			}
		}
		head, _, err := n.store.Mirror(context.Background(), origin)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.checkNewest(context.Background(), head, int64(number), leaves[number].Label); !errors.Is(got, want) || want == nil && got != nil {
			t.Fatalf("leaf %d of %d: %v, want %v", number, len(leaves), got, want)
		}
		if got := n.checkNumber(context.Background(), witness.NewCopy(n.store, origin, nil), head, int64(number)); !errors.Is(got, want) || want == nil && got != nil {
			t.Fatalf("by its number: %v, want %v", got, want)
		}
	})
}

// copyOf puts a log into a node's copies as it is.
func copyOf(t *rapid.T, n *Node, origin string, log *evilLog) {
	root, err := tlog.TreeHash(log.size(), log)
	if err != nil {
		t.Fatal(err)
	}
	head := store.Head{Origin: origin, Size: log.size(), Root: root, Checkpoint: []byte("of a test")}
	if _, err := witness.NewCopy(n.store, origin, logTiles{log}).Follow(context.Background(), head); err != nil {
		t.Fatal(err)
	}
}

// logTiles are the tiles of a log in memory.
type logTiles struct{ *evilLog }

func (l logTiles) ReadTiles(_ context.Context, tiles []tlog.Tile) (all [][]byte, err error) {
	for _, tile := range tiles {
		var data []byte
		if tile.L >= 0 {
			data, err = tlog.ReadTileData(tile, l)
		}
		for i := 0; tile.L < 0 && i < tile.W && err == nil; i++ {
			data, err = torchwood.AppendTileEntry(data, []byte(l.leaves[int(tile.N)*torchwood.TileWidth+i]))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (logTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (logTiles) ReadEndpoint(context.Context, string) ([]byte, error) { return nil, store.ErrNotFound }
