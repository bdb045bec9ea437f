package mor

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/p3do/p3do/mor/onion"
)

// seenSet remembers which packets were heard, by epoch. It is exact but for 64-bit
// keyed fingerprints (a wrong "seen" about once in 10^12 packets), and keyed anew in
// each Router, so that no two nodes err on the same packet. A generation is dropped
// whole when its epoch is no longer accepted.
type seenSet struct {
	block       cipher.Block
	share       int // packets that one heard context may add to one epoch
	generations []generation
	in, out     [aes.BlockSize]byte // scratch of fingerprint
}

type generation struct {
	epoch onion.Epoch
	table fingerprints
	heard map[ContextID]int
}

// verdict is what the seen set says of a packet.
type verdict uint8

const (
	novel verdict = iota
	repeated
	full
)

func newSeenSet(rand io.Reader, share int) (*seenSet, error) {
	key := make([]byte, 16)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, fmt.Errorf("mor: reading the seen key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("mor: making the seen key: %w", err)
	}
	return &seenSet{block: block, share: share}, nil
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
	for i := range s.generations {
		if s.generations[i].table.has(fp) {
			return true
		}
	}
	return false
}

func (s *seenSet) generation(e onion.Epoch) *generation {
	for i := range s.generations {
		if s.generations[i].epoch == e {
			return &s.generations[i]
		}
	}
	s.generations = append(s.generations, generation{epoch: e, heard: make(map[ContextID]int)})
	return &s.generations[len(s.generations)-1]
}

// forget drops the generations before e.
func (s *seenSet) forget(e onion.Epoch) {
	kept := s.generations[:0]
	for _, g := range s.generations {
		if g.epoch >= e {
			kept = append(kept, g)
		}
	}
	clear(s.generations[len(kept):])
	s.generations = kept
}

// fingerprint is a two-block CBC-MAC over the first half of the core and the tag:
// fixed length, so a pseudo-random function of both. Never zero.
func (s *seenSet) fingerprint(id onion.ID) uint64 {
	copy(s.in[:], id.Core[:aes.BlockSize])
	s.block.Encrypt(s.out[:], s.in[:])
	for i, b := range id.Tag {
		s.in[i] = s.out[i] ^ b
	}
	s.block.Encrypt(s.out[:], s.in[:])
	return binary.LittleEndian.Uint64(s.out[:]) | 1<<63
}

// fingerprints is a growing open-addressing table; zero marks a free place.
type fingerprints struct {
	places []uint64
	used   int
}

const smallestTable = 1 << 8

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
