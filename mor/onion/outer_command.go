package onion

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// OuterCommand says what the owner of a context does with a packet that it peeled.
type OuterCommand uint8

const (
	// Relay: speak Next on the context whose key was peeled.
	Relay OuterCommand = 1
	// Exposed: the bare inner packet has come out, for Server, with a leg budget.
	Exposed OuterCommand = 2
	// Drop: it was cover; nothing comes out.
	Drop OuterCommand = 3
)

// outerCommand is the 48-byte command of an outer layer.
//
//	type    1   1 Relay, 2 Exposed, 3 Drop
//	flags   1   0
//	delay   2   milliseconds
//	Relay:    tag 16, of the packet to emit | zero 28
//	Exposed:  server id 32 | leg budget 1, 0..3 | zero 11
//	Drop:     zero 44
type outerCommand struct {
	kind   OuterCommand
	delay  uint16
	tag    Tag
	server ServerID
	budget uint8
}

func (c outerCommand) marshal() []byte {
	raw := make([]byte, 0, OuterCommandSize)
	b := cryptobyte.NewFixedBuilder(raw)
	b.AddUint8(uint8(c.kind))
	b.AddUint8(0 /* flags */)
	b.AddUint16(c.delay)
	switch c.kind {
	case Relay:
		b.AddBytes(c.tag[:])
	case Exposed:
		b.AddBytes(c.server[:])
		b.AddUint8(c.budget)
	}
	return b.BytesOrPanic()[:OuterCommandSize] // the reserved bytes are still zero
}

// parseOuterCommand is strict: every command has one encoding.
func parseOuterCommand(raw []byte) (outerCommand, error) {
	s := cryptobyte.String(raw)
	var c outerCommand
	var kind, flags uint8
	ok := s.ReadUint8(&kind) && s.ReadUint8(&flags) && s.ReadUint16(&c.delay)
	c.kind = OuterCommand(kind)
	switch c.kind {
	case Relay:
		ok = ok && s.CopyBytes(c.tag[:])
	case Exposed:
		ok = ok && s.CopyBytes(c.server[:]) && s.ReadUint8(&c.budget) && c.budget <= MaxBudget
	case Drop:
	default:
		return outerCommand{}, ErrCommand
	}
	if !ok || flags != 0 || !allZero(s) {
		return outerCommand{}, ErrCommand
	}
	return c, nil
}

// allZero judges reserved bytes.
func allZero(reserved []byte) bool {
	for _, b := range reserved {
		if b != 0 {
			return false
		}
	}
	return true
}

// millis converts a delay to its wire unit, cutting off what is below a millisecond.
func millis(delay time.Duration) (uint16, error) {
	ms := delay.Milliseconds()
	if delay < 0 || ms > MaxDelay.Milliseconds() {
		return 0, ErrRoute
	}
	return uint16(ms), nil
}

// MaxDelay is the longest delay that a command can ask for.
const MaxDelay = 65535 * time.Millisecond

// duration is the inverse of millis.
func duration(ms uint16) time.Duration { return time.Duration(ms) * time.Millisecond }
