package onion

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// These tests change packets at every hop of the longest route and see that each change is refused. They re-make the
// address tag after a change where that is what an insider could do: then it is the AEAD that must refuse.

// seeded is a reader of bytes that are the same in every run.
func seeded(name string) *rand.ChaCha8 {
	var seed [32]byte
	copy(seed[:], name)
	return rand.NewChaCha8(seed)
}

type outerLeg struct {
	keys []*ContextPrivateKey
	hops []OuterHop
}

func newOuterLeg(t testing.TB, random *rand.ChaCha8, n int) (leg outerLeg) {
	t.Helper()
	for range n {
		key, err := NewContextKey(random)
		noError(t, err)
		hint, err := NewHint(random)
		noError(t, err)
		leg.keys = append(leg.keys, key)
		leg.hops = append(leg.hops, OuterHop{Key: key.Public(), Hint: hint})
	}
	return leg
}

type innerRoute struct {
	keys []*ServerPrivateKey
	hops []InnerHop
}

func newInnerRoute(t testing.TB, random *rand.ChaCha8, n int) (route innerRoute) {
	t.Helper()
	for range n {
		key, err := NewServerKey(random)
		noError(t, err)
		route.keys = append(route.keys, key)
		route.hops = append(route.hops, InnerHop{Key: key.Public()})
	}
	return route
}

// offsets are all of the first `every` and a sample of what is behind them, with the last.
func offsets(size, every, step, sample int) (all []int) {
	for at := 0; at < every; at += step {
		all = append(all, at)
	}
	for i := range sample {
		all = append(all, every+i*(size-1-every)/(sample-1))
	}
	return all
}

func TestEveryFlipOfAnOuterPacketIsRefused(t *testing.T) {
	random := seeded("outer flips")
	leg := newOuterLeg(t, random, OuterSlots)
	p, err := Wrap(random, 77, leg.hops, OuterEnd{Server: ServerID{1}, Budget: 3}, newInner(new([InnerSize]byte)))
	noError(t, err)
	for i, key := range leg.keys {
		hint := leg.hops[i].Hint
		for n, at := range offsets(Size, prefixSize+OuterSlots*OuterSlotSize, 1, 200) {
			raw := bytes.Clone(p.raw[:])
			raw[at] ^= 1 << (n % 8)
			refuseOuter(t, key, hint, raw, i, at)
			if at < headSize || at >= prefixSize {
				tag := hint.tag(coreOf((*[Size]byte)(raw)))
				copy(raw[headSize:], tag[:])
				refuseOuter(t, key, hint, raw, i, at)
			}
		}
		peel, err := PeelOuter(key, hint, p)
		noError(t, err)
		p = peel.Next
	}
}

func refuseOuter(t *testing.T, key *ContextPrivateKey, hint Hint, raw []byte, hop, at int) {
	t.Helper()
	p, err := Parse(raw)
	if at < 2 {
		if err == nil {
			t.Fatalf("hop %d, byte %d: parsed", hop, at)
		}
		return
	}
	noError(t, err)
	if peel, err := PeelOuter(key, hint, p); !errors.Is(err, ErrAuth) {
		t.Fatalf("hop %d, byte %d: %+v, %v", hop, at, peel, err)
	}
}

func TestOuterLayerNeedsKeyHintAndEpoch(t *testing.T) {
	random := seeded("outer wrong")
	leg := newOuterLeg(t, random, 2)
	p, err := Wrap(random, 77, leg.hops, OuterEnd{Drop: true}, Inner{})
	noError(t, err)
	key, hint, other := leg.keys[0], leg.hops[0].Hint, leg.hops[1].Hint
	retag := func(p Packet, hint Hint) Packet {
		raw := bytes.Clone(p.raw[:])
		tag := hint.tag(p.Core())
		copy(raw[headSize:], tag[:])
		return newPacket((*[Size]byte)(raw))
	}
	for name, peel := range map[string]func() (OuterPeel, error){
		"other key":             func() (OuterPeel, error) { return PeelOuter(leg.keys[1], hint, p) },
		"other hint":            func() (OuterPeel, error) { return PeelOuter(key, other, p) },
		"other hint, re-tagged": func() (OuterPeel, error) { return PeelOuter(key, other, retag(p, other)) },
		"next epoch's hint":     func() (OuterPeel, error) { return PeelOuter(key, hint.Next(), p) },
		"zero hint":             func() (OuterPeel, error) { return PeelOuter(key, Hint{}, p) },
	} {
		if got, err := peel(); !errors.Is(err, ErrAuth) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := PeelOuter(key, hint, retag(p, hint)); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestEveryFlipOfAnInnerHeaderIsRefused(t *testing.T) {
	random := seeded("inner flips")
	route := newInnerRoute(t, random, InnerSlots)
	in, err := BuildInner(random, route.hops, Mailbox{1}, time.Unix(1e9, 0), make([]byte, PayloadSize))
	noError(t, err)
	for i, key := range route.keys {
		for n, at := range offsets(innerHeaderSize, InnerSlotSize, 7, 200) {
			raw := *in.raw
			raw[at] ^= 1 << (n % 8)
			if peel, err := PeelInner(key, newInner(&raw)); !errors.Is(err, ErrAuth) {
				t.Fatalf("hop %d, byte %d: %+v, %v", i, at, peel.Command, err)
			}
		}
		peel, err := PeelInner(key, in)
		noError(t, err)
		in = peel.Inner
	}
}

// A flipped bit in the body passes the servers before the last, which cannot know better (a SURB's maker does not know
// the body), and is refused by the last; nothing of the payload comes out.
func TestEveryFlipOfABodyIsRefusedAtTheEnd(t *testing.T) {
	random := seeded("body flips")
	route := newInnerRoute(t, random, 3)
	built, err := BuildInner(random, route.hops, Mailbox{1}, time.Unix(1e9, 0), make([]byte, PayloadSize))
	noError(t, err)
	for changed := range route.keys {
		for n, at := range offsets(BodySize, zerosSize, 5, 12) {
			in := built
			for i, key := range route.keys {
				if i == changed {
					raw := *in.raw
					raw[innerHeaderSize+at] ^= 1 << (n % 8)
					in = newInner(&raw)
				}
				peel, err := PeelInner(key, in)
				if i < len(route.keys)-1 {
					noError(t, err)
				} else if !errors.Is(err, ErrPayload) || peel.Payload != nil {
					t.Fatalf("changed before hop %d, byte %d: %v, %d bytes of payload", changed, at, err, len(peel.Payload))
				}
				in = peel.Inner
			}
		}
	}
}

// All 32 zero bytes are looked at, and no others.
func TestZerosAreAllChecked(t *testing.T) {
	for at := range BodySize {
		body := make([]byte, BodySize)
		body[at] = 0x80
		if payload, err := openZeros(body); (err == nil) != (at >= zerosSize) || err == nil && len(payload) != PayloadSize {
			t.Fatalf("byte %d is not zero: %v", at, err)
		}
	}
}

// An authenticated command has one encoding; a hop refuses every other.
func TestMalformedCommandsAreRefused(t *testing.T) {
	outer := map[string][]byte{
		"type 0":            (outerCommand{kind: 0}).marshal(),
		"type 4":            (outerCommand{kind: 4}).marshal(),
		"flags":             with((outerCommand{kind: Relay}).marshal(), 1, 1),
		"relay reserved":    with((outerCommand{kind: Relay}).marshal(), 4+16, 1),
		"relay last":        with((outerCommand{kind: Relay}).marshal(), 47, 1),
		"exposed budget":    with((outerCommand{kind: Exposed}).marshal(), 4+32, MaxBudget+1),
		"exposed reserved":  with((outerCommand{kind: Exposed}).marshal(), 4+33, 1),
		"drop reserved":     with((outerCommand{kind: Drop}).marshal(), 4, 1),
		"drop reserved end": with((outerCommand{kind: Drop}).marshal(), 47, 0x80),
		"short":             (outerCommand{kind: Exposed}).marshal()[:36],
	}
	for name, raw := range outer {
		if c, err := parseOuterCommand(raw); !errors.Is(err, ErrCommand) || c != (outerCommand{}) {
			t.Errorf("outer %s: %+v, %v", name, c, err)
		}
	}
	inner := map[string][]byte{
		"type 0":          (innerCommand{kind: 0}).marshal(),
		"type 4":          (innerCommand{kind: 4}).marshal(),
		"flags":           with((innerCommand{kind: Deliver}).marshal(), 1, 0x40),
		"reserved":        with((innerCommand{kind: Reply}).marshal(), 56, 1),
		"reserved last":   with((innerCommand{kind: Reply}).marshal(), 63, 1),
		"forward surb id": (innerCommand{kind: Forward, surb: SURBID{15: 1}}).marshal(),
		"deliver surb id": (innerCommand{kind: Deliver, surb: SURBID{1}}).marshal(),
		"short":           (innerCommand{kind: Reply}).marshal()[:55],
	}
	for name, raw := range inner {
		if c, err := parseInnerCommand(raw); !errors.Is(err, ErrCommand) || c != (innerCommand{}) {
			t.Errorf("inner %s: %+v, %v", name, c, err)
		}
	}
}

// The refusal reaches the caller of a peel, too, when somebody who holds all keys builds such a command.
func TestMalformedCommandsAreRefusedInAPeel(t *testing.T) {
	random := seeded("commands")
	leg := newOuterLeg(t, random, 1)
	layers, err := Scheme{}.outerLayers(random, leg.hops)
	noError(t, err)
	raw := &[Size]byte{0: Version, 1: Suite}
	bad := func(int, []byte) []byte { return (outerCommand{kind: 9}).marshal() }
	noError(t, outerTier.build(random, raw[:headSize], layers, make([]byte, InnerSize), raw[prefixSize:], bad))
	tag := leg.hops[0].Hint.tag(coreOf(raw))
	copy(raw[headSize:], tag[:])
	if _, err := PeelOuter(leg.keys[0], leg.hops[0].Hint, newPacket(raw)); !errors.Is(err, ErrCommand) {
		t.Errorf("outer: %v", err)
	}

	route := newInnerRoute(t, random, 1)
	header := new([InnerSize]byte)
	_, err = Scheme{}.buildHeader(random, route.hops, innerCommand{kind: 9}, time.Unix(1e9, 0), header[:innerHeaderSize])
	noError(t, err)
	if _, err := PeelInner(route.keys[0], newInner(header)); !errors.Is(err, ErrCommand) {
		t.Errorf("inner: %v", err)
	}
}

func with(raw []byte, at int, b byte) []byte {
	raw[at] |= b
	return raw
}
