package onion

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// SURB is a single-use reply block, 4864 bytes: who holds it can send one payload to its maker without knowing where
// to. It is immutable and may be copied; the zero value is none.
//
//	header    4800   inner header, its last command Reply
//	first       32   id of the first server
//	body key    32   wide-block key
type SURB struct{ raw *[SURBSize]byte }

// BuildSURB makes a reply block over one to four servers, the last of which delivers the reply to the mailbox under
// the given id, and the keys that open the reply. Arguments and refusals are as for BuildInner.
func BuildSURB(rand io.Reader, hops []InnerHop, to Mailbox, id SURBID, expiry time.Time) (SURB, SURBKeys, error) {
	return Scheme{}.BuildSURB(rand, hops, to, id, expiry)
}

// BuildSURB is the function of that name, in s.
func (s Scheme) BuildSURB(rand io.Reader, hops []InnerHop, to Mailbox, id SURBID, expiry time.Time) (SURB, SURBKeys, error) {
	raw := new([SURBSize]byte)
	header, rest := raw[:innerHeaderSize], raw[innerHeaderSize:]
	keys, err := s.buildHeader(rand, hops, innerCommand{kind: Reply, to: to, surb: id}, expiry, header)
	if err != nil {
		return SURB{}, SURBKeys{}, err
	}
	first := hops[0].Key.ID()
	copy(rest, first[:])
	if err := fill(rand, rest[serverIDSize:]); err != nil {
		return SURB{}, SURBKeys{}, err
	}
	kept := SURBKeys{body: bodyKey(rest[serverIDSize:]), count: len(keys)}
	copy(kept.hops[:], keys)
	return SURB{raw}, kept, nil
}

// ParseSURB copies raw. Any SURBSize bytes will do; it refuses others with ErrLength.
func ParseSURB(raw []byte) (SURB, error) {
	if len(raw) != SURBSize {
		return SURB{}, ErrLength
	}
	kept := [SURBSize]byte(raw)
	return SURB{&kept}, nil
}

// Bytes returns a copy of the 4864 bytes; nil for the zero SURB. They include the body key: they belong under a seal.
func (s SURB) Bytes() []byte {
	if s.IsZero() {
		return nil
	}
	return append([]byte(nil), s.raw[:]...)
}

// IsZero reports whether s is the zero value, which is none.
func (s SURB) IsZero() bool { return s.raw == nil }

// First returns the server that a reply must be brought to; zero for the zero SURB.
func (s SURB) First() ServerID {
	if s.IsZero() {
		return ServerID{}
	}
	return ServerID(s.raw[innerHeaderSize:])
}

// Use returns the reply with a payload of exactly PayloadSize bytes, as a bare inner packet for s.First(). A second use
// is a replay, and is dropped by the first server. It refuses with ErrLength.
func (s SURB) Use(payload []byte) (Inner, error) {
	if s.IsZero() || len(payload) != PayloadSize {
		return Inner{}, ErrLength
	}
	raw := new([InnerSize]byte)
	copy(raw[:], s.raw[:innerHeaderSize])
	body := raw[innerHeaderSize:]
	copy(body[zerosSize:], payload)
	key := bodyKey(s.raw[innerHeaderSize+serverIDSize:])
	key.wide().encrypt(body)
	return newInner(raw), nil
}

// String hides the body key, as does Format.
func (s SURB) String() string { return redacted }

// Format writes a placeholder for every verb.
func (s SURB) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// SURBKeys is what the maker of a SURB keeps, to open the one reply to it.
type SURBKeys struct {
	_     [0]func() // not comparable: == is not constant-time
	count int       // hops
	body  bodyKey
	hops  [InnerSlots]bodyKey
}

// surbKeysVersion is the first byte of the stored form.
const surbKeysVersion = 1

// ParseSURBKeys reads the stored form: version 1, hop count 1, body key 32, four hop keys of 32 of which the unused are
// zero. It refuses anything that Bytes would not have written, with ErrLength or ErrKey.
func ParseSURBKeys(raw []byte) (SURBKeys, error) {
	if len(raw) != SURBKeysSize {
		return SURBKeys{}, ErrLength
	}
	s := cryptobyte.String(raw)
	var k SURBKeys
	var version, count uint8
	ok := s.ReadUint8(&version) && s.ReadUint8(&count) && s.CopyBytes(k.body[:])
	for i := range k.hops {
		ok = ok && s.CopyBytes(k.hops[i][:]) && (i < int(count) || allZero(k.hops[i][:]))
	}
	if !ok || version != surbKeysVersion || count < 1 || count > InnerSlots {
		return SURBKeys{}, ErrKey
	}
	k.count = int(count)
	return k, nil
}

// Bytes returns the stored form, SURBKeysSize bytes. It is the secret itself.
func (k SURBKeys) Bytes() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, SURBKeysSize))
	b.AddUint8(surbKeysVersion)
	b.AddUint8(uint8(k.count))
	b.AddBytes(k.body[:])
	for _, hop := range k.hops {
		b.AddBytes(hop[:])
	}
	return b.BytesOrPanic()
}

// Open opens the body of a Reply (BodySize bytes, which it leaves as they are) and returns the payload. The hops have
// decrypted what was never encrypted for them, so it encrypts, last hop first, and then removes the SURB's own layer.
// It refuses with ErrLength, and with ErrPayload if the body is not the reply to this SURB or was changed.
func (k SURBKeys) Open(body []byte) (payload []byte, err error) {
	if len(body) != BodySize {
		return nil, ErrLength
	}
	if k.count == 0 {
		return nil, ErrPayload
	}
	text := append([]byte(nil), body...)
	for i := k.count - 1; i >= 0; i-- {
		k.hops[i].wide().encrypt(text)
	}
	k.body.wide().decrypt(text)
	return openZeros(text)
}

// String hides the secret, as do Format and MarshalText.
func (k SURBKeys) String() string { return redacted }

// Format writes a placeholder for every verb.
func (k SURBKeys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder, so that no encoder or logger shows the secret.
func (k SURBKeys) MarshalText() ([]byte, error) { return []byte(redacted), nil }
