package onion

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// Matcher recognises, among the owners whose hints a node holds for one epoch, the one that a packet is for. It keeps
// one expanded AES key per owner. It is not safe for concurrent use.
type Matcher struct {
	keys    []cipher.Block
	in, out [aes.BlockSize]byte // scratch, so that Match allocates nothing
}

// NewMatcher prepares a matcher for the given hints, all of one epoch; Match answers with positions in this slice.
func NewMatcher(hints []Hint) *Matcher {
	m := &Matcher{keys: make([]cipher.Block, len(hints))}
	for i, h := range hints {
		m.keys[i] = h.tagCipher()
	}
	return m
}

// Match returns the position of the hint that p's tag was made with. Every key is tried whatever the outcome, so the
// time it takes tells nothing about the owner; it allocates nothing. A chance match has probability 2^-128 per hint.
func (m *Matcher) Match(p Packet) (index int, ok bool) {
	copy(m.in[:], p.id.Core[:])
	hi := binary.LittleEndian.Uint64(p.id.Tag[:8])
	lo := binary.LittleEndian.Uint64(p.id.Tag[8:])
	index = -1
	for i, key := range m.keys {
		key.Encrypt(m.out[:], m.in[:])
		diff := (binary.LittleEndian.Uint64(m.out[:8]) ^ hi) | (binary.LittleEndian.Uint64(m.out[8:]) ^ lo)
		equal := int((diff|-diff)>>63) - 1 // all ones if diff is zero, else zero
		index = index&^equal | i&equal
	}
	return index, index >= 0
}
