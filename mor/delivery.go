package mor

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/mor/onion"
)

// Specification constants of the payload of an inner packet (docs/spec/mor.md,
// "Letters").
const (
	// LetterVersion is the first byte of a letter and of a receipt.
	LetterVersion = 1
	// SealedSize is the exact length in bytes of the sealed part of a letter: what
	// onion.PayloadSize leaves beside the header and one SURB.
	SealedSize = onion.PayloadSize - letterHeaderSize - onion.SURBSize
	// StrangerWork is the number of leading zero bits that a letter to a requests
	// address must show (row R4, hashcash).
	StrangerWork = 16

	letterHeaderSize = 1 + 1 + MessageIDSize + 4 + 8
	flagSURB         = 0x01
)

// ErrLetter is returned for a payload that is not a letter of this version.
var ErrLetter = errors.New("mor: malformed letter")

// ErrReceipt is returned for a reply that is not a receipt of this version.
var ErrReceipt = errors.New("mor: malformed receipt")

// MessageIDSize is the length of a MessageID in bytes.
const MessageIDSize = 16

// A MessageID names one message through all its retransmissions. 16 random bytes.
type MessageID [MessageIDSize]byte

// String returns the 22 characters of unpadded base64url.
func (id MessageID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseMessageID is the inverse of [MessageID.String].
func ParseMessageID(s string) (MessageID, error) {
	var id MessageID
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(id) || len(s) != 22 { // the decoder skips line ends
		return id, fmt.Errorf("mor: message id %.50q is not 22 characters of base64url", s)
	}
	return MessageID(raw), nil
}

// A Day counts days since 1970-01-01 UTC.
type Day uint32

// DayAt returns the day of now.
func DayAt(now time.Time) Day { return Day(now.Unix() / 86400) }

// A Letter is the payload that a mailbox server finds under the last layer: a header
// that it reads and a sealed part that it cannot.
type Letter struct {
	ID     MessageID
	Day    Day
	Nonce  uint64      // hashcash, needed at a requests address only
	SURB   *onion.SURB // the way back for the receipt; nil: none is wanted
	Sealed [SealedSize]byte
}

// Marshal returns the onion.PayloadSize bytes of l:
//
//	version  1   LetterVersion
//	flags    1   0x01: a SURB follows; else its place holds zeros
//	id      16
//	day      4   days since 1970-01-01 UTC
//	nonce    8
//	surb  4864
//	sealed 6254
func (l Letter) Marshal() []byte {
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, onion.PayloadSize))
	b.AddUint8(LetterVersion)
	b.AddUint8(l.flags())
	b.AddBytes(l.ID[:])
	b.AddUint32(uint32(l.Day))
	b.AddUint64(l.Nonce)
	b.AddBytes(l.surbBytes())
	b.AddBytes(l.Sealed[:])
	return b.BytesOrPanic() // unreachable panic: every width is fixed
}

func (l Letter) flags() uint8 {
	if l.SURB != nil {
		return flagSURB
	}
	return 0
}

func (l Letter) surbBytes() []byte {
	if l.SURB == nil {
		return make([]byte, onion.SURBSize)
	}
	return l.SURB.Bytes()
}

// ParseLetter is the inverse of [Letter.Marshal].
func ParseLetter(payload []byte) (Letter, error) {
	var (
		l              Letter
		s              = cryptobyte.String(payload)
		version, flags uint8
		surb           []byte
	)
	ok := s.ReadUint8(&version) && s.ReadUint8(&flags) && s.CopyBytes(l.ID[:]) &&
		s.ReadUint32((*uint32)(&l.Day)) && s.ReadUint64(&l.Nonce) &&
		s.ReadBytes(&surb, onion.SURBSize) && s.CopyBytes(l.Sealed[:]) && s.Empty()
	if !ok || version != LetterVersion || flags&^flagSURB != 0 {
		return Letter{}, ErrLetter
	}
	if flags&flagSURB == 0 {
		if !bytes.Equal(surb, make([]byte, onion.SURBSize)) {
			return Letter{}, ErrLetter
		}
		return l, nil
	}
	parsed, err := onion.ParseSURB(surb)
	if err != nil {
		return Letter{}, fmt.Errorf("%w: %w", ErrLetter, err)
	}
	l.SURB = &parsed
	return l, nil
}

// Work finds the nonce that lets l into the requests address to (about 2^StrangerWork
// hashes). It is deterministic.
func (l *Letter) Work(to onion.Mailbox) {
	for l.Nonce = 0; !l.Worked(to); l.Nonce++ {
	}
}

// Worked reports whether the nonce of l holds [StrangerWork] for the address, the day
// and the id of l, so that no proof serves twice.
func (l *Letter) Worked(to onion.Mailbox) bool {
	var in [32 + 4 + MessageIDSize + 8]byte
	copy(in[:32], to[:])
	binary.BigEndian.PutUint32(in[32:], uint32(l.Day))
	copy(in[36:], l.ID[:])
	binary.BigEndian.PutUint64(in[36+MessageIDSize:], l.Nonce)
	sum := sha256.Sum256(append([]byte("p3do hashcash v1\x00"), in[:]...))
	return bits.LeadingZeros32(binary.BigEndian.Uint32(sum[:4])) >= StrangerWork
}

// A ReceiptStatus is what a spool says about a letter.
type ReceiptStatus uint8

// The values of a ReceiptStatus on the wire.
const (
	Stored  ReceiptStatus = 1 // durable at the spool, now or already before
	Full    ReceiptStatus = 2 // the mailbox takes no more; try again later
	Unknown ReceiptStatus = 3 // nobody owns this address here
	Refused ReceiptStatus = 4 // a stranger's letter without the work, or of another day
	Used    ReceiptStatus = 5 // the address takes one letter (an invitation), and has taken another
)

// A Receipt is a spool's answer, sent over the letter's SURB.
type Receipt struct {
	ID     MessageID
	Status ReceiptStatus
}

// Marshal returns the onion.PayloadSize bytes of r: version 1, status 1, id 16, zeros.
func (r Receipt) Marshal() []byte {
	payload := make([]byte, onion.PayloadSize)
	payload[0], payload[1] = LetterVersion, byte(r.Status)
	copy(payload[2:], r.ID[:])
	return payload
}

// ParseReceipt is the inverse of [Receipt.Marshal].
func ParseReceipt(payload []byte) (Receipt, error) {
	if len(payload) != onion.PayloadSize || payload[0] != LetterVersion {
		return Receipt{}, ErrReceipt
	}
	r := Receipt{Status: ReceiptStatus(payload[1]), ID: MessageID(payload[2 : 2+MessageIDSize])}
	if r.Status < Stored || r.Status > Used {
		return Receipt{}, ErrReceipt
	}
	for _, b := range payload[2+MessageIDSize:] {
		if b != 0 {
			return Receipt{}, ErrReceipt
		}
	}
	return r, nil
}
