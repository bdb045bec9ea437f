package mor

import (
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// This file compares clocks without asking anybody for the time: a packet names its epoch, and
// honest neighbours say again what is of their epoch or one beside it.

// A hearing is when a listener heard its last packet, and from how far.
type hearing struct {
	at     int64 // Unix nanoseconds; zero: there was none
	epochs int32 // of the packet, after ours
}

// far reports whether the packet was refused for its epoch.
func (h hearing) far() bool { return h.epochs < -1 || h.epochs > 1 }

// fresh reports whether h tells of now: for two epochs, also if our clock was set meanwhile.
func (h hearing) fresh(now time.Time) bool {
	return h.at != 0 && time.Duration(now.UnixNano()-h.at).Abs() < 2*onion.EpochLength
}

// A ClockStatus compares our clock with those of the neighbours that were heard in the last two
// epochs, by the last packet of each. If the packets of one among many are refused, its clock is
// wrong, or it lies; if those of most are, it is ours. With one neighbour only there is no telling
// which of the two.
type ClockStatus struct {
	Neighbours int // that were heard
	Far        int // of these, those whose packets were refused for their epoch
	Epochs     int // how far the clocks of those are ahead of ours, in epochs of 30 minutes: the median; less than 0: behind
}

// Wrong reports whether our own clock is wrong: more than half of the neighbours say so.
func (s ClockStatus) Wrong() bool { return 2*s.Far > s.Neighbours }

// Clock returns how our clock compares with those of the neighbours. A neighbour counts as far only if all of its
// contexts that we listen to are.
func (r *Router) Clock(now time.Time) ClockStatus {
	nearest := make(map[pki.Domain]int32)
	for l := range r.listeners.all() { // takes the least distance, of two equal ones the later
		if old, known := nearest[l.owner]; l.last.fresh(now) && (!known || nearer(l.last.epochs, old)) {
			nearest[l.owner] = l.last.epochs
		}
	}
	var far []int32
	for _, epochs := range nearest { // order-free: sorted below
		if (hearing{epochs: epochs}).far() {
			far = append(far, epochs)
		}
	}
	slices.Sort(far)
	s := ClockStatus{Neighbours: len(nearest), Far: len(far)}
	if len(far) > 0 {
		s.Epochs = int(far[len(far)/2])
	}
	return s
}

// nearer reports whether a is nearer to 0 than b, or as near and later.
func nearer(a, b int32) bool {
	return max(a, -a) < max(b, -b) || max(a, -a) == max(b, -b) && a > b
}
