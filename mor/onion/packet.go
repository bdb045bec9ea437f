package onion

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Tag is the 16-byte address tag of a packet: AES-128 of its core under a key that only holders of a hint have.
type Tag [tagSize]byte

// String returns the tag in hexadecimal.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// Core is the SHA-256 of a packet without its tag.
type Core [sha256.Size]byte

// ID is the seen key of a packet. It contains the tag: a set of seen packets that left it out could be poisoned by one
// relay that flips a tag bit and is faster than the others.
type ID struct {
	Core Core
	Tag  Tag
}

// Packet is a parsed wire packet. It is immutable and may be copied and shared; the zero value is no packet.
type Packet struct {
	raw *[Size]byte
	id  ID
}

// Parse takes ownership of raw (Size bytes; nothing is copied, and the caller must not touch it again), checks length,
// version and suite, and computes the ID, once. It refuses with ErrLength, ErrVersion or ErrSuite and allocates nothing.
// Whether the epoch is near is for the caller to judge, with Epoch.Near.
func Parse(raw []byte) (Packet, error) {
	if len(raw) != Size {
		return Packet{}, ErrLength
	}
	if err := checkHead(raw); err != nil {
		return Packet{}, err
	}
	return newPacket((*[Size]byte)(raw)), nil
}

// checkHead judges the two bytes that wire packets and entry frames begin with.
func checkHead(raw []byte) error {
	switch {
	case raw[0] != Version:
		return ErrVersion
	case raw[1] != Suite:
		return ErrSuite
	}
	return nil
}

// newPacket is the packet of raw, which it owns from here on.
func newPacket(raw *[Size]byte) Packet {
	return Packet{raw: raw, id: ID{Core: coreOf(raw), Tag: Tag(raw[headSize:prefixSize])}}
}

// coreOf is SHA-256(bytes 0..3 | bytes 20..16383). The four bytes borrow the end of the tag's place while the hash
// runs, so that one call over contiguous memory does it, without a copy and without an allocation.
func coreOf(raw *[Size]byte) Core {
	const at = prefixSize - headSize
	kept := [headSize]byte(raw[at:])
	copy(raw[at:], raw[:headSize])
	core := sha256.Sum256(raw[at:])
	copy(raw[at:], kept[:])
	return core
}

// ID returns the seen key.
func (p Packet) ID() ID { return p.id }

// Core returns the hash of everything but the tag.
func (p Packet) Core() Core { return p.id.Core }

// Tag returns the address tag.
func (p Packet) Tag() Tag { return p.id.Tag }

// WireEpoch returns the low 16 bits of the packet's epoch; 0 for the zero Packet.
func (p Packet) WireEpoch() uint16 {
	if p.IsZero() {
		return 0
	}
	return binary.BigEndian.Uint16(p.raw[2:headSize])
}

// Bytes returns the wire form, for reading only; nil for the zero Packet.
func (p Packet) Bytes() *[Size]byte { return p.raw }

// IsZero reports whether p is the zero value, which is no packet.
func (p Packet) IsZero() bool { return p.raw == nil }
