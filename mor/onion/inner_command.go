package onion

import (
	"encoding/base64"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// InnerCommand says what a server does with an inner packet that it peeled.
type InnerCommand uint8

const (
	// Forward: wrap Inner for the next server, Next.
	Forward InnerCommand = 1
	// Deliver: the payload has come out; it belongs to Mailbox.
	Deliver InnerCommand = 2
	// Reply: a SURB was used; its body belongs to Mailbox, whose owner knows the SURB by its id.
	Reply InnerCommand = 3
)

// Mailbox is the 32-byte address that an inner packet is delivered to. To know it is the right to write to it.
type Mailbox [32]byte

// String returns the address in unpadded base64url.
func (m Mailbox) String() string { return base64.RawURLEncoding.EncodeToString(m[:]) }

// SURBID is the 16-byte name by which the maker of a SURB finds the keys for its reply.
type SURBID [16]byte

// String returns the id in unpadded base64url.
func (id SURBID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// innerCommand is the 64-byte command of an inner layer.
//
//	type     1   1 Forward, 2 Deliver, 3 Reply
//	flags    1   0
//	delay    2   milliseconds
//	expiry   4   epoch number: worthless from its start on
//	to      32   Forward: next server id; else mailbox
//	surb    16   Reply: SURB id; else zero
//	zero     8
type innerCommand struct {
	kind   InnerCommand
	delay  uint16
	expiry Epoch
	to     [32]byte
	surb   SURBID
}

func (c innerCommand) marshal() []byte {
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, InnerCommandSize))
	b.AddUint8(uint8(c.kind))
	b.AddUint8(0 /* flags */)
	b.AddUint16(c.delay)
	b.AddUint32(uint32(c.expiry))
	b.AddBytes(c.to[:])
	b.AddBytes(c.surb[:])
	return b.BytesOrPanic()[:InnerCommandSize] // the reserved bytes are still zero
}

// parseInnerCommand is strict: every command has one encoding.
func parseInnerCommand(raw []byte) (innerCommand, error) {
	s := cryptobyte.String(raw)
	var c innerCommand
	var kind, flags uint8
	var expiry uint32
	ok := s.ReadUint8(&kind) && s.ReadUint8(&flags) && s.ReadUint16(&c.delay) && s.ReadUint32(&expiry) &&
		s.CopyBytes(c.to[:]) && s.CopyBytes(c.surb[:])
	c.kind, c.expiry = InnerCommand(kind), Epoch(expiry)
	known := c.kind == Forward || c.kind == Deliver || c.kind == Reply
	if !ok || !known || flags != 0 || !allZero(s) || c.kind != Reply && c.surb != (SURBID{}) {
		return innerCommand{}, ErrCommand
	}
	return c, nil
}

// expiryOf converts an instant to the wire unit, cutting off what is after the start of its epoch: all packets made
// within half an hour for the same span of days look alike.
func expiryOf(expiry time.Time) (Epoch, error) {
	e := EpochAt(expiry)
	if expiry.Unix() < 0 || expiry.Sub(e.Start()) >= EpochLength {
		return 0, ErrRoute
	}
	return e, nil
}
