package simulations

import (
	"time"

	"github.com/p3do/p3do/simulations/kernel"
)

// A diary holds what is planned: the queue of the kernel says when, and What is the place of it here.
type diary struct {
	queue kernel.Queue
	plans []func()
	free  []uint32 // places of plans that are carried out
}

func (d *diary) plan(at kernel.Time, do func()) {
	place := uint32(len(d.plans))
	if last := len(d.free) - 1; last >= 0 {
		place, d.free = d.free[last], d.free[:last]
		d.plans[place] = do
	} else {
		d.plans = append(d.plans, do)
	}
	d.queue.Push(kernel.Event{At: at, What: place})
}

// next takes the first plan up to an instant; false if there is none.
func (d *diary) next(end kernel.Time) (at kernel.Time, do func(), ok bool) {
	if at, ok := d.queue.Next(); !ok || at > end {
		return 0, nil, false
	}
	e, _ := d.queue.Pop()
	do = d.plans[e.What]
	d.plans[e.What] = nil
	d.free = append(d.free, e.What)
	return e.At, do, true
}

// After plans do for delay from now, in virtual time: a fault, for instance, or a send.
func (w *World) After(delay time.Duration, do func()) { w.at(w.now.Add(delay), do) }

func (w *World) at(when time.Time, do func()) {
	if when.Before(w.now) {
		when = w.now
	}
	w.diary.plan(w.since(when), do)
}

// since is an instant as the kernel has it: nanoseconds since the beginning of the world.
func (w *World) since(when time.Time) kernel.Time { return kernel.Time(when.Sub(w.cfg.Start)) }

// Run lets d pass. What is planned for later stays planned.
func (w *World) Run(d time.Duration) { w.RunUntil(d, func() bool { return false }) }

// RunUntil lets time pass until done, but not more than d. It reports whether done was.
func (w *World) RunUntil(d time.Duration, done func() bool) bool {
	end := w.now.Add(d)
	for !done() {
		at, do, ok := w.diary.next(w.since(end))
		if !ok {
			w.now = end
			return done()
		}
		w.now = w.cfg.Start.Add(time.Duration(at))
		w.counts.Events++
		do()
	}
	return true
}
