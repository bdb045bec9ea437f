package onion_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"pgregory.net/rapid"
)

// reparse sends a packet over a wire: only its bytes arrive.
func reparse(t testing.TB, p onion.Packet) onion.Packet {
	t.Helper()
	got, err := onion.Parse(bytes.Clone(p.Bytes()[:]))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != p.ID() {
		t.Fatalf("the ID of a built packet is not that of its bytes")
	}
	return got
}

func TestWrapAndPeelEveryHopCount(t *testing.T) {
	for n := 1; n <= onion.OuterSlots; n++ {
		rand := newStream("outer")
		hops, keys := newLeg(t, rand, n)
		in, err := onion.ParseInner(rand.bytes(onion.InnerSize))
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range []onion.OuterEnd{testEnd, {Drop: true}} {
			p, err := onion.Wrap(rand, testEpoch, hops, end, in)
			if err != nil {
				t.Fatal(err)
			}
			replays := map[onion.ReplayID]bool{}
			for i, key := range keys {
				p = reparse(t, p)
				if p.WireEpoch() != testEpoch.Wire() {
					t.Errorf("hop %d of %d: epoch %#x", i, n, p.WireEpoch())
				}
				peel, err := onion.PeelOuter(key, hops[i].Hint, p)
				if err != nil {
					t.Fatalf("hop %d of %d: %v", i, n, err)
				}
				if want := time.Duration(i+1) * time.Second; peel.Delay != want {
					t.Errorf("hop %d of %d: delay %v, want %v", i, n, peel.Delay, want)
				}
				replays[peel.Replay] = true
				checkOuterPeel(t, peel, i == n-1, end, in)
				p = peel.Next
			}
			if len(replays) != n {
				t.Errorf("%d hops, %d replay ids", n, len(replays))
			}
		}
	}
}

// checkOuterPeel sees that a peel has the fields of its command, and no others.
func checkOuterPeel(t *testing.T, peel onion.OuterPeel, last bool, end onion.OuterEnd, in onion.Inner) {
	t.Helper()
	want := onion.Relay
	switch {
	case last && end.Drop:
		want = onion.Drop
	case last:
		want = onion.Exposed
	}
	if peel.Command != want || peel.Next.IsZero() == (want == onion.Relay) || peel.Inner.IsZero() == (want == onion.Exposed) {
		t.Fatalf("command %d, want %d; next %v, inner %v", peel.Command, want, !peel.Next.IsZero(), !peel.Inner.IsZero())
	}
	if want == onion.Exposed {
		if peel.Server != end.Server || peel.Budget != end.Budget || peel.Inner.ID() != in.ID() || *peel.Inner.Bytes() != *in.Bytes() {
			t.Error("what was exposed is not what was wrapped")
		}
	} else if peel.Server != (onion.ServerID{}) || peel.Budget != 0 {
		t.Errorf("command %d with server %v, budget %d", peel.Command, peel.Server, peel.Budget)
	}
}

func TestWrapProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rand := newStream(rapid.String().Draw(t, "seed"))
		n := rapid.IntRange(1, onion.OuterSlots).Draw(t, "hops")
		hops := make([]onion.OuterHop, n)
		keys := make([]*onion.ContextPrivateKey, n)
		for i := range hops {
			keys[i], _ = onion.NewContextKey(rand)
			hint, _ := onion.NewHint(rand)
			delay := time.Duration(rapid.Uint16().Draw(t, "delay")) * time.Millisecond
			hops[i] = onion.OuterHop{Key: keys[i].Public(), Hint: hint, Delay: delay}
		}
		epoch := onion.Epoch(rapid.Uint32().Draw(t, "epoch"))
		in, _ := onion.ParseInner(rand.bytes(onion.InnerSize))
		end := onion.OuterEnd{Server: onion.ServerID(rand.bytes(32)), Budget: rapid.Uint8Range(0, 3).Draw(t, "budget")}
		p, err := onion.Wrap(rand, epoch, hops, end, in)
		if err != nil {
			t.Fatal(err)
		}
		for i := range keys {
			peel, err := onion.PeelOuter(keys[i], hops[i].Hint, p)
			if err != nil || peel.Delay != hops[i].Delay || p.WireEpoch() != uint16(epoch) {
				t.Fatalf("hop %d: %v, delay %v, epoch %d", i, err, peel.Delay, p.WireEpoch())
			}
			if i == n-1 && (peel.Server != end.Server || peel.Budget != end.Budget || peel.Inner.ID() != in.ID()) {
				t.Fatal("what was exposed is not what was wrapped")
			}
			p = peel.Next
		}
	})
}

func TestWrapIsDeterministic(t *testing.T) {
	hops, _ := newLeg(t, newStream("keys"), 3)
	one, two, other := wrap(t, newStream("a"), hops), wrap(t, newStream("a"), hops), wrap(t, newStream("b"), hops)
	if *one.Bytes() != *two.Bytes() {
		t.Error("equal streams, different packets")
	}
	if one.ID() == other.ID() {
		t.Error("different streams, equal packets")
	}
}

func TestWrapRefuses(t *testing.T) {
	rand := newStream("refuse")
	five, _ := newLeg(t, rand, onion.OuterSlots+1)
	in, _ := onion.ParseInner(rand.bytes(onion.InnerSize))
	with := func(change func(*onion.OuterHop)) []onion.OuterHop {
		hop := five[0]
		change(&hop)
		return []onion.OuterHop{hop}
	}
	for name, c := range map[string]struct {
		hops []onion.OuterHop
		end  onion.OuterEnd
		in   onion.Inner
		want error
	}{
		"no hops":        {nil, testEnd, in, onion.ErrRoute},
		"five hops":      {five, testEnd, in, onion.ErrRoute},
		"long delay":     {with(func(h *onion.OuterHop) { h.Delay = onion.MaxDelay + time.Millisecond }), testEnd, in, onion.ErrRoute},
		"negative delay": {with(func(h *onion.OuterHop) { h.Delay = -1 }), testEnd, in, onion.ErrRoute},
		"no key":         {with(func(h *onion.OuterHop) { h.Key = onion.ContextKey{} }), testEnd, in, onion.ErrLowOrder},
		"budget":         {five[:1], onion.OuterEnd{Budget: onion.MaxBudget + 1}, in, onion.ErrRoute},
		"no inner":       {five[:1], testEnd, onion.Inner{}, onion.ErrLength},
	} {
		if p, err := onion.Wrap(rand, testEpoch, c.hops, c.end, c.in); !errors.Is(err, c.want) || !p.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, n := range []int64{0, 31, 3*32 + 95} {
		if p, err := onion.Wrap(io.LimitReader(newStream("short"), n), testEpoch, five[:3], testEnd, in); err == nil || !p.IsZero() {
			t.Errorf("wrapped with %d bytes of randomness", n)
		}
	}
}

func TestParse(t *testing.T) {
	rand := newStream("parse")
	good := rand.bytes(onion.Size)
	good[0], good[1] = onion.Version, onion.Suite
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"random":      {good, nil},
		"empty":       {nil, onion.ErrLength},
		"short":       {good[:onion.Size-1], onion.ErrLength},
		"long":        {append(bytes.Clone(good), 0), onion.ErrLength},
		"version 0":   {append([]byte{0}, good[1:]...), onion.ErrVersion},
		"version 2":   {append([]byte{2}, good[1:]...), onion.ErrVersion},
		"suite 0":     {append([]byte{1, 0}, good[2:]...), onion.ErrSuite},
		"suite 2":     {append([]byte{1, 2}, good[2:]...), onion.ErrSuite},
		"all of ones": {bytes.Repeat([]byte{1}, onion.Size), nil},
	} {
		before := bytes.Clone(c.raw)
		p, err := onion.Parse(c.raw)
		if !errors.Is(err, c.want) || p.IsZero() != (c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if !bytes.Equal(before, c.raw) {
			t.Errorf("%s: Parse left other bytes behind", name)
		}
		if err == nil && p.ID() != naiveID(c.raw) {
			t.Errorf("%s: wrong ID", name)
		}
	}
	if (onion.Packet{}).WireEpoch() != 0 || (onion.Packet{}).Bytes() != nil {
		t.Error("the zero packet has contents")
	}
}

func TestPeelRefusesZeroValues(t *testing.T) {
	_, contexts := newLeg(t, newStream("zero"), 1)
	_, servers := newRoute(t, newStream("zero"), 1)
	if _, err := onion.PeelOuter(contexts[0], onion.Hint{}, onion.Packet{}); !errors.Is(err, onion.ErrLength) {
		t.Errorf("outer: %v", err)
	}
	if _, err := onion.PeelInner(servers[0], onion.Inner{}); !errors.Is(err, onion.ErrLength) {
		t.Errorf("inner: %v", err)
	}
}
