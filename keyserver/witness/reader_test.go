package witness

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A byWitness cosigns at times of a test's own.
type byWitness struct {
	name string
	key  pki.WitnessKey
}

func newCosigner(name string, seed byte) byWitness {
	return byWitness{name, must(pki.NewWitnessKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 32))))}
}

func (w byWitness) peer() Peer {
	return Peer{Verifier: must(keylog.WitnessVerifier(domain(w.name), w.key.Public()))}
}

// cosign adds a signature of that time to a head, as C2SP tlog-cosignature has it.
func (w byWitness) cosign(h store.Head, at time.Time) store.Head {
	text, _, _ := bytes.Cut(h.Checkpoint, []byte("\n\n"))
	message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at.Unix(), text)
	v := w.peer().Verifier
	sig := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, v.KeyHash()), uint64(at.Unix()))
	sig = append(sig, must(w.key.Signer().Sign(nil, message, crypto.Hash(0)))...)
	h.Checkpoint = fmt.Appendf(bytes.Clone(h.Checkpoint), "— %s %s\n", v.Name(), base64.StdEncoding.EncodeToString(sig))
	return h
}

// Heads by the log key in office stand by themselves. One by a key that is not counts if a
// witness of the reader's own cosigned it while its descriptor was valid; whose cosignature it is
// not, or when it was given later, does not matter how good the other head is.
func TestWhomForksConvince(t *testing.T) {
	old := newTree("a.test", 1)
	old.add(4, "a")
	now := old.fork(1)
	now.describe(newTree("z.test", 7).key, must(pki.NewWitnessKey(bytes.NewReader(make([]byte, 32)))), 2)
	now.add(6, "evil")
	b, c := newCosigner("b.test", 2), newCosigner("c.test", 3)
	first, second, during := old.head(4), now.head(7), testNow.Add(time.Hour)
	after := testNow.Add(pki.DescriptorLifetime + time.Second)
	bent := b.cosign(first, during)
	bent.Checkpoint[len(bent.Checkpoint)-5] ^= 1
	office := now.descriptor.Log
	other := old.fork(1)
	other.add(3, "other")
	for what, test := range map[string]struct {
		heads [2]store.Head
		log   pki.LogPublic
		want  error
	}{
		"both by the key in office":           {[2]store.Head{now.head(7), evilOf(now).head(7)}, office, nil},
		"both by the key that was in office":  {[2]store.Head{other.head(4), first}, office, ErrUnwitnessed},
		"by a former key, told by nobody":     {[2]store.Head{second, first}, office, ErrUnwitnessed},
		"cosigned by a peer in time":          {[2]store.Head{second, b.cosign(first, during)}, office, nil},
		"by a peer and a stranger":            {[2]store.Head{second, b.cosign(c.cosign(first, during), during)}, office, nil},
		"by a stranger":                       {[2]store.Head{second, c.cosign(first, during)}, office, ErrUnwitnessed},
		"when its descriptor had ended":       {[2]store.Head{second, b.cosign(first, after)}, office, ErrUnwitnessed},
		"before its descriptor":               {[2]store.Head{second, b.cosign(first, testNow.Add(-time.Hour))}, office, ErrUnwitnessed},
		"a cosignature that is bent":          {[2]store.Head{second, bent}, office, ErrUnwitnessed},
		"only the other one is cosigned":      {[2]store.Head{b.cosign(second, during), first}, office, ErrUnwitnessed},
		"of two former keys, both cosigned":   {[2]store.Head{b.cosign(second, during), b.cosign(first, during)}, pki.LogPublic{}, nil},
		"of two former keys, one is cosigned": {[2]store.Head{second, b.cosign(first, during)}, pki.LogPublic{}, ErrUnwitnessed},
	} {
		var tree tlog.HashReader = now
		f, err := NewFork(test.heads, tree)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		f = must(ParseFork(f.Marshal()))
		by := Reader{Speaks: func(key pki.Fingerprint) bool { return key == old.descriptor.CA.Fingerprint() }, Log: test.log, Witnesses: []Peer{b.peer()}}
		if err := f.Check(by); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		by.Speaks = func(pki.Fingerprint) bool { return false }
		if err := f.Check(by); !errors.Is(err, ErrAuthority) {
			t.Errorf("%s, by another authority: %v", what, err)
		}
	}
}

func evilOf(t *tree) *tree {
	other := t.fork(2)
	other.add(5, "twice evil")
	return other
}

// What is under a head that travels is the log's signature and then others, so many at most.
func TestHeadsOfForksAreBounded(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	evil := log.fork(1)
	evil.add(3, "evil")
	h := log.head(4)
	cosigned := newCosigner("b.test", 2).cosign(h, testNow)
	text, lines, _ := bytes.Cut(cosigned.Checkpoint, []byte("\n\n"))
	own, line, _ := bytes.Cut(lines, []byte("\n"))
	swapped := bytes.Join([][]byte{text, nil, append(bytes.Clone(line), own...), nil}, []byte("\n"))
	if _, err := note.Open(swapped, note.VerifierList(log.verifier())); err != nil {
		t.Fatal(err)
	}
	many := bytes.Clone(h.Checkpoint)
	for i := range keylog.MaxCosignatures + 1 {
		many = append(many, newCosigner("b.test", byte(i+1)).cosign(h, testNow).Checkpoint[len(h.Checkpoint):]...)
	}
	f := must(NewFork([2]store.Head{h, evil.head(4)}, nil))
	for what, checkpoint := range map[string][]byte{"not first": swapped, "too many": many} {
		f.Heads[0].Checkpoint = checkpoint
		if _, err := ParseFork(f.Marshal()); !errors.Is(err, ErrNoFork) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f.Heads[0].Checkpoint = many[:bytes.LastIndexByte(many[:len(many)-1], '\n')+1]
	if _, err := ParseFork(f.Marshal()); err != nil {
		t.Error(err)
	}
}

// A copy keeps no more cosignatures than evidence of a fork may carry, those of the reader's own peers first: so
// whatever is copied can be shown.
func TestCopiesOfManyCosignaturesAreShown(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	evil := log.fork(1)
	evil.add(3, "evil")
	head := log.head(4)
	shown, held := head, head
	var strangers []Peer
	own := newCosigner("own.test", 99)
	for i := range 2 * keylog.MaxCosignatures {
		by := newCosigner(fmt.Sprintf("w%d.test", i), byte(i+1))
		strangers = append(strangers, by.peer())
		if i%2 == 0 {
			shown = by.cosign(shown, testNow)
		} else {
			held = by.cosign(held, testNow)
		}
	}
	held = own.cosign(held, testNow)
	kept := head
	kept.Checkpoint = must(Cosigned(shown.Checkpoint, held.Checkpoint, head, append([]Peer{own.peer()}, strangers...)))
	if lines := bytes.Count(kept.Checkpoint[len(head.Checkpoint):], []byte("\n")); lines != keylog.MaxCosignatures || len(kept.Checkpoint) > MaxCheckpoint {
		t.Errorf("%d cosignatures are kept, %d bytes", lines, len(kept.Checkpoint))
	}
	f, err := NewFork([2]store.Head{kept, evil.head(4)}, nil)
	if err != nil || !f.witnessed(0, []Peer{own.peer()}) {
		t.Errorf("%v, without the cosignature of an own peer", err)
	}
}

// A head under which there is more than a fork has room for is evidence all the same: what convinces whoever
// makes it stays, wherever it stood, and one that is bent, or too late, keeps no place from it.
func TestForkOfManyCosignatures(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	evil := log.fork(1)
	evil.add(3, "evil")
	b, c, late := newCosigner("b.test", 101), newCosigner("c.test", 102), newCosigner("e.test", 103)
	during, after := testNow.Add(time.Hour), testNow.Add(pki.DescriptorLifetime+time.Second)
	for what, strangers := range map[string]string{"too many": "d.test", "too long": strings.Repeat(strings.Repeat("d", 60)+".", 4) + "test"} {
		first := log.head(4)
		for i := range 2 * keylog.MaxCosignatures {
			first = newCosigner(strangers, byte(i+1)).cosign(first, during)
		}
		first = late.cosign(b.cosign(c.cosign(first, during), during), after)
		if what == "too many" {
			at := bytes.Index(first.Checkpoint, []byte("— c.test/p3do/witness ")) + 80
			first.Checkpoint[at] = first.Checkpoint[at] ^ 1
		}
		if len(first.Checkpoint) > MaxCheckpoint { // as none is that was kept
			first.Checkpoint = must(Merge(log.at(4), must(unverified(first.Checkpoint)).UnverifiedSigs[:36]...))
			first = b.cosign(first, during)
		}
		f, err := NewFork([2]store.Head{first, evil.head(4)}, nil, late.peer(), c.peer(), b.peer())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		by := Reader{Speaks: func(pki.Fingerprint) bool { return true }, Witnesses: []Peer{b.peer()}}
		if i := slices.IndexFunc(f.Heads[:], func(h store.Head) bool { return h.Root == first.Root }); !f.witnessed(i, by.Witnesses) {
			t.Errorf("%s: the peer's cosignature is gone:\n%s", what, f.Heads[i].Checkpoint)
		}
		if len(f.Marshal()) > MaxFork {
			t.Errorf("%s: %d bytes", what, len(f.Marshal()))
		}
	}
}

// What is kept under a copy is never longer than what is read: who comes first stays.
func TestCosignaturesHaveABound(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	text, _, _ := strings.Cut(string(log.at(4)), "\n\n")
	h := must(HeadBy(log.descriptor, log.sign(text+"\n"+strings.Repeat("x", pki.MaxHeadSize/2)+"\n"))) // which a log may say
	var held, shown store.Head
	held, shown = h, h
	var by []Peer
	for i := range 2 * keylog.MaxCosignatures {
		name := fmt.Sprintf("%s%02d.test", strings.Repeat(strings.Repeat("d", 60)+".", 4), i)
		one, other := newCosigner(name, 1), newCosigner("x"+name, 2)
		held, shown = one.cosign(held, testNow), other.cosign(shown, testNow)
		by = append(by, other.peer(), one.peer())
	}
	last := newCosigner("b.test", 3)
	held = last.cosign(held, testNow)
	got := must(Cosigned(shown.Checkpoint, held.Checkpoint, h, append([]Peer{last.peer()}, by...)))
	if n := bytes.Count(got, []byte("\n— ")); len(got) > MaxCheckpoint || len(got) < MaxCheckpoint-1024 || n < 20 {
		t.Errorf("%d signatures in %d bytes", n, len(got))
	}
	if _, err := note.Open(got, note.VerifierList(last.peer().Verifier)); err != nil {
		t.Errorf("whoever comes first is left out: %v", err)
	}
	if _, _, err := OpenHead(got, log.verifier()); err != nil {
		t.Error(err)
	}
	more := must(Merge(got, must(unverified(last.cosign(h, testNow.Add(time.Hour)).Checkpoint)).UnverifiedSigs[1]))
	if len(more) != len(got) {
		t.Errorf("a later cosignature does not take the place of the earlier: %d bytes, %d", len(more), len(got))
	}
}
