package mor

import (
	"encoding/binary"
	"io"
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// This file is the way of a packet through its owner, top down: the outer layer comes
// off, the bare inner packet is opened or passed on, the next leg begins.

// fullBudget is the budget of a packet whose leg begins here: its first wrap is free.
const fullBudget = LegBudget + 1

// parcel is a bare inner packet that we hold: it is opened here or goes on.
type parcel struct {
	on     *ownContext    // what it counts on
	from   ContextID      // the context that brought it, or on if a user of ours did
	server onion.ServerID // whom its next layer is for
	budget int            // how often it may yet be wrapped on this leg
	delay  time.Duration  // before it is spoken
	inner  onion.Inner
}

// peelOuter removes the outer layer of p and carries out its command. A peeled packet is
// spoken on the context whose key was peeled and on no other.
func (r *Router) peelOuter(now time.Time, p peel) {
	if reason, ok := r.opened(now, p); !ok {
		p.context.counters.Dropped[reason]++
	}
}

func (r *Router) opened(now time.Time, p peel) (Drop, bool) {
	r.hold(Trace{Change: Relayed, Of: p.packet.ID()})
	layer, err := r.cfg.Scheme.PeelOuter(p.key, p.hint, p.packet)
	if err != nil {
		return DropAuth, false
	}
	if reason, ok := r.once(OuterPeel, layer.Replay, (p.epoch + 3).Start(), p.from); !ok {
		return reason, false
	}
	p.context.counters.Peeled++
	if l := r.listeners.find(p.from); l != nil && l.speak != p.context {
		p.context.counters.Crossed++
	}
	switch layer.Command {
	case onion.Relay:
		return r.emit(now, layer.Delay, p.context, p.from, layer.Next)
	case onion.Exposed:
		r.inHand.Change = Passed
		return r.pass(now, parcel{p.context, p.from, layer.Server, int(layer.Budget), layer.Delay, layer.Inner})
	default:
		return DropCover, false
	}
}

// emit says a packet of our own making after delay, at an instant of the grid, as if it
// had been heard then: it is marked as seen, so that we ignore it when our neighbours say
// it again, and peeled or forwarded if we know the owner of its next layer.
func (r *Router) emit(now time.Time, delay time.Duration, on *ownContext, from ContextID, p onion.Packet) (Drop, bool) {
	epoch, err := onion.EpochAt(now).Near(p.WireEpoch())
	switch {
	case err != nil:
		return DropEpoch, false
	case len(r.speak) >= MaxQueue:
		return DropQueueFull, false
	}
	switch r.seen.add(epoch, from, p.ID()) {
	case repeated:
		return DropReplay, false
	case full:
		return DropSeenFull, false
	}
	due := r.next(now.Add(min(delay, r.cfg.MaxDelay) - 1))
	r.utter(now, epoch, from, speaking{due: due, on: on, packet: p})
	r.trace(p.ID())
	return 0, true
}

// pass opens p if its layer is ours, or wraps it toward the server it is for: once, so
// that it cannot run in circles.
func (r *Router) pass(now time.Time, p parcel) (Drop, bool) {
	if key := r.server(p.server); key != nil {
		return r.peelInner(now, p, key)
	}
	if p.budget <= 0 {
		return DropBudget, false
	}
	if reason, ok := r.once(BareInner, p.inner.ID(), (onion.EpochAt(now) + 3).Start(), p.from); !ok {
		return reason, false
	}
	return r.leg(now, p)
}

// peelInner removes a layer that the user chose us for. The next leg begins here: this is
// where a server adds hops (row M6).
func (r *Router) peelInner(now time.Time, p parcel, key *ServerKey) (Drop, bool) {
	layer, err := r.cfg.Scheme.PeelInner(key.Private, p.inner)
	switch {
	case err != nil:
		return DropAuth, false
	case !now.Before(layer.Expiry) || layer.Expiry.Sub(now) > LetterLifetime+expirySlack:
		return DropExpired, false
	}
	if reason, ok := r.once(InnerPeel, layer.Replay, layer.Expiry, p.from); !ok {
		return reason, false
	}
	if r.inHand.Of != (onion.ID{}) {
		r.inHand.Change = Opened
	}
	switch layer.Command {
	case onion.Forward:
		return r.pass(now, parcel{p.on, p.from, layer.Next, fullBudget, layer.Delay, layer.Inner})
	case onion.Deliver:
		out := r.out()
		out.Deliver = append(out.Deliver, Delivery{Mailbox: layer.Mailbox, Payload: layer.Payload, From: p.from})
	case onion.Reply:
		out := r.out()
		out.Deliver = append(out.Deliver, Delivery{Mailbox: layer.Mailbox, Reply: true, SURB: layer.SURB, Payload: layer.Body, From: p.from})
	}
	if layer.Command != onion.Forward {
		r.inHand.Change = Delivered
		r.trace(onion.ID{})
	}
	return 0, true
}

// leg wraps p for one to four contexts, the last one owned by its server or by somebody
// who knows a way to it, and says it on our context. Only context keys come into this
// function: there is no way to add a server key (row M7).
func (r *Router) leg(now time.Time, p parcel) (Drop, bool) {
	epoch := onion.EpochAt(now)
	cell, path := r.path(now, p.server, epoch)
	if len(path) == 0 {
		return DropNoRoute, false
	}
	hops := make([]onion.OuterHop, len(path))
	for i, k := range path {
		hops[i] = r.hop(k, epoch)
	}
	end := onion.OuterEnd{Server: p.server, Budget: uint8(p.budget - 1)}
	packet, err := r.cfg.Scheme.Wrap(r.cfg.Rand, epoch, hops, end, p.inner)
	if err != nil {
		return DropAuth, false
	}
	r.inHand.Layers = len(path)
	return r.emit(now, max(p.delay, 1), cell, p.from, packet)
}

// path chooses the contexts of one leg, and on which of ours it is said: extra ones at random, then those of
// the gateways to one that leads to server. Those of neighbours that are lost are no extra ones.
func (r *Router) path(now time.Time, server onion.ServerID, epoch onion.Epoch) (*ownContext, []*known) {
	ends := r.ends(now, r.routes.toward(server, epoch), epoch)
	if len(ends) == 0 {
		return nil, nil
	}
	ways := ends[r.pick(len(ends))]
	w := ways[r.pick(len(ways))]
	rest := r.present(now, r.routes.beside(w, epoch))
	var path []*known
	for len(path) < min(r.cfg.ExtraHops, onion.OuterSlots-1-len(w.gateways)) && len(rest) > 0 {
		i := r.pick(len(rest))
		path = append(path, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return w.cell, append(append(path, w.gateways...), w.last)
}

// ends lists the ways to each of the contexts at which a leg may end: those by the fewest gateways, and if there
// are others none over a gateway that is lost.
func (r *Router) ends(now time.Time, all []*known, epoch onion.Epoch) (ends [][]way) {
	var over [][]way // gateways that are lost
	for _, k := range all {
		ways := r.routes.ways(k, epoch)
		if sound := r.sound(now, ways); len(sound) > 0 {
			ends = append(ends, sound)
		} else if len(ways) > 0 {
			over = append(over, ways)
		}
	}
	if len(ends) == 0 {
		ends = over
	}
	return fewest(ends)
}

// sound are those of the ways whose gateways are not lost.
func (r *Router) sound(now time.Time, ways []way) (sound []way) {
	for _, w := range ways {
		if len(r.present(now, w.gateways)) == len(w.gateways) {
			sound = append(sound, w)
		}
	}
	return sound
}

// fewest are those of the ends to which there is a way by the fewest gateways. All ways to one end have as many.
func fewest(ends [][]way) [][]way {
	least := MaxGateways
	for _, ways := range ends {
		least = min(least, len(ways[0].gateways))
	}
	return slices.DeleteFunc(ends, func(ways []way) bool { return len(ways[0].gateways) > least })
}

func (r *Router) server(id onion.ServerID) *ServerKey {
	for i := range r.cfg.Servers {
		if r.cfg.Servers[i].Private.Public().ID() == id {
			return &r.cfg.Servers[i]
		}
	}
	return nil
}

// once marks id as done until the given time, before anything comes of it. It refuses
// what was done before, and what is beyond the share of the context that brought it.
func (r *Router) once(kind MarkKind, id [16]byte, until time.Time, from ContextID) (Drop, bool) {
	switch r.marks.add(id, until, from) {
	case repeated:
		return DropReplay, false
	case full:
		return DropMarksFull, false
	}
	out := r.out()
	out.Remember = append(out.Remember, Mark{id, kind, until})
	return 0, true
}

// draw returns an exponential delay of the given mean, no longer than MaxDelay.
func (r *Router) draw(mean time.Duration) time.Duration {
	if mean == 0 {
		return 0
	}
	return min(time.Duration(r.exponential()*float64(mean)), r.cfg.MaxDelay)
}

// peelDelay is a delay for another hop to keep, in whole milliseconds and at least one
// instant of the grid.
func (r *Router) peelDelay() time.Duration {
	return max(r.draw(r.cfg.PeelDelay), r.cfg.Grid).Truncate(time.Millisecond)
}

// pick returns a number below n; the bias of the remainder is under 2^-50 for any n here.
func (r *Router) pick(n int) int { return int(r.random() % uint64(n)) }

// random reads eight bytes. A source that fails gives zeros from then on; crypto/rand and
// the seeded sources of simulations do not fail.
func (r *Router) random() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(r.cfg.Rand, b[:]); err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b[:])
}
