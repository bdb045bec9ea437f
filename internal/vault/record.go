package vault

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

const (
	blockSize = 256 // a body is a multiple of this, so that sizes say little
	nonceSize = chacha20poly1305.NonceSizeX
	tagSize   = chacha20poly1305.Overhead

	recordHeadSize = nonceSize + 4 + tagSize
	maxBlocks      = MaxTransaction / blockSize
	maxRecordSize  = recordHeadSize + maxBlocks*blockSize + tagSize
)

// A sealer seals and opens the records of one file.
type sealer struct {
	head, body cipher.AEAD
	fileID     [fileIDSize]byte
}

func newSealer(root rootKey, fileID [fileIDSize]byte) (*sealer, error) {
	head, err := chacha20poly1305.NewX(root.expand("p3do vault head", fileID[:]))
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	body, err := chacha20poly1305.NewX(root.expand("p3do vault body", fileID[:]))
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return &sealer{head: head, body: body, fileID: fileID}, nil
}

// additional is the additional data of record number seq: file id 16 | seq 8.
func (s *sealer) additional(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(s.fileID[:], seq)
}

// seal returns record number seq: nonce 24 | sealed head 20 | sealed body. The
// nonce is random and not the number, because after a crash the same number is
// written again with other contents; head and body share it under two keys.
func (s *sealer) seal(seq uint64, body []byte) []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	ad := s.additional(seq)
	out := make([]byte, 0, recordHeadSize+len(body)+tagSize)
	out = append(out, nonce...)
	out = s.head.Seal(out, nonce, binary.BigEndian.AppendUint32(nil, uint32(len(body)/blockSize)), ad)
	return s.body.Seal(out, nonce, body, ad)
}

// openHead opens the first recordHeadSize bytes of record number seq and
// returns the size of the sealed body that follows.
func (s *sealer) openHead(seq uint64, head []byte) (bodySize int64, ok bool) {
	plain, err := s.head.Open(nil, head[:nonceSize], head[nonceSize:], s.additional(seq))
	if err != nil {
		return 0, false
	}
	blocks := binary.BigEndian.Uint32(plain)
	if blocks < 1 || blocks > maxBlocks {
		return 0, false
	}
	return int64(blocks)*blockSize + tagSize, true
}

// openBody opens the sealed body of record number seq, in place.
func (s *sealer) openBody(seq uint64, head, sealed []byte) (body []byte, ok bool) {
	body, err := s.body.Open(sealed[:0], head[:nonceSize], sealed, s.additional(seq))
	return body, err == nil
}

// Kinds of op. The zero byte is padding.
const (
	opPut    = 1
	opDelete = 2
)

// An op is one put or delete of a transaction.
type op struct {
	kind  uint8
	key   string
	value []byte // of a put
}

// size returns the octets of the op in a body.
func (o op) size() int {
	n := 1 + 2 + len(o.key)
	if o.kind == opPut {
		n += 3 + len(o.value)
	}
	return n
}

// A body is the plaintext of a record. Ops ascend strictly by key: one
// transaction has one encoding.
type body struct {
	more bool // the snapshot goes on in the next record
	ops  []op
}

// bodyOverhead is what a body holds beside its ops: the byte "more".
const bodyOverhead = 1

// marshal returns the body, padded:
//
//	more    1  0 or 1
//	ops        each: kind 1 | key length 2 | key, and for a put: value length 3 | value
//	pad        0 to 255 zero bytes, to a multiple of 256
func (t body) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	more := uint8(0)
	if t.more {
		more = 1
	}
	b.AddUint8(more)
	for _, o := range t.ops {
		o.marshal(&b)
	}
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("vault: encoding a transaction: %w", err)
	}
	pad := (blockSize - len(out)%blockSize) % blockSize
	return append(out, make([]byte, pad)...), nil
}

func (o op) marshal(b *cryptobyte.Builder) {
	b.AddUint8(o.kind)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.key)) })
	if o.kind == opPut {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(o.value) })
	}
}

// parseBody is the strict inverse of marshal. It keeps no reference to b.
func parseBody(b []byte) (body, error) {
	bad := fmt.Errorf("%w: a record's contents", ErrDamaged)
	s := cryptobyte.String(b)
	var more uint8
	if len(b)%blockSize != 0 || !s.ReadUint8(&more) || more > 1 {
		return body{}, bad
	}
	t := body{more: more == 1}
	for !s.Empty() && s[0] != 0 {
		o, ok := parseOp(&s)
		if !ok || len(t.ops) > 0 && o.key <= t.ops[len(t.ops)-1].key {
			return body{}, bad
		}
		t.ops = append(t.ops, o)
	}
	if len(s) >= blockSize || !allZero(s) {
		return body{}, bad
	}
	return t, nil
}

func parseOp(s *cryptobyte.String) (op, bool) {
	var o op
	var key, value cryptobyte.String
	if !s.ReadUint8(&o.kind) || !s.ReadUint16LengthPrefixed(&key) || len(key) > MaxKey {
		return op{}, false
	}
	o.key = string(key)
	switch o.kind {
	case opDelete:
		return o, true
	case opPut:
		if !s.ReadUint24LengthPrefixed(&value) || len(value) > MaxValue {
			return op{}, false
		}
		o.value = append([]byte{}, value...)
		return o, true
	}
	return op{}, false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
