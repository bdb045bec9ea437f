package witness

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

var testNow = time.Unix(1_795_000_000, 0).UTC()

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func domain(text string) pki.Domain { return must(pki.ParseDomain(text)) }

// A tree is a log of a domain that signs whatever a test wants, and keeps all hashes.
type tree struct {
	authority  *pki.Authority
	key        pki.LogKey
	descriptor pki.SignedDescriptor
	hashes     []tlog.Hash
	leaves     [][]byte
	size       int64
	reads      int // tiles
}

func newTree(text string, seed byte) *tree {
	source := rand.NewChaCha8(sha256.Sum256([]byte{seed}))
	t := &tree{authority: must(pki.NewAuthority(source, domain(text), testNow)), key: must(pki.NewLogKey(source))}
	t.describe(t.key, must(pki.NewWitnessKey(source)), 1)
	return t
}

func (t *tree) describe(log pki.LogKey, witness pki.WitnessKey, serial uint64) {
	t.key = log
	t.descriptor = must(t.authority.SignDescriptor(pki.Descriptor{
		Serial: serial, Issued: testNow, Expires: testNow.Add(pki.DescriptorLifetime),
		ServerKeys: []pki.ServerKey{{Period: pki.PeriodAt(testNow)}},
		Links:      []string{"127.0.0.1:1"}, KeyServers: []string{"127.0.0.1:2"},
		Log: log.Public(), Witness: witness.Public(), Labels: [32]byte{1},
	}))
}

// add appends n leaves that tell their way.
func (t *tree) add(n int, way string) {
	for range n {
		leaf := fmt.Appendf(nil, "%s %d", way, t.size)
		t.hashes = append(t.hashes, must(tlog.StoredHashes(t.size, leaf, t))...)
		t.leaves = append(t.leaves, leaf)
		t.size++
	}
}

// fork is another log by the same key that begins as this one does.
func (t *tree) fork(at int64) *tree {
	other := *t
	other.leaves = append([][]byte(nil), t.leaves[:at]...)
	other.hashes, other.size = append([]tlog.Hash(nil), t.hashes[:tlog.StoredHashCount(at)]...), at
	return &other
}

func (t *tree) ReadHashes(indexes []int64) (hashes []tlog.Hash, err error) {
	for _, i := range indexes {
		hashes = append(hashes, t.hashes[i])
	}
	return hashes, nil
}

// ReadTiles implements torchwood.TileReader.
func (t *tree) ReadTiles(_ context.Context, tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		t.reads++
		if tile.L >= 0 {
			data = append(data, must(tlog.ReadTileData(tile, t)))
			continue
		}
		var bundle []byte
		for i := range int64(tile.W) {
			bundle = must(torchwood.AppendTileEntry(bundle, t.leaves[tile.N*torchwood.TileWidth+i]))
		}
		data = append(data, bundle)
	}
	return data, nil
}

func (t *tree) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tree) ReadEndpoint(context.Context, string) ([]byte, error) { return nil, store.ErrNotFound }

// at signs the head of so many leaves.
func (t *tree) at(size int64) []byte {
	text := fmt.Sprintf("%s\n%d\n%s\n", keylog.Origin(t.descriptor.Domain), size, must(tlog.TreeHash(size, t)))
	return t.sign(text)
}

func (t *tree) sign(text string) []byte {
	return must(note.Sign(&note.Note{Text: text}, must(signer(keylog.Origin(t.descriptor.Domain), t.key))))
}

func (t *tree) head(size int64) store.Head {
	return must(HeadBy(t.descriptor, t.at(size)))
}

func (t *tree) request(from, to int64) []byte {
	r := Request{Old: from, Checkpoint: t.at(to)}
	if 0 < from && from < to {
		r.Proof = must(tlog.ProveTree(to, from, t))
	}
	return r.Marshal()
}

func (t *tree) verifier() note.Verifier {
	return must(LogVerifier(t.descriptor.Domain, t.key.Public()))
}

// newWitness is that of b.test, for the logs of some trees.
func newWitness(tb testing.TB, trees ...*tree) (*Witness, *store.Store) {
	tb.Helper()
	s := must(store.Open(tb.Context(), filepath.Join(tb.TempDir(), "node.db")))
	tb.Cleanup(func() { s.Close() })
	return witnessOn(s, trees...), s
}

func witnessKey() pki.WitnessKey {
	return must(pki.NewWitnessKey(rand.NewChaCha8(sha256.Sum256([]byte("b.test")))))
}

func witnessOn(s *store.Store, trees ...*tree) *Witness {
	return New(Config{
		Store: s, Signer: must(Signer(domain("b.test"), witnessKey())),
		Log: func(_ context.Context, origin string) (d pki.SignedDescriptor, ok bool) {
			for _, t := range trees {
				if origin == keylog.Origin(t.descriptor.Domain) {
					return t.descriptor, true
				}
			}
			return d, false
		},
	})
}

// signer signs notes as the log does.
func signer(name string, key pki.LogKey) (note.Signer, error) {
	vkey, err := note.NewEd25519VerifierKey(name, key.Public().Bytes())
	if err != nil {
		return nil, err
	}
	hash := strings.Split(vkey, "+")[1]
	return note.NewSigner("PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
}
