package link

import (
	"sync"
	"time"
)

// outgoing waits in a queue: a packet or forward, what is left to send of a control message, or a notice.
type outgoing struct {
	header  header
	packet  *[SlotSize]byte // shared with other links: only ever read
	control []byte          // owned
	cost    int             // of the share, until all of control is written
	notice  Notice
	urgent  bool      // a notice that does not wait for others
	due     time.Time // not to be sent before
}

// queue is what waits to be written on one link: packets and forwards in one line, control messages in another, notices in
// a third. The lines that have something to send are served in turn, one slot each, so a flood in one of them leaves the
// others their part of the link. Each line has its own bound.
type queue struct {
	wake  chan struct{} // capacity 1: something changed; only the writer receives
	share *share        // what control messages hold of a budget; given back here, and when the link ends

	mu           sync.Mutex // guards what follows; held for a few instructions, never during I/O
	control      fifo
	packets      fifo
	notices      fifo      // at most NoticeQueue
	flush        time.Time // when the notices are to leave, if there are any
	packetBound  int       // of packets, in slots
	controlSlots int       // slots that control still takes, at most ControlQueue
	paced        bool      // there is a schedule: a slot leaves in any case
	turn         int       // of the lines, in the order in which they stand here, whose turn it is
	draining     bool      // nothing more is taken in; what waits is still to be sent
	closed       bool      // nothing more is taken in or out
	cause        error
}

// lines is how many lines a queue has.
const lines = 3

func newQueue(bound int, paced bool) *queue {
	return &queue{wake: make(chan struct{}, 1), packetBound: bound, paced: paced}
}

// push takes o in, or says why not: ErrFull, ErrClosed.
func (q *queue) push(o outgoing) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.draining || q.closed {
		return closedBy(q.cause)
	}
	if !q.lineUpLocked(o) {
		return ErrFull
	}
	q.signal()
	return nil
}

// lineUpLocked puts o at the end of its line, if there is room.
func (q *queue) lineUpLocked(o outgoing) bool {
	switch o.header.kind {
	case KindControl:
		n := fragmentCount(len(o.control))
		if q.controlSlots+n > ControlQueue {
			return false
		}
		q.controlSlots += n
		q.control.push(o)
	case KindNotice:
		if q.notices.len() >= NoticeQueue {
			return false
		}
		if leave := o.leaves(); q.notices.len() == 0 || leave.Before(q.flush) {
			q.flush = leave
		}
		q.notices.push(o)
	default:
		if q.packets.len() >= q.packetBound {
			return false
		}
		q.packets.push(o)
	}
	return true
}

// leaves is when a notice is to leave at the latest.
func (o outgoing) leaves() time.Time {
	if o.urgent {
		return o.due
	}
	return o.due.Add(NoticeHold)
}

// take writes the next slot that is due at now into slot and returns what it is. Without ok there is none: the writer
// sleeps for wait, or until woken if wait is 0; and with ended there will never be one again.
func (q *queue) take(now time.Time, slot *[SlotSize]byte) (h header, ok bool, wait time.Duration, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return header{}, false, 0, true
	}
	for range lines {
		turn := q.turn
		q.turn = (turn + 1) % lines
		if h, ok := q.takeLocked(turn, now, slot); ok {
			return h, true, 0, false
		}
	}
	if q.paced && q.notices.due(now) { // rather than a dummy
		return q.takeNoticesLocked(now, slot), true, 0, false
	}
	empty := q.control.len()+q.packets.len()+q.notices.len() == 0
	return header{}, false, q.waitLocked(now), empty && q.draining
}

// takeLocked takes a slot out of a line, if there is one due.
func (q *queue) takeLocked(line int, now time.Time, slot *[SlotSize]byte) (header, bool) {
	switch {
	case line == 0 && q.control.due(now):
		q.takeFragmentLocked(slot)
		return header{kind: KindControl}, true
	case line == 1 && q.packets.due(now):
		o := q.packets.pop()
		*slot = *o.packet
		slot[0] = o.header.byte()
		return o.header, true
	case line == 2 && q.notices.due(now) && (q.draining || !q.flush.After(now)):
		return q.takeNoticesLocked(now, slot), true
	}
	return header{}, false
}

func (q *queue) takeNoticesLocked(now time.Time, slot *[SlotSize]byte) header {
	putNotices(slot, q.notices.popDue(now, MaxNotices))
	if q.notices.len() > 0 {
		q.flush = q.notices.first().due // they have waited long enough, or are late by a fault
	}
	return header{kind: KindNotice}
}

func (q *queue) takeFragmentLocked(slot *[SlotSize]byte) {
	first := q.control.first()
	first.control = putFragment(slot, first.control)
	q.controlSlots--
	if len(first.control) == 0 {
		q.share.finish(first.cost)
		q.control.pop()
	}
}

// waitLocked is how long it is until something is due; 0 if nothing waits.
func (q *queue) waitLocked(now time.Time) time.Duration {
	var wait time.Duration
	for _, line := range []*fifo{&q.control, &q.packets} {
		if line.len() == 0 {
			continue
		}
		if d := line.first().due.Sub(now); wait == 0 || d < wait {
			wait = d
		}
	}
	if d := q.flush.Sub(now); q.notices.len() > 0 && (wait == 0 || d < wait) {
		wait = d
	}
	return wait
}

// sleep returns when woken, or after wait if that is not 0.
func (q *queue) sleep(wait time.Duration) {
	if wait <= 0 {
		<-q.wake
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-q.wake:
	case <-timer.C:
	}
}

// pace says whether there is a schedule from now on.
func (q *queue) pace(paced bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paced = paced
	q.signal()
}

// over tells whether nothing will ever leave any more.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || q.draining && q.control.len()+q.packets.len()+q.notices.len() == 0
}

// drain lets nothing more in.
func (q *queue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.draining = true
	q.signal()
}

// close drops what waits. The first cause is the one that stays; first tells whether this was it.
func (q *queue) close(cause error) (first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.closed, q.cause = true, cause
	q.packets, q.control, q.notices, q.controlSlots = fifo{}, fifo{}, fifo{}, 0
	q.signal()
	return true
}

// end returns ErrClosed with the cause if the queue was closed, else nil.
func (q *queue) end() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		return nil
	}
	return closedBy(q.cause)
}

// waiting is how many slots wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.packets.len() + q.controlSlots + (q.notices.len()+MaxNotices-1)/MaxNotices
}

// signal wakes the writer, now or when it next sleeps.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// fifo is a first-in first-out line in one slice. Its memory is at most twice what it held at its longest.
type fifo struct {
	items []outgoing
	head  int // items before it are gone
}

func (f *fifo) len() int         { return len(f.items) - f.head }
func (f *fifo) first() *outgoing { return &f.items[f.head] }

func (f *fifo) due(now time.Time) bool {
	return f.len() > 0 && !f.first().due.After(now)
}

func (f *fifo) push(o outgoing) {
	if f.head > 0 && len(f.items) == cap(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, o)
}

func (f *fifo) pop() outgoing {
	o := f.items[f.head]
	f.items[f.head] = outgoing{} // let go of the packet
	f.head++
	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
	return o
}

// popDue takes out what is due, n at most. It is good until the next push.
func (f *fifo) popDue(now time.Time, n int) []outgoing {
	from := f.head
	for f.due(now) && f.head-from < n {
		f.head++
	}
	due := f.items[from:f.head]
	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
	return due
}
