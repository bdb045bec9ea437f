package validate_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
	"github.com/p3do/p3do/simulations/validate"
)

// seeded is a source of its own for each seed and label.
func seeded(seed uint64, label string) chance.Source {
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(label), seed)))
}

// All that is known is found.
func TestChecks(t *testing.T) {
	for _, c := range validate.Checks() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			f := c.Run(validate.Real(seeded), 1)
			t.Logf("known %.4f  measured %s  deviation %+.4f  allowed %.4f", f.Known, f.Measured, f.Deviation(), f.Allowed)
			if !f.Passed() {
				t.Errorf("%s: known %.4f, measured %s, allowed %.4f", c.Source, f.Known, f.Measured, f.Allowed)
			}
		})
	}
}

// late is a queue that gives what was planned last.
type late struct{ events []kernel.Event }

func (q *late) Push(e kernel.Event) { q.events = append(q.events, e) }
func (q *late) Len() int            { return len(q.events) }

func (q *late) Next() (kernel.Time, bool) {
	if len(q.events) == 0 {
		return 0, false
	}
	return q.events[len(q.events)-1].At, true
}

func (q *late) Pop() (kernel.Event, bool) {
	if len(q.events) == 0 {
		return kernel.Event{}, false
	}
	e := q.events[len(q.events)-1]
	q.events = q.events[:len(q.events)-1]
	return e, true
}

// coarse is a queue that does not know a millisecond from the next, as one with buckets that are not sorted.
type coarse struct{ kernel.Heap }

func (q *coarse) Push(e kernel.Event) {
	e.At = e.At / 1_000_000 * 1_000_000
	q.Heap.Push(e)
}

// leaning is a source that leans to small numbers: of two it gives the less.
type leaning struct{ chance.Source }

func (s leaning) Uint64() uint64 { return min(s.Source.Uint64(), s.Source.Uint64()) }

// stuck is a source that begins anew after a hundred numbers.
type stuck struct {
	numbers [100]uint64
	next    int
}

func (s *stuck) Uint64() uint64 {
	s.next++
	return s.numbers[s.next%len(s.numbers)]
}

// Each broken instrument makes checks fail, among them those that are about it.
func TestBrokenInstrumentsFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*validate.Instruments)
		about  string // the checks that are run begin with it
	}{
		{"queue: the last first", func(i *validate.Instruments) { i.Queue = func() kernel.Queue { return new(late) } }, "flood, 10 000 nodes of degree 8: latest"},
		{"queue: coarse", func(i *validate.Instruments) { i.Queue = func() kernel.Queue { return new(coarse) } }, "flood, 10 000 nodes of degree 8: latest"},
		{"source: leaning", func(i *validate.Instruments) {
			i.Source = func(seed uint64, label string) chance.Source { return leaning{seeded(seed, label)} }
		}, "1 layers of 10 Poisson mixes, 1 s"},
		{"source: leaning", func(i *validate.Instruments) {
			i.Source = func(seed uint64, label string) chance.Source { return leaning{seeded(seed, label)} }
		}, "crowd of 100"},
		{"source: stuck", func(i *validate.Instruments) {
			i.Source = func(seed uint64, label string) chance.Source {
				s := new(stuck)
				for n := range s.numbers {
					s.numbers[n] = seeded(seed+uint64(n), label).Uint64()
				}
				return s
			}
		}, "push gossip, 5 000 nodes, fanout 2"},
		{"first spy: names the second", func(i *validate.Instruments) {
			i.First = func(seen []rivals.Sighting) attack.Suspects {
				s := attack.First(seen)
				return s[min(1, len(s)):]
			}
		}, "first spy"},
		{"first spy: the last to be heard from", func(i *validate.Instruments) {
			i.First = func(seen []rivals.Sighting) attack.Suspects {
				s := attack.First(seen)
				return s[max(0, len(s)-1):]
			}
		}, "first spy"},
		{"entropy in nats", func(i *validate.Instruments) {
			i.Entropy = func(p measure.Posterior) float64 { return p.Entropy() * math.Ln2 }
		}, "3 layers of 10 Poisson mixes, 1 s"},
		{"paths: any relay for all", func(i *validate.Instruments) {
			i.Count = func(paths [][]uint32, bad attack.Coalition) attack.PathCount {
				c := attack.CountPaths(paths, bad)
				c.All = c.Any
				return c
			}
		}, "path of"},
	} {
		t.Run(c.name+", "+c.about, func(t *testing.T) {
			t.Parallel()
			broken := validate.Real(seeded)
			c.change(&broken)
			run := 0
			for _, check := range validate.Checks() {
				if !strings.HasPrefix(check.Name, c.about) {
					continue
				}
				run++
				if f := check.Run(broken, 1); f.Passed() {
					t.Errorf("%s passes: known %.4f, measured %s", check.Name, f.Known, f.Measured)
				}
			}
			if run == 0 {
				t.Error("there is no such check")
			}
		})
	}
}

// A finding without a figure has not passed.
func TestNothingIsNoPass(t *testing.T) {
	for _, f := range []validate.Finding{{Known: math.NaN(), Measured: measure.Mean([]float64{1})}, {Known: 1, Measured: measure.Mean(nil), Allowed: 9}} {
		if f.Passed() {
			t.Errorf("%+v", f)
		}
	}
}
