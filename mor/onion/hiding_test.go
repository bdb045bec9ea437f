package onion

import (
	"bytes"
	"testing"
	"time"
)

// What a hop sees tells it neither how many hops there were before it nor how many come after it, the last excepted.
// The sizes are the same by type. What could tell are bytes that are not random: slots that nobody uses, and what
// the hops before have appended.

// openOuter is the whole plaintext that hop i of a leg finds: command, rest, and the slot that it appends.
func openOuter(t *testing.T, leg outerLeg, i int, p Packet) []byte {
	t.Helper()
	stack := p.raw[prefixSize:]
	export, err := leg.keys[i].decapsulate(stack[:x25519Size])
	noError(t, err)
	l := newLayer(nil, leg.hops[i].Hint.layerSecret(export))
	opened, err := outerTier.open(&l, p.raw[:headSize], stack, 0)
	noError(t, err)
	return opened
}

func TestOuterStacksLookAlikeAtEveryHop(t *testing.T) {
	random := seeded("hiding")
	for n := 1; n <= OuterSlots; n++ {
		leg := newOuterLeg(t, random, n)
		in := new([InnerSize]byte)
		_, _ = random.Read(in[:])
		p, err := Wrap(random, 5, leg.hops, OuterEnd{Server: ServerID{1}}, newInner(in))
		noError(t, err)
		for i := range n {
			if !bytes.Equal(p.raw[:headSize], []byte{Version, Suite, 0, 5}) {
				t.Errorf("hop %d of %d: head %x", i, n, p.raw[:headSize])
			}
			looksRandom(t, p.raw[headSize:])
			opened := openOuter(t, leg, i, p)
			looksRandom(t, opened[OuterCommandSize:])
			peel, err := PeelOuter(leg.keys[i], leg.hops[i].Hint, p)
			noError(t, err)
			if i < n-1 {
				same(t, "next stack", peel.Next.raw[prefixSize:], opened[OuterCommandSize:])
				sharesNothing(t, p.raw[prefixSize:], peel.Next.raw[prefixSize:])
			}
			p = peel.Next
		}
	}
}

func TestInnerHeadersLookAlikeAtEveryHop(t *testing.T) {
	random := seeded("hiding")
	for n := 1; n <= InnerSlots; n++ {
		route := newInnerRoute(t, random, n)
		in, err := BuildInner(random, route.hops, Mailbox{1}, time.Unix(1e9, 0), make([]byte, PayloadSize))
		noError(t, err)
		for i := range n {
			looksRandom(t, in.raw[:])
			export, err := route.keys[i].decapsulate(in.raw[:xwingSize])
			noError(t, err)
			l := newLayer(nil, export)
			opened, err := innerTier.open(&l, nil, in.raw[:innerHeaderSize], 0)
			noError(t, err)
			looksRandom(t, opened[InnerCommandSize:])
			peel, err := PeelInner(route.keys[i], in)
			noError(t, err)
			if i < n-1 {
				same(t, "next header", peel.Inner.raw[:innerHeaderSize], opened[InnerCommandSize:])
				sharesNothing(t, in.raw[:], peel.Inner.raw[:])
			}
			in = peel.Inner
		}
	}
}

// The slots that no hop uses are random, and not a function of the keys: two packets for the same route differ there.
func TestUnusedSlotsAreFresh(t *testing.T) {
	random := seeded("unused")
	for n := 1; n < OuterSlots; n++ {
		leg := newOuterLeg(t, random, n)
		var unused [2][]byte
		for k := range unused {
			p, err := Wrap(random, 5, leg.hops, OuterEnd{Server: ServerID{1}}, newInner(new([InnerSize]byte)))
			noError(t, err)
			for i := range n - 1 {
				peel, err := PeelOuter(leg.keys[i], leg.hops[i].Hint, p)
				noError(t, err)
				p = peel.Next
			}
			opened := openOuter(t, leg, n-1, p)
			unused[k] = opened[OuterCommandSize+InnerSize:][:(OuterSlots-n)*OuterSlotSize]
			looksRandom(t, unused[k])
		}
		sharesNothing(t, unused[0], unused[1])
	}
}

// looksRandom refuses what chance does not bring about in this test's lifetime: six equal bytes in a row.
func looksRandom(t *testing.T, b []byte) {
	t.Helper()
	run := 1
	for i := 1; i < len(b); i++ {
		if run++; b[i] != b[i-1] {
			run = 1
		}
		if run == 6 {
			t.Fatalf("six bytes %#02x in a row, at %d of %d", b[i], i-5, len(b))
		}
	}
}

// sharesNothing refuses two strings with eight bytes in common at any two places.
func sharesNothing(t *testing.T, a, b []byte) {
	t.Helper()
	seen := map[[8]byte]int{}
	for i := 0; i+8 <= len(a); i++ {
		seen[[8]byte(a[i:])] = i
	}
	for i := 0; i+8 <= len(b); i++ {
		if at, ok := seen[[8]byte(b[i:])]; ok {
			t.Fatalf("eight bytes at %d are found again at %d", at, i)
		}
	}
}
