package mor

import (
	"slices"
	"time"

	"github.com/p3do/p3do/pki"
)

// This file is how a Sender finds out which relays to leave alone. A copy that is answered
// speaks for all relays that it went over; a copy that is not speaks against
// all of them, dead or not. So what is counted is what went wrong since something went right:
// a relay that lives is cleared by every answer, and one that is dead never is.

const (
	// doubtHalves is the time in which half of the doubts about a relay are forgotten: who
	// comes back is tried again.
	doubtHalves = time.Hour
	// maxDoubt is how many copies are counted against a relay at most.
	maxDoubt = 1 << 12
)

// faded is how many copies still count against the relay at now.
func (d Doubt) faded(now time.Time) int {
	return d.Copies >> min(max(now.Sub(d.At)/doubtHalves, 0), 32)
}

// doubt counts the copies that are waited for against their relays, each once: there is to be
// another because nothing came of them in time.
func (s *Sender) doubt(now time.Time, waiting []Waiting) {
	for i := range waiting {
		w := &waiting[i]
		if w.Late {
			continue
		}
		w.Late = true
		for _, relay := range w.Relays {
			s.change(Doubt{relay, min(s.doubts[relay].faded(now)+1, maxDoubt), now})
		}
	}
}

// excuse sees to it that the last copy never counts against its relays: our node did not
// take it. Its receipt is still waited for, since a link may break after the packet and before
// our node's word.
func excuse(waiting []Waiting) {
	if n := len(waiting); n > 0 {
		waiting[n-1].Late = true // those before it were late when it was made
	}
}

// trust takes back all doubts about relays: something came back over them.
func (s *Sender) trust(relays []pki.Domain) {
	for _, relay := range relays {
		if d, doubted := s.doubts[relay]; doubted {
			s.change(Doubt{Relay: relay, At: d.At})
		}
	}
}

// change replaces the doubt about one relay.
func (s *Sender) change(d Doubt) {
	if d.Copies == 0 {
		delete(s.doubts, d.Relay)
	} else {
		s.doubts[d.Relay] = d
	}
	s.changed = append(slices.DeleteFunc(s.changed, func(old Doubt) bool { return old.Relay == d.Relay }), d)
}

// doubted is how many copies count against each relay at now.
func (s *Sender) doubted(now time.Time) map[pki.Domain]int {
	doubts := make(map[pki.Domain]int, len(s.doubts))
	for relay, d := range s.doubts { // order-free: each by itself
		doubts[relay] = d.faded(now)
	}
	return doubts
}
