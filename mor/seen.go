package mor

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/p3do/p3do/mor/onion"
)

// seenSet remembers which packets were heard, by epoch. It is exact but for 64-bit
// keyed fingerprints (a wrong "seen" about once in 10^12 packets), and keyed anew in
// each Router, so that no two nodes err on the same packet. A generation is dropped
// whole when its epoch is no longer accepted.
//
// Each packet comes once over every link, so nearly all questions are for what is there
// already: what they need lies together, and is small.
type seenSet struct {
	key         sipKey
	share       int // packets that one heard context may add to one epoch
	count       int // of generations
	generations [maxGenerations]generation
}

// maxGenerations is how many epochs are remembered: the three that are accepted, and one to turn in.
const maxGenerations = 4

type generation struct {
	table fingerprints
	epoch onion.Epoch
	heard map[ContextID]int
}

// verdict is what the seen set says of a packet.
type verdict uint8

const (
	novel verdict = iota
	repeated
	full
)

func newSeenSet(rand io.Reader, share int) (s seenSet, err error) {
	var key [16]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return s, fmt.Errorf("mor: reading the seen key: %w", err)
	}
	return seenSet{key: sipKey{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])}, share: share}, nil
}

// add puts id into the generation of e on the account of the context it was heard on.
// A context whose share is full adds nothing; the same packet heard elsewhere still can.
func (s *seenSet) add(e onion.Epoch, on ContextID, id onion.ID) verdict {
	g := s.generation(e)
	fp := s.fingerprint(id)
	switch {
	case g.table.has(fp):
		return repeated
	case g.heard[on] >= s.share:
		return full
	}
	g.heard[on]++
	g.table.add(fp)
	return novel
}

// knows reports whether id was seen, in whichever epoch.
func (s *seenSet) knows(id onion.ID) bool {
	fp := s.fingerprint(id)
	for i := range s.generations[:s.count] {
		if s.generations[i].table.has(fp) {
			return true
		}
	}
	return false
}

// generation is that of an epoch. If there is none it is begun, in place of the one that is farthest away if need be.
func (s *seenSet) generation(e onion.Epoch) *generation {
	for i := range s.generations[:s.count] {
		if s.generations[i].epoch == e {
			return &s.generations[i]
		}
	}
	fresh := generation{epoch: e, heard: make(map[ContextID]int)}
	if s.count < maxGenerations {
		s.generations[s.count] = fresh
		s.count++
		return &s.generations[s.count-1]
	}
	farthest := &s.generations[0]
	for i := range s.generations {
		if g := &s.generations[i]; apart(g.epoch, e) > apart(farthest.epoch, e) {
			farthest = g
		}
	}
	*farthest = fresh
	return farthest
}

func apart(a, b onion.Epoch) onion.Epoch { return max(a, b) - min(a, b) }

// forget drops the generations before e.
func (s *seenSet) forget(e onion.Epoch) {
	kept := 0
	for _, g := range s.generations[:s.count] {
		if g.epoch >= e {
			s.generations[kept] = g
			kept++
		}
	}
	clear(s.generations[kept:])
	s.count = kept
}

// fingerprint is a pseudo-random function of the first half of the core and of the tag. Never zero.
func (s *seenSet) fingerprint(id onion.ID) uint64 {
	return s.key.hash(
		binary.LittleEndian.Uint64(id.Core[:8]), binary.LittleEndian.Uint64(id.Core[8:16]),
		binary.LittleEndian.Uint64(id.Tag[:8]), binary.LittleEndian.Uint64(id.Tag[8:]),
	) | 1<<63
}

// A sipKey keys SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein: SipHash: a fast short-input PRF, INDOCRYPT 2012).
type sipKey [2]uint64

// hash is SipHash-2-4 of 32 bytes, as four words in little-endian order.
func (k sipKey) hash(words ...uint64) uint64 {
	s := sipState{k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573}
	for _, w := range words {
		s = s.absorb(w)
	}
	s = s.absorb(uint64(len(words)) * 8 << 56) // a last word of what is left over, here nothing, and the length
	s.v2 ^= 0xff
	s = s.round().round().round().round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

type sipState struct{ v0, v1, v2, v3 uint64 }

func (s sipState) absorb(word uint64) sipState {
	s.v3 ^= word
	s = s.round().round()
	s.v0 ^= word
	return s
}

// round is SipRound (section 2.4 there).
func (s sipState) round() sipState {
	s.v0 += s.v1
	s.v2 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v1
	s.v0 += s.v3
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}

// fingerprints is a growing open-addressing table; zero marks a free place.
type fingerprints struct {
	places []uint64
	used   int
}

const smallestTable = 1 << 6

func (t *fingerprints) has(fp uint64) bool {
	return len(t.places) > 0 && t.places[t.find(fp)] == fp
}

func (t *fingerprints) add(fp uint64) {
	if 4*(t.used+1) > 3*len(t.places) {
		t.grow()
	}
	t.places[t.find(fp)] = fp
	t.used++
}

// find returns where fp is, or the free place where it belongs.
func (t *fingerprints) find(fp uint64) int {
	mask := uint64(len(t.places) - 1)
	i := fp & mask
	for t.places[i] != 0 && t.places[i] != fp {
		i = (i + 1) & mask
	}
	return int(i)
}

func (t *fingerprints) grow() {
	old := t.places
	t.places = make([]uint64, max(smallestTable, 2*len(old)))
	for _, fp := range old {
		if fp != 0 {
			t.places[t.find(fp)] = fp
		}
	}
}
