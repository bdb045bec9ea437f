package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Vectors is the file. Strings of bytes are in hexadecimal, but for the long ones (a packet, a SURB, a server key), which
// are in base64 with padding. A field that ends in _sha256 has the SHA-256 of what it names; a field that ends in _seed
// the seed of a random stream.
type Vectors struct {
	Format    string      `json:"format"`
	Stream    string      `json:"stream"` // how a random stream is made of a seed
	Streams   []Stream    `json:"streams"`
	Hints     []HintCase  `json:"hints"`
	Wide      []WideCase  `json:"wide_block"`
	Keys      []KeyCase   `json:"keys"`
	Outer     []OuterCase `json:"outer"`
	Inner     []InnerCase `json:"inner"`
	SURBs     []SURBCase  `json:"surbs"`
	Entries   []EntryCase `json:"entries"`
	KeyErrors []KeyError  `json:"key_refusals"`
	Refusals  []Refusal   `json:"refusals"`
}

// Stream shows the beginning of one random stream.
type Stream struct {
	Seed  string `json:"seed"`
	Bytes Hex    `json:"bytes"`
}

// HintCase is what is derived from a hint.
type HintCase struct {
	Hint      Hex `json:"hint"`
	TagKey    Hex `json:"tag_key"`
	LayerSalt Hex `json:"layer_salt"`
	Next      Hex `json:"next"`
}

// WideCase is one wide-block encryption of the first Length bytes of a stream.
type WideCase struct {
	Key       Hex    `json:"key"`
	TextSeed  string `json:"text_seed"`
	Length    int    `json:"length"`
	Encrypted Hex    `json:"encrypted,omitempty"` // if short
	SHA256    Hex    `json:"encrypted_sha256"`
}

// KeyCase is a private key and its public key.
type KeyCase struct {
	Kind    string `json:"kind"` // context or server
	Private Hex    `json:"private"`
	Public  []byte `json:"public"`
	ID      Hex    `json:"id,omitempty"` // server
}

// OuterHop is a context on a leg.
type OuterHop struct {
	Private Hex    `json:"private"`
	Hint    Hex    `json:"hint"`
	DelayMS uint16 `json:"delay_ms"`
}

// OuterCase is a call of Wrap and the peels of its hops.
type OuterCase struct {
	Name      string      `json:"name"`
	Seed      string      `json:"rand_seed"` // what Wrap reads
	Epoch     uint32      `json:"epoch"`
	Hops      []OuterHop  `json:"hops"`
	Drop      bool        `json:"drop"`
	Server    Hex         `json:"server"`
	Budget    uint8       `json:"budget"`
	InnerSeed string      `json:"inner_seed"` // the inner packet is the first 15980 bytes; not used with drop
	Packet    []byte      `json:"packet"`
	Peels     []OuterPeel `json:"peels"`
}

// OuterPeel is what one hop sees, derives and finds.
type OuterPeel struct {
	Core    Hex    `json:"core"`
	Tag     Hex    `json:"tag"`
	Layer   Layer  `json:"layer"`
	Command string `json:"command"`
	DelayMS uint16 `json:"delay_ms"`
	Next    Hex    `json:"next_sha256,omitempty"`  // relay: the next packet
	Inner   Hex    `json:"inner_sha256,omitempty"` // exposed
	Server  Hex    `json:"server,omitempty"`       // exposed
	Budget  uint8  `json:"budget,omitempty"`       // exposed

	next []byte // the next packet or the inner packet itself
}

// Layer is the key schedule of one layer.
type Layer struct {
	Export    Hex `json:"hpke_export"`
	PRK       Hex `json:"prk"`
	Key       Hex `json:"key"`
	Nonce     Hex `json:"nonce"`
	FillerKey Hex `json:"filler_key"`
	Replay    Hex `json:"replay"`
	BodyKey   Hex `json:"body_key,omitempty"` // inner tier
}

// InnerHop is a server of a route.
type InnerHop struct {
	Private Hex    `json:"private"`
	DelayMS uint16 `json:"delay_ms"`
}

// InnerCase is a call of BuildInner and the peels of its hops.
type InnerCase struct {
	Name        string      `json:"name"`
	Seed        string      `json:"rand_seed"` // what BuildInner reads
	Hops        []InnerHop  `json:"hops"`
	Mailbox     Hex         `json:"mailbox"`
	Expiry      uint32      `json:"expiry_epoch"`
	PayloadSeed string      `json:"payload_seed"`
	Packet      []byte      `json:"packet"`
	Peels       []InnerPeel `json:"peels"`
}

// InnerPeel is what one server sees, derives and finds.
type InnerPeel struct {
	ID      Hex    `json:"id"`
	Layer   Layer  `json:"layer"`
	Command string `json:"command"`
	DelayMS uint16 `json:"delay_ms"`
	Expiry  uint32 `json:"expiry_epoch"`
	To      Hex    `json:"to"`                       // forward: next server; else mailbox
	SURB    Hex    `json:"surb_id,omitempty"`        // reply
	Next    Hex    `json:"next_sha256,omitempty"`    // forward: the next inner packet
	Payload Hex    `json:"payload_sha256,omitempty"` // deliver
	Body    Hex    `json:"body_sha256,omitempty"`    // reply

	next []byte // the next inner packet, the payload or the body itself
}

// SURBCase is a call of BuildSURB, the use of the block, the peels of its hops, and the reply.
type SURBCase struct {
	Name        string      `json:"name"`
	Seed        string      `json:"rand_seed"` // what BuildSURB reads
	Hops        []InnerHop  `json:"hops"`
	Mailbox     Hex         `json:"mailbox"`
	ID          Hex         `json:"surb_id"`
	Expiry      uint32      `json:"expiry_epoch"`
	SURB        []byte      `json:"surb"`
	Keys        Hex         `json:"keys"`
	PayloadSeed string      `json:"payload_seed"`
	Reply       []byte      `json:"reply"` // the inner packet that Use returns
	Peels       []InnerPeel `json:"peels"` // the body of the last opens to the payload
}

// EntryCase is an entry frame.
type EntryCase struct {
	Name      string `json:"name"`
	Seed      string `json:"rand_seed"` // what Marshal reads
	First     Hex    `json:"first"`
	InnerSeed string `json:"inner_seed"`
	Token     Hex    `json:"token"`
	Frame     []byte `json:"frame"`
}

// KeyError is a public key that must be refused.
type KeyError struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Public []byte `json:"public"`
	Error  string `json:"error"`
}

// Refusal is a change to a packet of one of the cases above, and the error that must come of it. Take what hop Hop of
// the case sees, give it Length bytes (cut, or add zeros), write every patch over it, and parse and peel it with that
// hop's key (and hint), or with those given here.
type Refusal struct {
	Name    string  `json:"name"`
	Of      string  `json:"of"`   // outer, inner, surb (the body of a reply, for SURBKeys.Open) or entry
	Case    string  `json:"case"` // its name
	Hop     int     `json:"hop"`
	Length  int     `json:"length"`
	Patches []Patch `json:"patches"`
	Private Hex     `json:"private,omitempty"`
	Hint    Hex     `json:"hint,omitempty"`
	Error   string  `json:"error"`
}

// Patch is bytes to write at an offset.
type Patch struct {
	At    int `json:"at"`
	Bytes Hex `json:"bytes"`
}

// apply makes the changed packet.
func (r Refusal) apply(raw []byte) []byte {
	changed := make([]byte, r.Length)
	copy(changed, raw)
	for _, p := range r.Patches {
		copy(changed[p.At:], p.Bytes)
	}
	return changed
}

// Hex is bytes that JSON shows in hexadecimal.
type Hex []byte

// MarshalText writes hexadecimal.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hexadecimal.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// streamRule is how a reader in another language makes the random streams.
const streamRule = "SHA-256(seed | block) for block = 0, 1, 2, ... as 8 bytes big-endian, joined; the seed is ASCII"

// stream is a random stream: an io.Reader that does not end.
type stream struct {
	seed  string
	block uint64
	rest  []byte
}

func newStream(seed string) *stream { return &stream{seed: seed} }

func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.seed), s.block))
			s.rest, s.block = sum[:], s.block+1
		}
		m := copy(p[n:], s.rest)
		s.rest, n = s.rest[m:], n+m
	}
	return len(p), nil
}

// streamBytes returns the first n bytes of a stream.
func streamBytes(seed string, n int) []byte {
	b := make([]byte, n)
	_, _ = newStream(seed).Read(b)
	return b
}

func sum(b []byte) Hex {
	h := sha256.Sum256(b)
	return h[:]
}
