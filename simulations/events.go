package simulations

import (
	"container/heap"
	"time"
)

// event is something that happens at an instant.
type event struct {
	at    time.Time
	order uint64 // of two at the same instant, the one that was planned first
	do    func()
}

// agenda is a heap of events.
type agenda []event

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	if c := a[i].at.Compare(a[j].at); c != 0 {
		return c < 0
	}
	return a[i].order < a[j].order
}

// Push and Pop are for container/heap.
func (a *agenda) Push(x any) { *a = append(*a, x.(event)) }

// Pop is for container/heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = event{}
	*a = (*a)[:last]
	return e
}

// After plans do for delay from now, in virtual time: a fault, for instance, or a send.
func (w *World) After(delay time.Duration, do func()) { w.at(w.now.Add(delay), do) }

func (w *World) at(when time.Time, do func()) {
	if when.Before(w.now) {
		when = w.now
	}
	w.planned++
	heap.Push(&w.agenda, event{when, w.planned, do})
}

// Run lets d pass. What is planned for later stays planned.
func (w *World) Run(d time.Duration) { w.RunUntil(d, func() bool { return false }) }

// RunUntil lets time pass until done, but not more than d. It reports whether done was.
func (w *World) RunUntil(d time.Duration, done func() bool) bool {
	end := w.now.Add(d)
	for !done() {
		if len(w.agenda) == 0 || w.agenda[0].at.After(end) {
			w.now = end
			return done()
		}
		e := heap.Pop(&w.agenda).(event)
		w.now = e.at
		w.counts.Events++
		e.do()
	}
	return true
}
