package onion_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/p3do/p3do/mor/onion"
)

// What the fuzz targets hold: whatever arrives, peeling gives one of the sentinel errors and nothing else, and never
// accepts a packet but the one that was built.

// A patch is how the fuzzer changes a packet without having to find 16 KiB: at, then the bytes to put there. An empty
// patch leaves the packet as it was.
func patched(raw []byte, at uint16, patch []byte) []byte {
	raw = bytes.Clone(raw)
	if int(at) < len(raw) {
		copy(raw[at:], patch)
	}
	return raw
}

func addPatches(f *testing.F, size int) {
	f.Helper()
	f.Add(uint16(0), []byte{})
	f.Add(uint16(2), []byte{0xff, 0xff})
	f.Add(uint16(4), make([]byte, 16))
	f.Add(uint16(20), make([]byte, 32))
	f.Add(uint16(1088), append([]byte{1}, make([]byte, 31)...))
	f.Add(uint16(size-1), []byte{0})
	f.Add(uint16(size), []byte{7})
}

// resized gives raw another length, by cutting it or by adding zeros.
func resized(raw []byte, size uint16) []byte {
	return append(raw, make([]byte, 1<<16)...)[:size]
}

func FuzzParse(f *testing.F) {
	frame := newStream("fuzz").bytes(onion.Size)
	f.Add(uint16(onion.Size), uint16(0), []byte{onion.Version, onion.Suite})
	f.Add(uint16(onion.Size), uint16(0), []byte{onion.Version, 0})
	f.Add(uint16(onion.Size-1), uint16(0), []byte{onion.Version, onion.Suite})
	f.Add(uint16(0), uint16(0), []byte{})
	f.Fuzz(func(t *testing.T, size, at uint16, patch []byte) {
		raw := resized(patched(frame, at, patch), size)
		before := bytes.Clone(raw)
		p, err := onion.Parse(raw)
		if !bytes.Equal(before, raw) {
			t.Fatal("Parse changed its input")
		}
		if err != nil {
			wantSentinel(t, err, onion.ErrLength, onion.ErrVersion, onion.ErrSuite)
			return
		}
		if p.ID() != naiveID(before) || !bytes.Equal(p.Bytes()[:], before) {
			t.Fatal("parsed something else")
		}
	})
}

func FuzzPeelOuter(f *testing.F) {
	rand := newStream("fuzz")
	hops, keys := newLeg(f, rand, 2)
	built := wrap(f, rand, hops)
	addPatches(f, onion.Size)
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		raw := patched(built.Bytes()[:], at, patch)
		retagged := bytes.Clone(raw)
		tag := naiveTag(t, hops[0].Hint, naiveID(raw).Core)
		copy(retagged[4:], tag[:])
		for _, raw := range [][]byte{raw, retagged} {
			p, err := onion.Parse(raw)
			if err != nil {
				wantSentinel(t, err, onion.ErrVersion, onion.ErrSuite)
				continue
			}
			peel, err := onion.PeelOuter(keys[0], hops[0].Hint, p)
			if p.ID() == built.ID() {
				if err != nil || peel.Command != onion.Relay {
					t.Fatal("the built packet is refused", err)
				}
				continue
			}
			wantSentinel(t, err, onion.ErrAuth, onion.ErrLowOrder)
		}
	})
}

func FuzzPeelInner(f *testing.F) {
	rand := newStream("fuzz")
	hops, keys := newRoute(f, rand, 1)
	built := build(f, rand, hops)
	addPatches(f, onion.InnerSize)
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		in, err := onion.ParseInner(patched(built.Bytes()[:], at, patch))
		if err != nil {
			t.Fatal(err)
		}
		peel, err := onion.PeelInner(keys[0], in)
		if in.ID() == built.ID() {
			if err != nil || peel.Mailbox != testMailbox {
				t.Fatal("the built packet is refused", err)
			}
			return
		}
		wantSentinel(t, err, onion.ErrAuth, onion.ErrLowOrder, onion.ErrPayload)
	})
}

func FuzzEntry(f *testing.F) {
	rand := newStream("fuzz")
	in, err := onion.ParseInner(rand.bytes(onion.InnerSize))
	if err != nil {
		f.Fatal(err)
	}
	frame, err := onion.Entry{Inner: in, Token: []byte("token")}.Marshal(rand)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(onion.Size), uint16(0), []byte{})
	f.Add(uint16(onion.Size), uint16(2), []byte{1})
	f.Add(uint16(onion.Size-1), uint16(4), []byte{1})
	f.Fuzz(func(t *testing.T, size, at uint16, patch []byte) {
		raw := resized(patched(frame, at, patch), size)
		entry, err := onion.ParseEntry(bytes.Clone(raw))
		if err != nil {
			wantSentinel(t, err, onion.ErrLength, onion.ErrVersion, onion.ErrSuite, onion.ErrCommand)
			return
		}
		again, err := entry.Marshal(rand)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatal("a parsed frame does not marshal to itself", err)
		}
	})
}

// FuzzSURB uses reply blocks that somebody else may have made: whatever they are, using one gives a packet of the one
// size, and the keys' stored form is canonical.
func FuzzSURB(f *testing.F) {
	rand := newStream("fuzz")
	hops, servers := newRoute(f, rand, 1)
	built, keys, err := onion.BuildSURB(rand, hops, testMailbox, onion.SURBID{1}, testExpiry)
	if err != nil {
		f.Fatal(err)
	}
	payload := rand.bytes(onion.PayloadSize)
	f.Add(uint16(0), []byte{}, keys.Bytes())
	f.Add(uint16(4800), []byte{1}, keys.Bytes()[1:])
	f.Add(uint16(4832), []byte{1}, make([]byte, onion.SURBKeysSize))
	f.Fuzz(func(t *testing.T, at uint16, patch, stored []byte) {
		raw := patched(built.Bytes(), at, patch)
		surb, err := onion.ParseSURB(raw)
		if err != nil || !bytes.Equal(surb.Bytes(), raw) {
			t.Fatal("a SURB of the right length is refused or changed", err)
		}
		in, err := surb.Use(payload)
		if err != nil {
			t.Fatal(err)
		}
		peel, err := onion.PeelInner(servers[0], in)
		if !bytes.Equal(raw[:4800], built.Bytes()[:4800]) {
			wantSentinel(t, err, onion.ErrAuth, onion.ErrLowOrder)
			return
		}
		got, err := keys.Open(peel.Body)
		if same := bytes.Equal(raw[4832:], built.Bytes()[4832:]); same != (err == nil && bytes.Equal(got, payload)) {
			t.Fatalf("body key unchanged: %v; opened: %v", same, err)
		}
		if parsed, err := onion.ParseSURBKeys(stored); err != nil {
			wantSentinel(t, err, onion.ErrLength, onion.ErrKey)
		} else if !bytes.Equal(parsed.Bytes(), stored) {
			t.Fatal("SURB keys have two stored forms")
		}
	})
}

// wantSentinel fails unless err is one of the given sentinels.
func wantSentinel(t *testing.T, err error, sentinels ...error) {
	t.Helper()
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return
		}
	}
	t.Fatalf("accepted, or refused for another reason: %v", err)
}
