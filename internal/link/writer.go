package link

import (
	"errors"
	"os"
	"time"
)

// write is the writer: it owns the sending side of TLS until the link ends. Without a schedule it sends what is due and
// sleeps while nothing is.
func (c *Conn) write(s *schedule) {
	defer close(c.flushed)
	var slot [SlotSize]byte
	for sent := uint64(0); ; sent++ {
		kind, ended := c.next(s, &slot)
		if ended {
			return
		}
		if err := c.writeSlot(&slot, sent); err != nil {
			c.shut(err)
			return
		}
		c.count.sent[kind].Add(1)
		if s != nil {
			c.count.skipped.Add(s.advance(time.Now()))
		}
	}
}

// next waits until a slot is to leave, and writes it into slot.
func (c *Conn) next(s *schedule, slot *[SlotSize]byte) (kind Kind, ended bool) {
	if s != nil {
		return c.nextOf(s, slot)
	}
	for {
		h, ok, wait, ended := c.queue.take(time.Now(), slot)
		if ok || ended {
			return h.kind, ended
		}
		c.queue.sleep(wait)
	}
}

// nextOf waits for the next instant of a schedule. What leaves then is what waits, or a dummy: the same work, a copy of
// a slot and the sealing of it. Only the end of the link is not waited for.
func (c *Conn) nextOf(s *schedule, slot *[SlotSize]byte) (kind Kind, ended bool) {
	for wait := time.Until(s.next); wait > 0; wait = time.Until(s.next) {
		if c.queue.over() {
			return 0, true
		}
		c.queue.sleep(wait)
	}
	h, ok, _, ended := c.queue.take(time.Now(), slot)
	if !ok {
		clear(slot[:])
		h = header{kind: KindDummy}
	}
	return h.kind, ended
}

func (c *Conn) writeSlot(slot *[SlotSize]byte, sent uint64) error {
	if sent >= c.maxSlots {
		return ErrSpent
	}
	if err := c.raw.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
		return bare(err)
	}
	c.faults.tap(slot)
	_, err := c.tls.Write(slot[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrStuck
	}
	return bare(err)
}
