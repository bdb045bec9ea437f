package link

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Specification constants.
const (
	// MaxControl is the length in bytes of the longest control message, 1 MiB. A peer that sends more loses the link.
	MaxControl = 1 << 20

	fragmentSize = SlotSize - 4 // bytes of a control message in a full fragment
	flagLast     = 0x01
)

// fragmentCount returns how many slots a control message of n bytes takes.
func fragmentCount(n int) int { return (n + fragmentSize - 1) / fragmentSize }

// putFragment writes a control slot with the next bytes of rest, and returns what is left of rest after it.
func putFragment(slot *[SlotSize]byte, rest []byte) []byte {
	n := min(len(rest), fragmentSize)
	var flags uint8
	if n == len(rest) {
		flags = flagLast
	}
	b := cryptobyte.NewFixedBuilder(slot[:0])
	b.AddUint8(header{kind: KindControl}.byte()) // kind     1
	b.AddUint8(flags)                            // flags    1
	b.AddUint16(uint16(n))                       // length   2
	b.AddBytes(rest[:n])                         // bytes    length
	clear(slot[len(b.BytesOrPanic()):])          // padding  rest; zeros: the record cipher hides them, and they cost no randomness
	return rest[n:]
}

// gather adds the fragment in slot to the message being received. It returns the message when the fragment is its last,
// else nil. The memory of a message grows with what has in fact arrived, never with what a peer announces. A message of
// one slot holds nothing of a budget: each link has room for a slot anyway.
func (in *inbox) gather(slot *[SlotSize]byte) ([]byte, error) {
	bytes, last, err := parseFragment(slot)
	if err != nil {
		return nil, err
	}
	if len(in.partial)+len(bytes) > MaxControl {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrControl, MaxControl)
	}
	if last && in.partial == nil {
		return append([]byte(nil), bytes...), nil
	}
	if err := in.reserve(len(bytes)); err != nil {
		return nil, err
	}
	in.partial = append(in.partial, bytes...)
	if !last {
		return nil, nil
	}
	whole := in.partial
	in.partial = nil
	return whole, nil
}

// reserve makes room for n bytes more, and has it from the budget before.
func (in *inbox) reserve(n int) error {
	if len(in.partial)+n <= cap(in.partial) {
		return nil
	}
	size := min(max(2*cap(in.partial), 2*fragmentSize), MaxControl)
	take := in.share.grow
	if in.held == 0 {
		take = in.share.begin
	}
	if !take(size - in.held) {
		return errCrowded
	}
	in.held = size
	in.partial = append(make([]byte, 0, size), in.partial...)
	return nil
}

// parseFragment takes a control slot apart. There is exactly one way to write a message: full fragments, then a last one
// of at least one byte, and zeros behind it.
func parseFragment(slot *[SlotSize]byte) (bytes []byte, last bool, err error) {
	var kind, flags uint8
	s := cryptobyte.String(slot[:])
	var fragment cryptobyte.String
	if !s.ReadUint8(&kind) || !s.ReadUint8(&flags) || !s.ReadUint16LengthPrefixed(&fragment) {
		return nil, false, fmt.Errorf("%w: length beyond the slot", ErrControl)
	}
	last = flags == flagLast
	switch {
	case flags > flagLast:
		return nil, false, fmt.Errorf("%w: flags %#02x", ErrControl, flags)
	case len(fragment) == 0:
		return nil, false, fmt.Errorf("%w: empty fragment", ErrControl)
	case !last && len(fragment) != fragmentSize:
		return nil, false, fmt.Errorf("%w: short fragment in mid-message", ErrControl)
	case !allZero(s):
		return nil, false, fmt.Errorf("%w: padding is not zero", ErrControl)
	}
	return fragment, last, nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
