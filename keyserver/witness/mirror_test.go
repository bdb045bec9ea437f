package witness

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
)

// A copy grows with the log, reads little again, and serves torchwood's own client every leaf and
// every proof when the log is gone.
func TestCopy(t *testing.T) {
	log := newTree("a.test", 1)
	w, s := newWitness(t, log)
	c := NewCopy(s, "a.test/p3do/log", log)
	for _, n := range []int{0, 1, 2, 254, 1, 300, 0, 200} {
		log.add(n, "a")
		before := log.reads
		if _, err := c.Follow(t.Context(), log.head(log.size)); err != nil {
			t.Fatalf("%d leaves: %v", log.size, err)
		}
		if read := log.reads - before; read > 10 {
			t.Errorf("%d tiles were read for %d leaves more", read, n)
		}
	}
	server := httptest.NewServer(Door{Witness: w, Store: s})
	t.Cleanup(server.Close)
	fetcher := must(torchwood.NewTileFetcher(server.URL + Mirror(domain("a.test"))))
	verifier := must(LogVerifier(domain("a.test"), log.key.Public()))
	signed := must(fetcher.ReadEndpoint(t.Context(), "checkpoint"))
	head, _, err := torchwood.VerifyCheckpoint(signed, must(torchwood.ParsePolicy([]byte("log "+must(keylog.LogVKey(domain("a.test"), log.key.Public()))+"\nquorum none\n"))))
	if err != nil || head.N != log.size || verifier.Name() != head.Origin {
		t.Fatalf("%+v, %v", head, err)
	}
	client := must(torchwood.NewClient(fetcher))
	leaves := 0
	for i, leaf := range client.AllEntries(t.Context(), head.Tree, 0) {
		if !bytes.Equal(leaf, log.leaves[i]) {
			t.Fatalf("leaf %d is another", i)
		}
		leaves++
	}
	if client.Err() != nil || leaves != len(log.leaves) {
		t.Fatalf("%d leaves: %v", leaves, client.Err())
	}
	older := log.head(300) // of which all tiles can be had, too
	if leaf, _, err := client.Entry(t.Context(), treeOf(older), 299); err != nil || !bytes.Equal(leaf, log.leaves[299]) {
		t.Errorf("of an older tree: %v", err)
	}
	for _, path := range []string{"", "a.test", "a.test/", "b.test/checkpoint", "a.test/tile/0/009", "a.test/tile/0/003.p/255", "a.test/tile/0/0", "A.test/checkpoint", "a.test/../a.test/checkpoint"} {
		if resp := must(http.Get(server.URL + mirrors + path)); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// A copy does not follow another tree, and says by what it can be proven that this is one; what
// it has stays. A source that sends rubbish changes nothing.
func TestCopyFollowsNoFork(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(300, "a")
	evil := log.fork(260)
	log.add(10, "a")
	_, s := newWitness(t, log)
	held := log.head(310)
	must(NewCopy(s, held.Origin, log).Follow(t.Context(), held))
	evil.add(300, "evil")
	for _, size := range []int64{310, 311, 560} {
		tree, err := NewCopy(s, held.Origin, evil).Follow(t.Context(), evil.head(size))
		if !errors.Is(err, ErrOtherTree) {
			t.Fatalf("%d leaves of another tree: %v", size, err)
		}
		if _, err := NewFork([2]store.Head{held, evil.head(size)}, tree); err != nil {
			t.Errorf("%d leaves of another tree prove nothing: %v", size, err)
		}
	}
	log.add(5, "a")
	if _, err := NewCopy(s, held.Origin, evil).Follow(t.Context(), log.head(315)); err == nil || errors.Is(err, ErrOtherTree) {
		t.Errorf("by tiles of another tree: %v", err)
	}
	must(NewCopy(s, held.Origin, log).Follow(t.Context(), log.head(315)))
	if h, _, err := s.Mirror(t.Context(), held.Origin); err != nil || h.Size != 315 {
		t.Errorf("%d leaves: %v", h.Size, err)
	}
}

// What has no room is not kept, and the copy stays where it was.
func TestFullMirror(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(256, "a")
	_, s := newWitness(t, log)
	c := NewCopy(s, "a.test/p3do/log", log)
	c.room = 256*(tlog.HashSize+2+5) + 256
	must(c.Follow(t.Context(), log.head(256)))
	log.add(256, "a")
	if _, err := c.Follow(t.Context(), log.head(512)); !errors.Is(err, store.ErrFull) {
		t.Errorf("over the bound: %v", err)
	}
	if h, bytes, err := s.Mirror(t.Context(), "a.test/p3do/log"); err != nil || h.Size != 256 || bytes > c.room {
		t.Errorf("%d leaves in %d bytes: %v", h.Size, bytes, err)
	}
	tile := store.Tile{Level: -1, Number: 0, Width: 1, Data: make([]byte, store.MaxTile+1)}
	if err := s.PutTiles(t.Context(), "a.test/p3do/log", []store.Tile{tile}, MaxMirror); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a tile too long: %v", err)
	}
}

// Signatures are gathered from all at once: one is slow, one lies, one is behind, one ahead.
func TestGather(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(20, "a")
	t.Run("merge", func(t *testing.T) {
		w, s := newWitness(t, log)
		must(w.Add(t.Context(), log.request(0, 7)))
		by := must(keylog.WitnessVerifier(domain("b.test"), witnessKey().Public()))
		merged := log.at(20)
		gather := func(to int64, old int64) (int64, error) {
			olds, errs := Gather(t.Context(), log.head(to), func(old int64) (tlog.TreeProof, error) { return tlog.ProveTree(to, old, log) },
				[]Peer{{Verifier: by, Old: old, Ask: func(ctx context.Context, r Request) ([]byte, error) { return w.Add(ctx, r.Marshal()) }}},
				func(sig note.Signature) { merged = must(Merge(merged, sig)) })
			return olds[0], errs[0]
		}
		if old, err := gather(20, 0); err != nil || old != 20 {
			t.Fatalf("%d, %v", old, err)
		}
		if old, err := gather(20, 20); err != nil || old != 20 || strings.Count(string(merged), "— b.test/p3do/witness ") != 1 {
			t.Fatalf("%d, %v\n%s", old, err, merged)
		}
		if n, err := note.Open(merged, note.VerifierList(by, log.verifier())); err != nil || len(n.Sigs) != 2 {
			t.Errorf("%v\n%s", err, merged)
		}
		var conflict *ConflictError
		if old, err := gather(12, 0); old != 20 || !errors.As(err, &conflict) {
			t.Errorf("behind: %d, %v", old, err)
		}
		if h := must(s.Witnessed(t.Context(), "a.test/p3do/log")); h.Size != 20 {
			t.Errorf("%d leaves", h.Size)
		}
	})
	t.Run("liar", func(t *testing.T) {
		by := must(keylog.WitnessVerifier(domain("b.test"), witnessKey().Public()))
		for what, answer := range map[string]string{"nothing": "", "a line": "— b.test/p3do/witness AAAA\n", "text": "hello\n", "the log's": string(log.at(20))[strings.Index(string(log.at(20)), "\n\n")+2:]} {
			_, errs := Gather(t.Context(), log.head(20), nil, []Peer{{Verifier: by, Ask: func(context.Context, Request) ([]byte, error) { return []byte(answer), nil }}},
				func(note.Signature) { t.Errorf("%s was taken", what) })
			if errs[0] == nil {
				t.Errorf("%s is a signature", what)
			}
		}
	})
}
