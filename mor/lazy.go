package mor

import (
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// This file is how a flood costs each server little more than one body: a packet goes over eager
// links, and over the lazy ones only the news of it. A link is lazy once it brought what was there
// already LateCopies times in a row, and eager again once something had to be fetched over it, so that
// the eager ones grow into a tree (Leitão, Pereira, Rodrigues: Epidemic Broadcast Trees, SRDS 2007; there
// one late copy is enough, but here floods begin everywhere at once, and several of them would cut a ring
// in several places). Whether a body is fetched depends on whether it was seen, and on nothing else: not
// on whose tag it bears.

// Specification constants (docs/spec/mor.md, "Announcements").
const (
	// MaxAwaited is how many announced bodies may be waited for on the account of one heard context.
	// What is announced beyond is dropped and counted as unwaited.
	MaxAwaited = 512
	// MaxAnnouncers is how many neighbours are remembered as having one body, to be asked in turn.
	MaxAnnouncers = 8
	// MaxBodies is how many packets are kept to be fetched, 16 MiB; the oldest go first, and none
	// is kept for longer than BodyKept.
	MaxBodies = 1024
	BodyKept  = 30 * time.Second

	// FetchRounds is how often each announcer is asked for a body.
	FetchRounds = 2
	// LateCopies is how many packets in a row a neighbour has to bring after another one did, for the link
	// with it to be made lazy.
	LateCopies = 6

	// fetchSpread is how much later than FetchAfter the first to ask for a body may do so, in times of it: if
	// all that are cut off asked at once, each would be sent what the others pass on.
	fetchSpread = 8

	defaultFetchAfter = 250 * time.Millisecond
)

// A Notice is the news of a packet, for one neighbour: that we have it, that we want it, or that what
// it said on its context was here already.
type Notice struct {
	To    pki.Domain
	On    ContextID // ours if we announce; else the neighbour's, that we hear
	ID    onion.ID  // zero in a Prune
	Again bool      // of an Announce: of what we say again; else of our own making
}

// An edge is our context and a member of it.
type edge struct {
	on ContextID
	to pki.Domain
}

// A habit is how a link is used.
type habit struct {
	lazy bool
	late int // packets in a row that it brought too late
}

// floods is which links are lazy, which bodies were said lately, and which are waited for.
type floods struct {
	edges  map[edge]habit // those that are not as new
	bodies map[onion.ID]*body
	line   []*body // the same, the oldest first
	waits  []*wait // the soonest first
	waited map[onion.ID]*wait
	load   map[ContextID]int // how many waits began with news on a context
}

// A body is a packet that was heard or made lately.
type body struct {
	id     onion.ID
	at     time.Time
	from   pki.Domain    // who said it first; zero: we did
	loose  bool          // it came otherwise than by a flood's way: forwarded, or asked for
	packet onion.Packet  // zero until we said it
	on     []*ownContext // where we said it
}

// A wait is for a body that was announced.
type wait struct {
	id    onion.ID
	due   time.Time
	by    []ContextID // that brought the news, first come first; at most MaxAnnouncers
	asked int
	load  ContextID
}

func newFloods() floods {
	return floods{
		edges: make(map[edge]habit), bodies: make(map[onion.ID]*body),
		waited: make(map[onion.ID]*wait), load: make(map[ContextID]int),
	}
}

// Announced takes the news that a neighbour has the body of id, and would have said it on its context
// heard. If it does not come by itself it is fetched, from whoever has announced it.
func (r *Router) Announced(now time.Time, heard ContextID, id onion.ID) Output {
	r.begin(now)
	if l := r.listeners.find(heard); l != nil && r.cfg.Lazy {
		l.speak.counters.Noticed++
		if !r.seen.knows(id) && !r.expect(now, heard, id) {
			l.speak.counters.Dropped[DropUnwaited]++
		}
	}
	return r.end(now)
}

// expect notes that id is to come, and that the owner of heard has it. It reports whether there was room.
func (r *Router) expect(now time.Time, heard ContextID, id onion.ID) bool {
	f := &r.floods
	if w := f.waited[id]; w != nil {
		if !slices.Contains(w.by, heard) && len(w.by) < MaxAnnouncers {
			w.by = append(w.by, heard)
		}
		return true
	}
	if f.load[heard] >= MaxAwaited {
		return false
	}
	f.load[heard]++
	w := &wait{id: id, by: []ContextID{heard}, load: heard}
	f.waited[id] = w
	r.postpone(now, w)
	return true
}

// postpone has w be due after a pause of FetchAfter or somewhat more.
func (r *Router) postpone(now time.Time, w *wait) {
	spread := r.cfg.FetchAfter
	if w.asked == 0 {
		spread *= fetchSpread
	}
	w.due = now.Add(r.cfg.FetchAfter + time.Duration(r.random()%uint64(spread)))
	i, _ := slices.BinarySearchFunc(r.floods.waits, w, func(a, b *wait) int { return a.due.Compare(b.due) })
	r.floods.waits = slices.Insert(r.floods.waits, i, w)
}

// chase asks for what is due, each time the next that announced it, until all have been asked FetchRounds times.
func (r *Router) chase(now time.Time) {
	f := &r.floods
	for len(f.waits) > 0 && !f.waits[0].due.After(now) {
		w := f.waits[0]
		f.waits = slices.Delete(f.waits, 0, 1)
		if w.asked >= FetchRounds*len(w.by) {
			f.forgetWait(w)
			continue
		}
		r.fetch(w.by[w.asked%len(w.by)], w.id)
		w.asked++
		r.postpone(now, w)
	}
}

// fetch asks the owner of heard for a body, and has what is said there come by itself from now on.
func (r *Router) fetch(heard ContextID, id onion.ID) {
	l := r.listeners.find(heard)
	if l == nil {
		return // it is gone
	}
	delete(r.floods.edges, edge{l.speak.ID, l.owner})
	l.speak.counters.Asked++
	out := r.out()
	out.Fetch = append(out.Fetch, Notice{To: l.owner, On: heard, ID: id})
}

func (f *floods) forgetWait(w *wait) {
	delete(f.waited, w.id)
	if f.load[w.load]--; f.load[w.load] == 0 {
		delete(f.load, w.load)
	}
}

// Fetched takes a member's wish for a body that we announced on our context on: it is said to that
// member alone, and what is said there from now on goes to it whole. What is not kept any more is not given.
func (r *Router) Fetched(now time.Time, on ContextID, member pki.Domain, id onion.ID) Output {
	r.begin(now)
	if c := r.context(on); c != nil && slices.Contains(r.members[on], member) {
		delete(r.floods.edges, edge{on, member})
		if b := r.floods.bodies[id]; b != nil && slices.Contains(b.on, c) {
			c.counters.Given++
			out := r.out()
			out.Broadcast = append(out.Broadcast, Speech{On: on, Packet: b.packet, Again: true, To: []pki.Domain{member}})
		}
	}
	return r.end(now)
}

// Pruned takes a member's word that what we said on our context on was there already: it is told of
// packets there from now on, and no more sent them.
func (r *Router) Pruned(now time.Time, on ContextID, member pki.Domain) Output {
	r.begin(now)
	if r.cfg.Lazy && slices.Contains(r.members[on], member) {
		r.floods.edges[edge{on, member}] = habit{lazy: true}
	}
	return r.end(now)
}

// arrived notes a packet that was not seen before: nobody is waited for any more.
func (r *Router) arrived(now time.Time, l *listener, id onion.ID, forwarded bool) {
	if !r.cfg.Lazy {
		return
	}
	f, e := &r.floods, edge{l.speak.ID, l.owner}
	if !f.edges[e].lazy {
		delete(f.edges, e)
	}
	asked := false
	if w := f.waited[id]; w != nil {
		asked = w.asked > 0
		f.forgetWait(w)
		f.waits = slices.DeleteFunc(f.waits, func(v *wait) bool { return v == w })
	}
	f.note(&body{id: id, at: now, from: l.owner, loose: forwarded || asked})
}

// note keeps b, and lets go of the oldest if there are too many.
func (f *floods) note(b *body) {
	f.bodies[b.id] = b
	f.line = append(f.line, b)
	if len(f.line) > MaxBodies {
		f.drop(1)
	}
}

func (f *floods) drop(n int) {
	for _, b := range f.line[:n] {
		delete(f.bodies, b.id)
	}
	f.line = slices.Delete(f.line, 0, n)
}

// age lets go of the bodies that are kept long enough.
func (f *floods) age(now time.Time) {
	old := 0
	for old < len(f.line) && now.Sub(f.line[old].at) > BodyKept {
		old++
	}
	if old > 0 {
		f.drop(old)
	}
}

// echoed judges a second copy of what was seen: if another neighbour was first, LateCopies
// times in a row, the link with this one is made lazy in both directions. A copy that was forwarded to us, or that we asked for, says nothing of
// which way is the faster one.
func (r *Router) echoed(l *listener, id onion.ID, forwarded bool) {
	if !r.cfg.Lazy || forwarded {
		return
	}
	b := r.floods.bodies[id]
	switch {
	case b == nil || b.from == l.owner:
		return
	case b.loose:
		b.loose, b.from = false, l.owner
		return
	}
	e := edge{l.speak.ID, l.owner}
	h := r.floods.edges[e]
	h.late++
	if h.late >= LateCopies {
		h = habit{lazy: true}
		out := r.out()
		out.Prune = append(out.Prune, Notice{To: l.owner, On: l.heard})
	}
	r.floods.edges[e] = h
}

// spread says who is sent s, and has the others be told of it: not who said it to us.
func (r *Router) spread(s speaking) (to []pki.Domain) {
	b := r.keep(s)
	for _, member := range r.members[s.on.ID] {
		switch {
		case member == b.from:
		case r.floods.edges[edge{s.on.ID, member}].lazy:
			s.on.counters.Announced++
			out := r.out()
			out.Announce = append(out.Announce, Notice{To: member, On: s.on.ID, ID: s.packet.ID(), Again: s.again})
		default:
			to = append(to, member)
		}
	}
	return to
}

// keep keeps what is said to be fetched.
func (r *Router) keep(s speaking) *body {
	b := r.floods.bodies[s.packet.ID()]
	if b == nil {
		b = &body{id: s.packet.ID(), at: s.due}
		r.floods.note(b)
	}
	b.packet, b.on = s.packet, append(b.on, s.on)
	return b
}
