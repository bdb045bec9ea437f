package link

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// write is the writer: it owns the sending side of TLS until the link ends. Without a schedule it sends what is due and
// sleeps while nothing is.
func (c *Conn) write(s *schedule) {
	defer close(c.flushed)
	var slot [SlotSize]byte
	for sent := uint64(0); ; {
		if pace := c.keeps.Swap(nil); pace != nil {
			s = pace.begin(time.Now(), nil)
		}
		kind, ok, ended := c.next(s, &slot)
		if ended {
			return
		}
		if !ok {
			continue
		}
		if err := c.writeSlot(&slot, sent); err != nil {
			c.shut(err)
			return
		}
		sent++
		c.count.sent[kind].Add(1)
		if s != nil {
			c.count.skipped.Add(s.advance(time.Now()))
		}
	}
}

// next waits until a slot is to leave, and writes it into slot; or, without ok, until something has changed.
func (c *Conn) next(s *schedule, slot *[SlotSize]byte) (kind Kind, ok, ended bool) {
	if s != nil {
		kind, ended = c.nextOf(s, slot)
		return kind, true, ended
	}
	h, ok, wait, ended := c.queue.take(time.Now(), slot)
	if !ok && !ended {
		c.queue.sleep(wait)
	}
	return h.kind, ok, ended
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

// Keep has this side keep a schedule from now on, in place of the one that it keeps; the zero Pace ends it. The
// error is that of a pace that is none.
func (c *Conn) Keep(pace Pace) error {
	if err := pace.validate(); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	c.keeps.Store(&pace)
	c.queue.pace(pace.Every > 0)
	return nil
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
