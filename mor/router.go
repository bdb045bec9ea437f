package mor

import (
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A Router decides what one server does with packets. It is not safe for concurrent use:
// one goroutine of the node owns it.
type Router struct {
	cfg    Config
	seen   *seenSet
	marks  *markSet
	routes routes
	floods floods

	listeners map[ContextID]*listener
	members   map[ContextID][]pki.Domain // of our own contexts
	lost      []loss                     // neighbours without a link

	covered time.Time // when the next cover packet is due; zero: not drawn yet

	peels  []peel     // recognised as ours, to be peeled at the next grid instant
	speak  []speaking // to be spoken when due, in order of due
	awake  time.Time  // the grid runs until then
	order  uint64     // breaks ties of speak
	swept  onion.Epoch
	output Output
	inHand Trace // of the packet that is being opened or handed in; only with Config.Trace
}

// ownContext is an OwnContext at work.
type ownContext struct {
	OwnContext
	counters Counters
	signed   Record // as signed last, and its bytes
	record   []byte
}

func (c *ownContext) hintAt(e onion.Epoch) (onion.Hint, bool) {
	return Record{Hint: c.Hint, Epoch: c.Epoch}.HintAt(e)
}

// A listener is a bot: what it hears on one context is rebroadcast on another.
type listener struct {
	heard ContextID
	owner pki.Domain
	speak *ownContext
	last  hearing
}

// peel is a packet whose outer layer waits to be removed with a key of ours.
type peel struct {
	context *ownContext
	key     *onion.ContextPrivateKey // of that context
	hint    onion.Hint
	from    ContextID // the context that brought it; a context of our own if a user of ours did
	epoch   onion.Epoch
	packet  onion.Packet
}

// speaking is a packet that waits to be said.
type speaking struct {
	due    time.Time
	order  uint64
	on     *ownContext
	packet onion.Packet
	again  bool       // a rebroadcast; else of our own making
	owner  pki.Domain // forward to it as well; zero: no
}

// NewRouter makes a Router, or returns all the faults of cfg.
func NewRouter(cfg Config) (*Router, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	seen, err := newSeenSet(cfg.Rand, cfg.SeenShare)
	if err != nil {
		return nil, err
	}
	r := &Router{
		cfg: cfg, seen: seen, marks: newMarkSet(cfg.MarkShare, cfg.Marks), floods: newFloods(),
		listeners: make(map[ContextID]*listener),
		members:   make(map[ContextID][]pki.Domain),
	}
	for _, c := range cfg.Contexts {
		r.routes.own = append(r.routes.own, &ownContext{OwnContext: c})
	}
	return r, nil
}

// Listen makes a listener: what owner says on its context heard is rebroadcast on our
// context speak. It reports whether it did: not if speak is none of ours, if heard is our
// own or already another owner's, or if there are MaxListeners.
func (r *Router) Listen(owner pki.Domain, heard, speak ContextID) bool {
	c, old := r.context(speak), r.listeners[heard]
	switch {
	case c == nil || r.context(heard) != nil:
		return false
	case old == nil && len(r.listeners) >= MaxListeners:
		return false
	case old != nil && old.owner != owner:
		return false
	}
	r.listeners[heard] = &listener{heard: heard, owner: owner, speak: c}
	return true
}

// Unlisten ends a listener.
func (r *Router) Unlisten(heard ContextID) { delete(r.listeners, heard) }

// Admit makes domain a member of our context on: it hears what we say there and may Ask.
// It reports whether on is ours and has room.
func (r *Router) Admit(on ContextID, domain pki.Domain) bool {
	switch {
	case r.context(on) == nil:
		return false
	case slices.Contains(r.members[on], domain):
		return true
	case len(r.members[on]) >= MaxMembers:
		return false
	}
	r.members[on] = append(r.members[on], domain)
	return true
}

// Dismiss ends a membership that [Router.Admit] began.
func (r *Router) Dismiss(on ContextID, domain pki.Domain) {
	r.members[on] = slices.DeleteFunc(r.members[on], func(d pki.Domain) bool { return d == domain })
	delete(r.floods.edges, edge{on, domain})
}

// SetServers replaces the private keys of the inner layers when a period turns.
func (r *Router) SetServers(keys []ServerKey) { r.cfg.Servers = keys }

// Hear takes a packet that a listener heard on a context. Rows M2, M3 and M4.
func (r *Router) Hear(now time.Time, on ContextID, p onion.Packet) Output {
	return r.hear(now, on, p, false)
}

// Handed takes a packet that was forwarded to us as the owner of its key, as heard on a context. It is
// taken as if we had heard it there, but that which of two copies was first tells nothing of the links.
func (r *Router) Handed(now time.Time, on ContextID, p onion.Packet) Output {
	return r.hear(now, on, p, true)
}

func (r *Router) hear(now time.Time, on ContextID, p onion.Packet, forwarded bool) Output {
	r.begin(now)
	l := r.listeners[on]
	if l == nil {
		return r.end(now) // not a member: it cannot have been said to us
	}
	count := &l.speak.counters
	count.Heard++
	epoch, err := l.dated(now, p)
	if err != nil {
		count.Dropped[DropEpoch]++
		return r.end(now)
	}
	switch r.seen.add(epoch, on, p.ID()) {
	case repeated:
		count.Duplicates++
		r.echoed(l, p.ID(), forwarded)
	case full:
		count.Dropped[DropSeenFull]++
	case novel:
		r.arrived(now, l, p.ID(), forwarded)
		due := now.Add(r.draw(r.cfg.Delay))
		r.utter(now, epoch, on, speaking{due: due, on: l.speak, packet: p, again: true})
	}
	return r.end(now)
}

// utter has s spoken when it is due. If its key is ours it is spoken all the same, at the
// same time, and noted to be peeled; if it is that of a member of the context, it is
// forwarded as well. So nobody sees a flood stop at an owner.
func (r *Router) utter(now time.Time, epoch onion.Epoch, from ContextID, s speaking) {
	r.awake = now.Add(r.cfg.MaxDelay + 2*r.cfg.Grid) // as long as the slowest consequence may take
	if whose, ok := r.routes.whose(epoch, s.packet); ok && whose.own != nil {
		r.notePeel(peel{whose.own, whose.key, whose.hint, from, epoch, s.packet})
	} else if ok && slices.Contains(r.members[s.on.ID], whose.foreign.Owner) {
		s.owner = whose.foreign.Owner
	}
	r.enqueue(s)
}

func (r *Router) notePeel(p peel) {
	if len(r.peels) >= MaxQueue {
		p.context.counters.Dropped[DropQueueFull]++
		return
	}
	r.peels = append(r.peels, p)
}

// Submit takes an inner packet from one of our own users, for the server whose key opens
// its first layer, and sends it on its first leg. The same packet a second time is taken
// and ignored, so that a user may repeat what may have been lost. The output is to be
// carried out whatever the error, which is a *[LegError].
func (r *Router) Submit(now time.Time, entry onion.Entry) (Output, error) {
	return r.send(now, Submitted, entry.First, entry.Inner)
}

// Reply sends payload (onion.PayloadSize bytes) back over surb, for instance a [Receipt].
// The output is to be carried out whatever the error.
func (r *Router) Reply(now time.Time, surb onion.SURB, payload []byte) (Output, error) {
	inner, err := surb.Use(payload)
	if err != nil {
		r.begin(now)
		return r.end(now), fmt.Errorf("mor: using a reply block: %w", err)
	}
	return r.send(now, Replied, surb.First(), inner)
}

// send begins the way of an inner packet. If there is none now, it leaves no trace of it.
func (r *Router) send(now time.Time, as Change, first onion.ServerID, inner onion.Inner) (Output, error) {
	r.begin(now)
	r.hold(Trace{Change: as, Inner: inner.ID()})
	on := r.routes.own[0]
	reason, ok := r.pass(now, parcel{on: on, from: on.ID, server: first, budget: fullBudget, inner: inner})
	if ok || reason == DropReplay {
		return r.end(now), nil
	}
	on.counters.Dropped[reason]++
	if !reason.passing() {
		return r.end(now), nil
	}
	for _, m := range r.output.Remember {
		r.marks.remove(m.ID)
	}
	r.output.Remember = r.output.Remember[:0]
	return r.end(now), &LegError{First: first, Reason: reason}
}

// A LegError says why a packet handed in by [Router.Submit] or [Router.Reply] was not
// sent on its way. It may be handed in again.
type LegError struct {
	First  onion.ServerID
	Reason Drop // DropNoRoute, DropQueueFull, DropSeenFull or DropMarksFull
}

func (e *LegError) Error() string { return "mor: not sent: " + e.Reason.String() }

// Tick does what is due at now: it peels what was recognised before, and says what has
// waited long enough.
func (r *Router) Tick(now time.Time) Output {
	r.begin(now)
	due := r.peels
	r.peels = nil // what comes out of a peel may be ours again: that waits for the next Tick
	for _, p := range due {
		r.peelOuter(now, p)
	}
	return r.end(now)
}

// sweep forgets what has run out, once an epoch.
func (r *Router) sweep(now time.Time) {
	e := onion.EpochAt(now)
	if e == r.swept {
		return
	}
	r.swept = e
	r.seen.forget(e - 1)
	r.routes.forget(e - 1)
	r.routes.expire(now)
	r.marks.expire(now)
	for _, c := range r.routes.own {
		r.advance(now, c)
	}
}

// begin empties the output, and tidies up when the epoch has turned.
func (r *Router) begin(now time.Time) {
	clear(r.output.Broadcast)
	clear(r.output.Forward)
	clear(r.output.Deliver)
	r.output = Output{
		Remember: r.output.Remember[:0], Broadcast: r.output.Broadcast[:0],
		Announce: r.output.Announce[:0], Fetch: r.output.Fetch[:0], Prune: r.output.Prune[:0],
		Forward: r.output.Forward[:0], Deliver: r.output.Deliver[:0], Trail: r.output.Trail[:0],
	}
	r.floods.age(now)
	r.sweep(now)
}

// end says what is due, fetches what did not come, and says when to wake: at the next instant of the
// grid as long as anything was heard or handed in lately, whatever it was. So when a server wakes tells
// nothing of what it owns.
func (r *Router) end(now time.Time) Output {
	r.cover(now)
	due := 0
	for due < len(r.speak) && !r.speak[due].due.After(now) {
		r.say(r.speak[due])
		due++
	}
	r.speak = slices.Delete(r.speak, 0, due)
	r.chase(now)
	if now.Before(r.awake) || len(r.peels)+len(r.floods.waits) > 0 {
		r.output.Wake = r.next(now)
	} else if r.cfg.Cover > 0 {
		r.output.Wake = r.covered
	}
	return r.output
}

// say puts s into the output.
func (r *Router) say(s speaking) {
	count := &s.on.counters
	if s.again {
		count.Rebroadcast++
	} else {
		count.Spoken++
	}
	r.output.Broadcast = append(r.output.Broadcast, Speech{s.on.ID, s.packet, s.again, r.whom(s)})
	if s.owner != (pki.Domain{}) {
		count.Forwarded++
		r.output.Forward = append(r.output.Forward, Forward{s.owner, s.on.ID, s.packet, s.again})
	}
}

// whom says to which members s is sent.
func (r *Router) whom(s speaking) []pki.Domain {
	if r.cfg.Lazy {
		return r.spread(s)
	}
	return slices.Clone(r.members[s.on.ID])
}

// enqueue keeps speak in order of due, first come first said.
func (r *Router) enqueue(s speaking) {
	if len(r.speak) >= MaxQueue {
		s.on.counters.Dropped[DropQueueFull]++
		return
	}
	r.order++
	s.order = r.order
	i, _ := slices.BinarySearchFunc(r.speak, s, func(a, b speaking) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return int(a.order) - int(b.order)
	})
	r.speak = slices.Insert(r.speak, i, s)
}

// next is the first instant of the grid after now.
func (r *Router) next(now time.Time) time.Time {
	return now.Truncate(r.cfg.Grid).Add(r.cfg.Grid)
}

func (r *Router) context(id ContextID) *ownContext {
	for _, c := range r.routes.own {
		if c.ID == id {
			return c
		}
	}
	return nil
}
