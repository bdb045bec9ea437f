package link

import (
	cryptorand "crypto/rand"
	"errors"
	"math/rand/v2"
	"time"
)

// Implementation constants.
const (
	// MinPace and MaxPace bound Pace.Every.
	MinPace = time.Millisecond
	MaxPace = time.Minute

	// longestGap is how many times Every the gap between two slots of a random schedule may be.
	longestGap = 10
)

// A Pace is when a side of a link emits slots, whatever it has to say: at each instant of the schedule one slot leaves, with
// what waits or a dummy. The zero Pace is none: what is queued leaves at once, and an idle link is silent.
type Pace struct {
	Every   time.Duration // mean time between two slots, MinPace to MaxPace; 0: no schedule
	Poisson bool          // the times between are exponential (10 times Every at most), drawn anew for each; else constant
}

// PerDay is how many bytes a link with p emits on the wire in a day, in one direction and above TCP; 0 if there is no
// schedule. A record has 16 406 bytes.
func (p Pace) PerDay() uint64 {
	if p.Every <= 0 {
		return 0
	}
	return uint64(24*time.Hour/p.Every) * recordSize
}

func (p Pace) validate() error {
	if p != (Pace{}) && (p.Every < MinPace || p.Every > MaxPace) {
		return errors.New("pace is not between 1ms and 1m")
	}
	return nil
}

// A schedule is the instants of one side of one link. It begins when the link stands, at a random point of its first
// interval, and nothing that is sent or received moves it.
type schedule struct {
	pace   Pace
	next   time.Time
	random *rand.Rand
}

// begin is the schedule of a link that stands since now; nil without a pace. Without a source it has one of its own that
// nobody can foretell.
func (p Pace) begin(now time.Time, random *rand.Rand) *schedule {
	if p.Every <= 0 {
		return nil
	}
	if random == nil {
		var seed [32]byte
		cryptorand.Read(seed[:]) // never fails
		random = rand.New(rand.NewChaCha8(seed))
	}
	return &schedule{pace: p, next: now.Add(time.Duration(random.Int64N(int64(p.Every)))), random: random}
}

// advance moves to the first instant after now, and returns how many were passed over. While the network took a slot too
// slowly instants went by; to make up for them would be a burst after each such wait, and its length would tell how much
// there was to say.
func (s *schedule) advance(now time.Time) (skipped uint64) {
	for s.next = s.next.Add(s.gap()); s.next.Before(now); s.next = s.next.Add(s.gap()) {
		skipped++
	}
	return skipped
}

func (s *schedule) gap() time.Duration {
	if !s.pace.Poisson {
		return s.pace.Every
	}
	gap := min(s.random.ExpFloat64(), longestGap)
	return max(time.Duration(gap*float64(s.pace.Every)), time.Microsecond)
}
