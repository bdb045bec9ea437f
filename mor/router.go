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
	// All that a packet needs that was seen before, which most were.
	swept     onion.Epoch
	filled    bool // there is something in output
	plain     bool // neither Config.Lazy nor Config.Cover: nothing belongs to them
	grid      time.Duration
	awake     time.Time  // the grid runs until then
	peels     []peel     // recognised as ours, to be peeled at the next grid instant
	speak     []speaking // to be spoken when due, in order of due
	listeners listeners
	seen      seenSet

	cfg     Config
	floods  floods
	marks   *markSet
	routes  routes
	members map[ContextID][]pki.Domain // of our own contexts; a list is never changed, but replaced
	lost    []loss                     // neighbours without a link

	covered time.Time // when the next cover packet is due; zero: not drawn yet
	order   uint64    // breaks ties of speak
	output  Output
	inHand  Trace // of the packet that is being opened or handed in; only with Config.Trace
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
		plain: !cfg.Lazy && cfg.Cover == 0, grid: cfg.Grid,
		cfg: cfg, seen: seen, marks: newMarkSet(cfg.MarkShare, cfg.Marks), floods: newFloods(),
		members: make(map[ContextID][]pki.Domain),
	}
	for _, c := range cfg.Contexts {
		r.routes.own = append(r.routes.own, &ownContext{OwnContext: c})
	}
	return r, nil
}

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
	r.members[on] = append(slices.Clip(r.members[on]), domain)
	return true
}

// Dismiss ends a membership that [Router.Admit] began.
func (r *Router) Dismiss(on ContextID, domain pki.Domain) {
	r.members[on] = slices.DeleteFunc(slices.Clone(r.members[on]), func(d pki.Domain) bool { return d == domain })
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
	l := r.listeners.find(on)
	if l == nil {
		return r.end(now) // not a member: it cannot have been said to us
	}
	epoch, err := l.hears(p, r.swept, now.UnixNano())
	if err != nil {
		l.speak.counters.Dropped[DropEpoch]++
		return r.end(now)
	}
	switch r.seen.add(epoch, on, p.ID()) {
	case repeated:
		l.duplicates++
		r.echoed(l, p.ID(), forwarded)
	case full:
		l.speak.counters.Dropped[DropSeenFull]++
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
	if r.filled {
		r.output.empty()
		r.filled = false
	}
	if !r.plain {
		r.floods.age(now)
	}
	r.sweep(now)
}

// out is the output, for something to be put into it.
func (r *Router) out() *Output {
	r.filled = true
	return &r.output
}

// end says what is due, fetches what did not come, and says when to wake: at the next instant of the
// grid as long as anything was heard or handed in lately, whatever it was. So when a server wakes tells
// nothing of what it owns.
func (r *Router) end(now time.Time) Output {
	if !r.plain {
		r.cover(now)
	}
	if len(r.speak) > 0 {
		r.sayDue(now)
	}
	if !r.plain {
		r.chase(now)
	}
	if !r.filled {
		return Output{Wake: r.wake(now)}
	}
	r.output.Wake = r.wake(now)
	return r.output
}

// wake is when the next Tick is due; zero: no timer is wanted.
func (r *Router) wake(now time.Time) time.Time {
	switch {
	case now.Before(r.awake) || len(r.peels) > 0:
		return r.next(now)
	case r.plain:
		return time.Time{}
	case len(r.floods.waits) > 0:
		return r.next(now)
	}
	return r.covered // zero if there is no cover
}

// sayDue says what has waited long enough.
func (r *Router) sayDue(now time.Time) {
	due := 0
	for due < len(r.speak) && !r.speak[due].due.After(now) {
		r.say(r.speak[due])
		due++
	}
	r.speak = slices.Delete(r.speak, 0, due)
}

// say puts s into the output.
func (r *Router) say(s speaking) {
	count := &s.on.counters
	if s.again {
		count.Rebroadcast++
	} else {
		count.Spoken++
	}
	speech := Speech{s.on.ID, s.packet, s.again, r.whom(s)} // which may put news into the output
	out := r.out()
	out.Broadcast = append(out.Broadcast, speech)
	if s.owner != (pki.Domain{}) {
		count.Forwarded++
		out.Forward = append(out.Forward, Forward{s.owner, s.on.ID, s.packet, s.again})
	}
}

// whom says to which members s is sent.
func (r *Router) whom(s speaking) []pki.Domain {
	if r.cfg.Lazy {
		return r.spread(s)
	}
	return r.members[s.on.ID]
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
	return now.Truncate(r.grid).Add(r.grid)
}

func (r *Router) context(id ContextID) *ownContext {
	for _, c := range r.routes.own {
		if c.ID == id {
			return c
		}
	}
	return nil
}
