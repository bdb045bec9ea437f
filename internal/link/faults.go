package link

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// maxDelay bounds Faults.Delay.
const maxDelay = time.Minute

// Faults makes a link bad on purpose: whole slots are lost and late, above TLS, on the sending side. For tests and the
// lab; a nil *Faults has no effect. One Faults may serve many links: they draw from the same source, in the order in
// which they send. A lost slot counts in Stats.Lost and as sent successfully, as on a bad network. A delayed slot stays
// in the queue until its time, so Delay times rate must fit the queue; order is kept.
type Faults struct {
	Loss    float64       // probability, 0 to 1, that a packet or forward slot is lost
	Delay   time.Duration // how long each waits before it is sent: 0 to 1 minute
	Control bool          // do the same to control messages; they are lost whole, since fragments have no numbers

	Tap func(slot *[SlotSize]byte) // if set, is shown each slot before it is sealed, dummies and all; it may be called from many goroutines

	mu   sync.Mutex // guards Rand
	Rand *rand.Rand // seeded source of losses; needed if Loss > 0
}

// validate accepts nil.
func (f *Faults) validate() error {
	switch {
	case f == nil:
		return nil
	case !(f.Loss >= 0 && f.Loss <= 1): // also refuses NaN
		return errors.New("faults: loss is not between 0 and 1")
	case f.Delay < 0 || f.Delay > maxDelay:
		return errors.New("faults: delay is not between 0 and 1m")
	case f.Loss > 0 && f.Rand == nil:
		return errors.New("faults: loss without a source")
	}
	return nil
}

// touches tells whether f applies to slots of this kind.
func (f *Faults) touches(kind Kind) bool {
	return f != nil && (kind != KindControl || f.Control)
}

// loses draws whether one slot or control message is lost.
func (f *Faults) loses(kind Kind) bool {
	if !f.touches(kind) || f.Loss == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Rand.Float64() < f.Loss
}

// due is when something queued at now may be sent.
func (f *Faults) due(kind Kind, now time.Time) time.Time {
	if !f.touches(kind) {
		return now
	}
	return now.Add(f.Delay)
}

// tap shows a slot to whoever taps the link.
func (f *Faults) tap(slot *[SlotSize]byte) {
	if f != nil && f.Tap != nil {
		f.Tap(slot)
	}
}
