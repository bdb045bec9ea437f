package study

import (
	"context"
	"runtime"
	"sync"

	"github.com/p3do/p3do/simulations/measure"
)

// A Unit is one world: a point of a study, by its place, and a seed.
type Unit struct {
	Point int
	Seed  uint64
}

// Units lists all of a study: the seeds of each point together.
func (s *Study) Units() (all []Unit) {
	for i := range s.Points {
		for _, seed := range s.Seeds {
			all = append(all, Unit{i, seed})
		}
	}
	return all
}

// Run plays units on all processors, and hands over each outcome as soon as it is there, one at a time and in no particular
// order. It ends with the first error, of a world or of done, or when ctx does; worlds that are being played then are played to their end.
func (s *Study) Run(ctx context.Context, units []Unit, done func(Unit, *Outcome) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan Unit)
	var mu sync.Mutex // guards done
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(units)) {
		workers.Go(func() {
			for u := range next {
				o, err := Play(s.Points[u.Point].Scenario, u.Seed)
				mu.Lock()
				if err == nil {
					err = done(u, o)
				}
				mu.Unlock()
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, u := range units {
		select {
		case next <- u:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// A Result is a metric at a point.
type Result struct {
	Point    Point
	Metric   Metric
	Interval measure.Interval
}

// Summarise makes results of the outcomes of all points: metric by metric, point by point. outcomes holds those of each point, in the
// order of their seeds.
func (s *Study) Summarise(outcomes [][]*Outcome) (results []Result) {
	for _, m := range Metrics() {
		for i, p := range s.Points {
			results = append(results, Result{p, m, m.Over(outcomes[i])})
		}
	}
	return results
}
