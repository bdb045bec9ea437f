package link

import (
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Specification constants.
const (
	// NoticeSize is the length in bytes of a notice. What it says is a matter of the two programs.
	NoticeSize = 49

	// MaxNotices is how many notices a slot holds: 334.
	MaxNotices = (SlotSize - 3) / NoticeSize
)

// Implementation constants.
const (
	// NoticeQueue is how many notices may wait on a link: 12 slots of them. The newest beyond it is refused with ErrFull.
	NoticeQueue = 12 * MaxNotices

	// NoticeHold is how long a notice waits at most for others to share its slot with, on a link without a schedule: alone
	// it would cost as much as the packet that it tells of.
	NoticeHold = 200 * time.Millisecond
)

// A Notice is a short word between two programs, of which a slot holds many. It may be lost where a packet may be lost.
type Notice [NoticeSize]byte

// SendNotice queues a notice, to leave within NoticeHold, or at once if that is urgent; all that wait leave together, in
// the order of the calls. It never blocks. Errors: ErrFull, ErrClosed.
func (c *Conn) SendNotice(n Notice, urgent bool) error {
	return c.send(outgoing{header: header{kind: KindNotice}, notice: n, urgent: urgent})
}

// putNotices writes a notice slot.
func putNotices(slot *[SlotSize]byte, notices []outgoing) {
	b := cryptobyte.NewFixedBuilder(slot[:0])
	b.AddUint8(header{kind: KindNotice}.byte()) // kind     1
	b.AddUint16(uint16(len(notices)))           // count    2, at least 1
	for i := range notices {
		b.AddBytes(notices[i].notice[:]) // notices  49 each
	}
	clear(slot[len(b.BytesOrPanic()):]) // padding  rest
}

// parseNotices takes a notice slot apart. There is one way only to write it.
func parseNotices(slot *[SlotSize]byte) ([]Notice, error) {
	s := cryptobyte.String(slot[1:])
	var count uint16
	if !s.ReadUint16(&count) || count == 0 || count > MaxNotices {
		return nil, fmt.Errorf("%w: %d notices", ErrSlot, count)
	}
	notices := make([]Notice, count)
	for i := range notices {
		s.CopyBytes(notices[i][:]) // there is room: count is bounded
	}
	if !allZero(s) {
		return nil, fmt.Errorf("%w: padding of notices is not zero", ErrSlot)
	}
	return notices, nil
}
