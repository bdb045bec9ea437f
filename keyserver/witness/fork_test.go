package witness

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Of two logs that part at some leaf every two heads behind it prove that, in whichever order
// they are given; heads before it, and of one log, prove nothing.
func TestForks(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(20, "a")
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.Int64Range(0, 19).Draw(rt, "part at")
		evil := log.fork(at)
		evil.add(int(20-at), "evil")
		a, b := rapid.Int64Range(1, 20).Draw(rt, "a"), rapid.Int64Range(1, 20).Draw(rt, "b")
		larger := log
		if b > a {
			larger = evil
		}
		f, err := NewFork([2]store.Head{log.head(a), evil.head(b)}, larger)
		if parted := a > at && b > at; parted != (err == nil) {
			rt.Fatalf("parted at %d, heads of %d and %d: %v", at, a, b, err)
		}
		if err == nil {
			back := must(ParseFork(f.Marshal()))
			if back.Domain != domain("a.test") || back.Heads[0].Size != min(a, b) || back.Heads[1].Size != max(a, b) || len(f.Marshal()) > MaxFork {
				rt.Fatalf("%+v", back)
			}
		}
		if _, err := NewFork([2]store.Head{log.head(a), log.head(b)}, log); !errors.Is(err, ErrNoFork) {
			rt.Fatalf("one log is a fork of itself: %v", err)
		}
	})
}

// A fork over a change of the log's key is one: each head comes with the descriptor that names
// its key. Heads of two domains are none.
func TestForkOverTwoKeys(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	first := log.head(4)
	evil := log.fork(1)
	evil.describe(newTree("z.test", 7).key, must(pki.NewWitnessKey(bytes.NewReader(make([]byte, 32)))), 2)
	evil.add(6, "evil")
	f, err := NewFork([2]store.Head{evil.head(7), first}, evil)
	if err != nil || f.Descriptors[0].Serial != 1 || f.Descriptors[1].Serial != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	other := newTree("c.test", 3)
	other.add(4, "c")
	if _, err := NewFork([2]store.Head{first, other.head(4)}, nil); !errors.Is(err, ErrNoFork) {
		t.Errorf("two domains: %v", err)
	}
}

// A liar cannot make a fork of what the log signed: every bit of one counts, and a proof of
// another tree is none.
func TestForksCannotBeMade(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(9, "a")
	evil := log.fork(2)
	evil.add(9, "evil")
	raw := must(NewFork([2]store.Head{log.head(5), evil.head(9)}, evil)).Marshal()
	for i := 0; i < len(raw); i += 7 {
		bent := bytes.Clone(raw)
		bent[i] ^= 1 << (i % 8)
		if _, err := ParseFork(bent); !errors.Is(err, ErrNoFork) {
			t.Fatalf("byte %d of %d does not count: %v", i, len(raw), err)
		}
		if _, err := ParseFork(raw[:i]); !errors.Is(err, ErrNoFork) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	f := Fork{Domain: domain("a.test"), Descriptors: [2]pki.SignedDescriptor{log.descriptor, log.descriptor}, Heads: [2]store.Head{log.head(5), log.head(9)}}
	f.Proof, f.Root = must(tlog.ProveTree(11, 5, evil)), must(tlog.TreeHash(5, evil))
	for what, root := range map[string]tlog.Hash{"of another tree": f.Root, "of this tree": log.head(5).Root, "of none": {}} {
		f.Root = root
		if _, err := ParseFork(f.Marshal()); !errors.Is(err, ErrNoFork) {
			t.Errorf("a proof %s: %v", what, err)
		}
	}
}

func FuzzParseFork(f *testing.F) {
	log := newTree("a.test", 1)
	log.add(9, "a")
	evil := log.fork(2)
	evil.add(9, "evil")
	f.Add(must(NewFork([2]store.Head{log.head(5), evil.head(9)}, evil)).Marshal())
	f.Add(must(NewFork([2]store.Head{log.head(5), evil.head(5)}, nil)).Marshal())
	b := newCosigner("b.test", 2)
	f.Add(must(NewFork([2]store.Head{b.cosign(log.head(5), testNow), evil.head(9)}, evil)).Marshal())
	by := Reader{Speaks: func(pki.Fingerprint) bool { return true }, Witnesses: []Peer{b.peer()}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fork, err := ParseFork(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(fork.Marshal(), raw) {
			t.Fatal("it is written otherwise")
		}
		if fork.Check(by) == nil && !fork.witnessed(1, by.Witnesses) {
			t.Fatal("a head convinces that nobody cosigned")
		}
	})
}

// FuzzAddCheckpoint has a log sign what is made up, and asks for it to be cosigned with a proof that is made up:
// what the witness signs continues what it has signed, and it writes down just that.
func FuzzAddCheckpoint(f *testing.F) {
	log := newTree("a.test", 1)
	log.add(9, "a")
	w, s := newWitness(f, log)
	origin, by := keylog.Origin(log.descriptor.Domain), must(keylog.WitnessVerifier(domain("b.test"), witnessKey().Public()))
	evil := log.fork(3)
	evil.add(6, "evil")
	for _, from := range []*tree{log, evil} {
		for _, to := range []int64{0, 4, 5, 6, 9} {
			text, _, _ := strings.Cut(string(from.at(to)), "\n\n")
			var proof []byte
			if to > 5 {
				for _, h := range must(tlog.ProveTree(to, 5, from)) {
					proof = append(proof, h[:]...)
				}
			}
			f.Add(int64(5), proof, text+"\n", []byte(nil))
			f.Add(int64(0), []byte(nil), text+"\n", []byte("— b.test/p3do/witness AAAA\n"))
		}
	}
	f.Fuzz(func(t *testing.T, old int64, proof []byte, text string, more []byte) {
		if h, err := s.Witnessed(t.Context(), origin); err != nil || h.Size != 5 {
			must(0, errors.Join(s.ForgetLog(t.Context(), origin, "a.test"), s.AdvanceWitnessed(t.Context(), store.Head{}, log.head(5))))
		}
		signed, err := note.Sign(&note.Note{Text: text}, must(signer(origin, log.key)))
		if err != nil {
			return
		}
		r := Request{Old: old, Checkpoint: append(signed, more...)}
		for hash := range slices.Chunk(proof[:len(proof)-len(proof)%tlog.HashSize], tlog.HashSize) {
			r.Proof = append(r.Proof, tlog.Hash(hash))
		}
		lines, err := w.Add(t.Context(), r.Marshal())
		held, was := must(s.Witnessed(t.Context(), origin)), log.head(5)
		if err != nil {
			if len(lines) > 0 || held.Size != was.Size || held.Root != was.Root {
				t.Fatalf("refused, and %d leaves are written down: %v, %q", held.Size, err, lines)
			}
			return
		}
		c, err := torchwood.ParseCheckpoint(text)
		if err != nil || c.Origin != origin || old != was.Size || c.N < was.Size || c.N == was.Size && c.Hash != was.Root ||
			c.N > was.Size && tlog.CheckTree(r.Proof, c.N, c.Hash, was.Size, was.Root) != nil {
			t.Fatalf("cosigned from %d leaves: %q, %v", old, text, err)
		}
		if _, err := verifyLines(signed, lines, by); err != nil || held.Size != c.N || held.Root != c.Hash {
			t.Fatalf("%d leaves are written down: %v", held.Size, err)
		}
	})
}

// FuzzParseRequest reads what anybody sends.
func FuzzParseRequest(f *testing.F) {
	log := newTree("a.test", 1)
	log.add(9, "a")
	f.Add(log.request(5, 9))
	f.Add(log.request(0, 4))
	f.Add([]byte("old 1\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := ParseRequest(body); err == nil && !bytes.Equal(r.Marshal(), body) {
			t.Fatal("it is written otherwise")
		}
	})
}
