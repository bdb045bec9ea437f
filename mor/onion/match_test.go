package onion_test

import (
	"crypto/aes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// naiveID computes the seen key from docs/spec/onion.md alone.
func naiveID(raw []byte) onion.ID {
	core := sha256.Sum256(slices.Concat(raw[:4], raw[20:]))
	return onion.ID{Core: core, Tag: onion.Tag(raw[4:20])}
}

// naiveTag computes the tag from docs/spec/onion.md alone.
func naiveTag(t testing.TB, h onion.Hint, core onion.Core) (tag onion.Tag) {
	t.Helper()
	key, err := hkdf.Expand(sha256.New, h[:], "p3do tag", 16)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	block.Encrypt(tag[:], core[:16])
	return tag
}

func TestMatchFindsTheOwner(t *testing.T) {
	rand := newStream("match")
	hops, _ := newLeg(t, rand, 1)
	p := wrap(t, rand, hops)
	if p.Tag() != naiveTag(t, hops[0].Hint, p.Core()) {
		t.Fatal("the tag is not the specified one")
	}
	hints := make([]onion.Hint, 40)
	for at := range hints {
		for i := range hints {
			hints[i] = newHint(t, rand)
		}
		if index, ok := onion.NewMatcher(hints).Match(p); ok || index != -1 {
			t.Fatalf("a stranger's packet matches %d", index)
		}
		hints[at] = hops[0].Hint
		matcher := onion.NewMatcher(hints)
		for range 2 { // no state stays behind
			if index, ok := matcher.Match(p); !ok || index != at {
				t.Fatalf("Match = %d, %v, want %d", index, ok, at)
			}
		}
		hints[at] = hops[0].Hint.Next()
		if _, ok := onion.NewMatcher(hints).Match(p); ok {
			t.Fatal("the next epoch's hint matches")
		}
	}
	if _, ok := onion.NewMatcher(nil).Match(p); ok {
		t.Error("nobody matches")
	}
	if _, ok := onion.NewMatcher(hints).Match(onion.Packet{}); ok {
		t.Error("the zero packet matches")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	rand := newStream("allocs")
	hops, _ := newLeg(t, rand, 1)
	raw := wrap(t, rand, hops).Bytes()[:]
	matcher := onion.NewMatcher([]onion.Hint{{1}, {2}, hops[0].Hint})
	allocs := testing.AllocsPerRun(100, func() {
		p, err := onion.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := matcher.Match(p); !ok {
			t.Fatal("no match")
		}
	})
	if allocs != 0 {
		t.Errorf("Parse and Match allocate %v times", allocs)
	}
}

func TestHintRatchet(t *testing.T) {
	h := newHint(t, newStream("ratchet"))
	want, err := hkdf.Expand(sha256.New, h[:], "p3do hint next", 32)
	if err != nil {
		t.Fatal(err)
	}
	if h.Next() != onion.Hint(want) {
		t.Error("the next hint is not the specified one")
	}
}

func TestEpoch(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 36, 7, 0, time.UTC)
	e := onion.EpochAt(now)
	if want := time.Date(2026, 3, 4, 5, 30, 0, 0, time.UTC); !e.Start().Equal(want) || e != onion.Epoch(want.Unix()/1800) {
		t.Errorf("%v is in epoch %d, which starts %v", now, e, e.Start())
	}
	if e.Wire() != uint16(e%65536) {
		t.Errorf("epoch %d is %d on the wire", e, e.Wire())
	}
	for _, e := range []onion.Epoch{e, 0x1_0000, 0xffff, 0, 0xffff_ffff} {
		for _, near := range []onion.Epoch{e - 1, e, e + 1} {
			if got, err := e.Near(near.Wire()); err != nil || got != near {
				t.Errorf("%d.Near(%d) = %d, %v", e, near.Wire(), got, err)
			}
		}
		for _, far := range []onion.Epoch{e - 2, e + 2, e + 0x8000} {
			if got, err := e.Near(far.Wire()); !errors.Is(err, onion.ErrEpoch) {
				t.Errorf("%d.Near(%d) = %d, %v", e, far.Wire(), got, err)
			}
		}
	}
}
