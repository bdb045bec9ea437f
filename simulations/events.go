package simulations

import (
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations/kernel"
)

// A kind is what an event is. It is in the upper bits of Event.What; the others are a number: of a cargo, or of a plan.
type kind uint32

const (
	said      kind = iota // To is a link; the number is that of the packet that was said there
	forwarded             // the same, for its owner
	announced             // the same, but only news of the packet came
	wanted                // the same, but the packet is wanted
	pruned                // To is a link; what was said the other way was late
	tick                  // To is a node
	planned               // the number is that of a plan

	numberBits = 28
	numberMask = 1<<numberBits - 1
)

func what(k kind, number uint32) uint32 { return uint32(k)<<numberBits | number }

// A diary holds what is planned: the queue of the kernel says when, and Event.What what it is. What happens all the time is
// in the event itself; plans are for the rest.
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
	d.queue.Push(kernel.Event{At: at, What: what(planned, place)})
}

// take returns a plan, and forgets it.
func (d *diary) take(place uint32) func() {
	do := d.plans[place]
	d.plans[place] = nil
	d.free = append(d.free, place)
	return do
}

// A cargo is a packet that is on its way on some links, or of which there is news.
type cargo struct {
	id     onion.ID
	packet onion.Packet
	links  int // on which it is
}

// A depot numbers the packets that are on their way. When the last has arrived the number is given to another.
type depot struct {
	cargoes []cargo
	free    []uint32
	numbers map[onion.ID]uint32
}

// number is that of a packet.
func (d *depot) number(id onion.ID) uint32 {
	number, ok := d.numbers[id]
	if ok {
		return number
	}
	if last := len(d.free) - 1; last >= 0 {
		number, d.free = d.free[last], d.free[:last]
	} else {
		number = uint32(len(d.cargoes))
		d.cargoes = append(d.cargoes, cargo{})
	}
	d.cargoes[number] = cargo{id: id}
	d.numbers[id] = number
	return number
}

// load has a packet be on n more links.
func (d *depot) load(number uint32, n int) {
	c := &d.cargoes[number]
	if c.links += n; c.links == 0 {
		delete(d.numbers, c.id)
		*c = cargo{}
		d.free = append(d.free, number)
	}
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
	last := w.since(end)
	for !done() {
		if at, ok := w.diary.queue.Next(); !ok || at > last {
			w.now = end
			return done()
		}
		e, _ := w.diary.queue.Pop()
		w.now = w.cfg.Start.Add(time.Duration(e.At))
		w.counts.Events++
		w.happen(e)
	}
	return true
}

// happen is one event.
func (w *World) happen(e kernel.Event) {
	switch k, number := kind(e.What>>numberBits), e.What&numberMask; k {
	case planned:
		w.diary.take(number)()
	case tick:
		w.nodes[e.To].due(e.At)
	case pruned:
		l := &w.links[e.To]
		l.to.notice(func(r *mor.Router) mor.Output { return r.Pruned(l.to.now(), l.heard, l.from.Domain()) })
	default:
		c := w.depot.cargoes[number]
		w.depot.load(number, -1)
		w.arrive(&w.links[e.To], k, c)
	}
}

// arrive is the end of a packet's way over a link, or of the news of it, or of the wish for it.
func (w *World) arrive(l *way, k kind, c cargo) {
	switch k {
	case said, forwarded:
		l.to.hear(l.from, l.spoken, c.packet, k == forwarded)
	case announced:
		if l.to.watcher != nil && !l.to.down {
			l.to.watcher.Noticed(l.spoken, l.from.Domain(), c.id)
		}
		l.to.notice(func(r *mor.Router) mor.Output { return r.Announced(l.to.now(), l.spoken, c.id) })
	case wanted:
		l.to.notice(func(r *mor.Router) mor.Output { return r.Fetched(l.to.now(), l.heard, l.from.Domain(), c.id) })
	}
}

// carry brings something to the other end of a link, or loses it. It reports whether it is on its way.
func (w *World) carry(link uint32, what uint32) bool {
	if w.cfg.Loss > 0 && w.random.Float64() < w.cfg.Loss {
		w.counts.Lost++
		return false
	}
	delay := w.links[link].latency
	if w.cfg.Jitter > 0 {
		delay += time.Duration(w.random.Int64N(int64(w.cfg.Jitter)))
	}
	w.diary.queue.Push(kernel.Event{At: w.since(w.now.Add(delay)), To: link, What: what})
	return true
}
