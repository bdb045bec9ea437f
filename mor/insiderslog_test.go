package mor_test

import (
	"slices"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
	"github.com/p3do/p3do/simulations"
)

// A serverLog is all that a server can know which behaves as it should, keeps everything, and forgets nothing: what it hears
// and when, whose tags it recognises, what its own keys open, what its users hand in, what it delivers.
type serverLog struct {
	world    *simulations.World
	node     *simulations.Node
	told     []mor.Record // what Ask told it
	epoch    onion.Epoch  // of the matcher
	matcher  *onion.Matcher
	matched  []pki.Domain // whose hint stands where in the matcher
	contexts []mor.OwnContext

	packets []onion.Packet // their bytes, for insiders.common
	inners  []onion.Inner

	seen    map[onion.ID]sighting   // when it first heard or was told of a packet
	opened  map[onion.ID]bool       // packets of which it has had the bytes
	owners  map[onion.ID]pki.Domain // for whose context they are, by their tags
	made    map[onion.ID]bool       // what it said first of all
	relayed map[onion.ID]onion.ID   // what came out of an outer layer of its own, and what that was the layer of

	exposed map[onion.InnerID]onion.ID // a bare inner packet, and the outer packet around it
	entries map[onion.InnerID]bool     // what its own users handed in
	passed  map[onion.InnerID]crossing // what came out of an inner layer of its own, by what went in
	replies map[onion.InnerID]bool     // what was a reply to a mailbox of its own
	letters []letterSeen               // what was a letter to one
	due     []wrap                     // inner packets that it wraps and has not yet said
	wrapped map[onion.ID]onion.InnerID // what it made, and what is inside
}

// A sighting is when a packet was first heard of, and which neighbour said it or told of it.
type sighting struct {
	at   time.Time
	from pki.Domain
}

// crossing is an inner layer that asked to be forwarded.
type crossing struct {
	out  onion.InnerID
	next onion.ServerID
}

// letterSeen is a letter that a mailbox server found under its layer, and the reply that it sent over its reply block.
type letterSeen struct {
	id    mor.MessageID
	at    time.Time
	inner onion.InnerID
	reply onion.InnerID
	first onion.ServerID // of the reply's way
}

// wrap is an inner packet that will be said in an outer one at an instant of the grid.
type wrap struct {
	at    time.Time
	inner onion.InnerID
}

// newServerLog has a node log from now on.
func newServerLog(w *simulations.World, n *simulations.Node) *serverLog {
	l := &serverLog{
		world: w, node: n, told: must(n.Told()), contexts: n.Router.Contexts(),
		seen: make(map[onion.ID]sighting), opened: make(map[onion.ID]bool), owners: make(map[onion.ID]pki.Domain),
		made: make(map[onion.ID]bool), relayed: make(map[onion.ID]onion.ID),
		exposed: make(map[onion.InnerID]onion.ID), entries: make(map[onion.InnerID]bool),
		passed: make(map[onion.InnerID]crossing), replies: make(map[onion.InnerID]bool), wrapped: make(map[onion.ID]onion.InnerID),
	}
	n.Watch(l)
	return l
}

// Heard is for simulations.Watcher.
func (l *serverLog) Heard(_ mor.ContextID, from pki.Domain, p onion.Packet, _ bool) {
	l.note(p.ID(), from)
	if l.open(p) && l.owners[p.ID()] == l.node.Domain() {
		l.peel(p)
	}
}

// Noticed is for simulations.Watcher.
func (l *serverLog) Noticed(_ mor.ContextID, from pki.Domain, id onion.ID) { l.note(id, from) }

// Made is for simulations.Watcher.
func (l *serverLog) Made(p onion.Packet) {
	l.open(p)
	l.note(p.ID(), l.node.Domain())
	l.made[p.ID()] = true
	if _, relay := l.relayed[p.ID()]; relay {
		return
	}
	if i := slices.IndexFunc(l.due, func(w wrap) bool { return w.at.Equal(l.world.Now()) }); i >= 0 {
		l.wrapped[p.ID()] = l.due[i].inner
		l.due = slices.Delete(l.due, i, i+1)
	}
}

// HandedIn is for simulations.Watcher.
func (l *serverLog) HandedIn(entry onion.Entry) {
	l.entries[entry.Inner.ID()] = true
	l.inners = append(l.inners, entry.Inner)
	l.wrap(l.world.Now(), entry.Inner.ID())
}

// wrap notes what a router wraps at an instant: it says it at the next of the grid, in the order of wrapping.
func (l *serverLog) wrap(now time.Time, inner onion.InnerID) {
	l.due = append(l.due, wrap{next(now), inner})
	slices.SortStableFunc(l.due, func(a, b wrap) int { return a.at.Compare(b.at) })
}

// next is the next instant of a router's grid.
func next(now time.Time) time.Time {
	const grid = 20 * time.Millisecond
	return now.Truncate(grid).Add(grid)
}

func (l *serverLog) note(id onion.ID, from pki.Domain) {
	if _, known := l.seen[id]; !known {
		l.seen[id] = sighting{l.world.Now(), from}
	}
}

// open takes the bytes of a packet, and says whose tag it bears. It reports whether they are new.
func (l *serverLog) open(p onion.Packet) bool {
	if l.opened[p.ID()] {
		return false
	}
	l.opened[p.ID()] = true
	l.packets = append(l.packets, p)
	epoch, err := onion.EpochAt(l.world.Now()).Near(p.WireEpoch())
	if err != nil {
		return true
	}
	l.match(epoch)
	if i, ok := l.matcher.Match(p); ok {
		l.owners[p.ID()] = l.matched[i]
	}
	return true
}

// match makes the matcher be of an epoch.
func (l *serverLog) match(epoch onion.Epoch) {
	if l.matcher != nil && l.epoch == epoch {
		return
	}
	var hints []onion.Hint
	l.matched = nil
	add := func(owner pki.Domain, r mor.Record) {
		if h, ok := r.HintAt(epoch); ok && !slices.Contains(hints, h) {
			hints, l.matched = append(hints, h), append(l.matched, owner)
		}
	}
	for _, c := range l.contexts {
		add(l.node.Domain(), mor.Record{Hint: c.Hint, Epoch: c.Epoch})
	}
	for _, r := range l.told {
		add(r.Owner, r)
	}
	l.epoch, l.matcher = epoch, onion.NewMatcher(hints)
}

// peel opens with the server's own keys what its router will open at the next instant of the grid.
func (l *serverLog) peel(p onion.Packet) {
	for _, c := range l.contexts {
		hint, _ := mor.Record{Hint: c.Hint, Epoch: c.Epoch}.HintAt(l.epoch)
		layer, err := onion.PeelOuter(c.Key, hint, p)
		switch {
		case err != nil:
		case layer.Command == onion.Relay:
			l.relayed[layer.Next.ID()] = p.ID()
		case layer.Command == onion.Exposed:
			l.exposed[layer.Inner.ID()] = p.ID()
			l.inners = append(l.inners, layer.Inner)
			l.peelInner(next(l.world.Now()), layer.Server, layer.Inner)
		}
	}
}

func (l *serverLog) peelInner(now time.Time, server onion.ServerID, in onion.Inner) {
	keys := l.node.ServerKeys()
	i := slices.IndexFunc(keys, func(k mor.ServerKey) bool { return k.Private.Public().ID() == server })
	if i < 0 {
		l.wrap(now, in.ID()) // for a neighbour
		return
	}
	layer, err := onion.PeelInner(keys[i].Private, in)
	switch {
	case err != nil:
	case layer.Command == onion.Forward:
		l.passed[in.ID()] = crossing{layer.Inner.ID(), layer.Next}
		l.wrap(now, layer.Inner.ID())
	case layer.Command == onion.Deliver:
		l.deliver(now, in.ID(), layer.Payload)
	case layer.Command == onion.Reply:
		l.replies[in.ID()] = true
	}
}

// deliver notes a letter, and the reply that goes out for it: the server makes that itself.
func (l *serverLog) deliver(now time.Time, inner onion.InnerID, payload []byte) {
	letter, err := mor.ParseLetter(payload)
	if err != nil {
		return
	}
	seen := letterSeen{id: letter.ID, at: l.world.Now(), inner: inner}
	if letter.SURB != nil {
		reply := must(letter.SURB.Use(mor.Receipt{ID: letter.ID, Status: mor.Stored}.Marshal()))
		seen.reply, seen.first = reply.ID(), letter.SURB.First()
		l.wrap(now, reply.ID())
	}
	l.letters = append(l.letters, seen)
}
