package link

import "sync/atomic"

// Stats are the counters of one link since it was made.
type Stats struct {
	Sent     [kindCount]uint64 // slots written, by Kind
	Received [kindCount]uint64 // slots read, by Kind; those of KindDummy were dropped
	Full     uint64            // packets, forwards and control messages refused with ErrFull
	Lost     uint64            // packets, forwards and control messages lost by Faults
	Skipped  uint64            // instants of the schedule that passed while the network took a slot
	Queued   int               // slots that wait to be written now
}

// counters is what Stats is read from.
type counters struct {
	sent, received [kindCount]atomic.Uint64
	full, lost     atomic.Uint64
	skipped        atomic.Uint64
}

// Stats returns the counters of this moment. The greeting is not in them.
func (c *Conn) Stats() Stats {
	s := Stats{Full: c.count.full.Load(), Lost: c.count.lost.Load(), Skipped: c.count.skipped.Load(), Queued: c.queue.waiting()}
	for kind := range kindCount {
		s.Sent[kind] = c.count.sent[kind].Load()
		s.Received[kind] = c.count.received[kind].Load()
	}
	return s
}
