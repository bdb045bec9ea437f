package mor_test

import (
	"maps"
	"slices"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A coalition is servers that put their logs together. Besides these it knows what everybody can: the keys of all servers (the
// directory), and how others are configured and choose, so that it can tell the beginning of a way from its middle.
type coalition struct {
	logs    []*serverLog
	servers map[onion.ServerID]pki.Domain
	extra   int           // contexts added on each leg
	relays  int           // on each way
	linger  time.Duration // mean delay that is asked of those who relay

	relayed map[onion.ID]onion.ID
	exposed map[onion.InnerID]onion.ID
	passed  map[onion.InnerID]crossing
	before  map[onion.InnerID]onion.InnerID // the inverse of passed
	entries map[onion.InnerID]pki.Domain    // at whose users' node it was handed in
	sent    map[onion.InnerID]pki.Domain    // replies to letters, by the mailbox server that made them
	replies map[onion.InnerID]pki.Domain    // replies that came to a mailbox, by its server
	wrapped map[onion.ID]onion.InnerID
	letters []letterSeen

	first map[onion.ID]sighting    // of all members
	heard map[pki.Domain][]sighted // packets by whose context they are for, the earliest first
}

// sighted is a packet, and when a member first knew of it.
type sighted struct {
	at time.Time
	id onion.ID
}

// newCoalition puts logs together.
func newCoalition(logs []*serverLog, servers map[onion.ServerID]pki.Domain, extra int, linger time.Duration) *coalition {
	c := &coalition{
		logs: logs, servers: servers, extra: extra, relays: mor.DefaultHops, linger: linger,
		relayed: make(map[onion.ID]onion.ID), exposed: make(map[onion.InnerID]onion.ID), passed: make(map[onion.InnerID]crossing),
		before: make(map[onion.InnerID]onion.InnerID), entries: make(map[onion.InnerID]pki.Domain),
		sent: make(map[onion.InnerID]pki.Domain), replies: make(map[onion.InnerID]pki.Domain),
		wrapped: make(map[onion.ID]onion.InnerID), first: make(map[onion.ID]sighting),
		heard: make(map[pki.Domain][]sighted),
	}
	for _, l := range logs {
		c.add(l)
	}
	c.recognise()
	return c
}

// add puts one log to the others.
func (c *coalition) add(l *serverLog) {
	us := l.node.Domain()
	maps.Copy(c.relayed, l.relayed)
	maps.Copy(c.exposed, l.exposed)
	maps.Copy(c.passed, l.passed)
	maps.Copy(c.wrapped, l.wrapped)
	c.letters = append(c.letters, l.letters...)
	for in, p := range l.passed {
		c.before[p.out] = in
	}
	for in := range l.entries {
		c.entries[in] = us
	}
	for in := range l.replies {
		c.replies[in] = us
	}
	for _, letter := range l.letters {
		c.sent[letter.reply] = us
	}
	for id, s := range l.seen {
		if old, known := c.first[id]; !known || s.at.Before(old.at) || l.made[id] {
			c.first[id] = s
		}
	}
}

// recognise lists the packets for each context, by their tags.
func (c *coalition) recognise() {
	listed := make(map[onion.ID]bool)
	for _, l := range c.logs {
		for id, owner := range l.owners {
			if !listed[id] {
				listed[id] = true
				c.heard[owner] = append(c.heard[owner], sighted{c.first[id].at, id})
			}
		}
	}
	for _, all := range c.heard { // order-free: each is sorted by itself
		slices.SortFunc(all, func(a, b sighted) int {
			if d := a.at.Compare(b.at); d != 0 {
				return d
			}
			return slices.Compare(a.id.Core[:], b.id.Core[:])
		})
	}
}

// origin is who said a packet first: a member that made it, or as far as the coalition can tell by who was heard first.
func (c *coalition) origin(id onion.ID) pki.Domain { return c.first[id].from }

// outset walks back through the outer layers that members took off, to the packet that the first of them heard. It is
// complete if no layer of the leg is missing: then who said that packet wrapped what was in it.
func (c *coalition) outset(p onion.ID) (first onion.ID, complete bool) {
	layers := 1
	for around, ok := c.relayed[p]; ok; around, ok = c.relayed[p] {
		p = around
		layers++
	}
	return p, layers == c.extra+1
}

// A claim is whom the coalition names as the home of a message's sender.
type claim struct {
	home  pki.Domain
	exact bool // by bytes alone; else it also leans on who was heard first
}

// home names who sent an inner packet on its way, if it is known to be one at the beginning of its way.
func (c *coalition) home(in onion.InnerID) (claim, bool) {
	for _, known := range []map[onion.InnerID]pki.Domain{c.entries, c.sent} {
		if home, ok := known[in]; ok {
			return claim{home, true}, true
		}
	}
	around, ok := c.exposed[in]
	if !ok {
		return claim{}, false
	}
	p, complete := c.outset(around)
	return claim{home: c.origin(p)}, complete
}

// onward follows an inner packet through the layers that members took off: what it was at last, how many relays those were,
// and for which server it then was.
func (c *coalition) onward(in onion.InnerID) (last onion.InnerID, relays int, next onion.ServerID) {
	for p, ok := c.passed[in]; ok; p, ok = c.passed[in] {
		in, next = p.out, p.next
		relays++
	}
	return in, relays, next
}

// link names the home of a letter's sender by unbroken evidence: by the way there, if members were all on it; else by that of
// the receipt.
func (c *coalition) link(l letterSeen) (claim, bool) {
	head, relays := l.inner, 0
	for in, ok := c.before[head]; ok; in, ok = c.before[head] {
		head = in
		relays++
	}
	there, known := c.home(head)
	known = known && (there.exact || relays == c.relays) // of a way cut short it would be a relay
	if known && there.exact {
		return there, true
	}
	if back, ok := c.linkBack(l); ok {
		return back, true
	}
	return there, known
}

// linkBack follows the receipt, which the mailbox server made itself.
func (c *coalition) linkBack(l letterSeen) (claim, bool) {
	last, relays, next := c.onward(l.reply)
	if home, ok := c.replies[last]; ok {
		return claim{home, true}, true
	}
	return claim{c.servers[next], true}, relays == c.relays // after both relays comes the sender's home
}

// A pair is whom the coalition names as the two servers of a message, not knowing which mailbox it is for.
type pair struct {
	in   onion.InnerID // as it was on its way to the first relay
	home pki.Domain
	to   pki.Domain
}

// pairs names the servers of what both relays of were members, whoever keeps the mailbox.
func (c *coalition) pairs() (all []pair) {
	for in := range c.passed {
		if _, middle := c.before[in]; middle {
			continue
		}
		_, relays, next := c.onward(in)
		if from, ok := c.home(in); ok && relays == c.relays {
			all = append(all, pair{in, from.home, c.servers[next]})
		}
	}
	return all
}

// guess names the home of a letter's sender by times where bytes do not tell: it goes back from flood to flood. What was made
// by an honest server is taken to come of that packet for it which was heard so long before as packets linger at a server.
func (c *coalition) guess(l letterSeen) (home pki.Domain, ok bool) {
	p := c.exposed[l.inner]
	floods := (c.relays + 1) * (c.extra + 1)
	for n := 1; n < floods; n++ {
		around, relay := c.relayed[p]
		in, own := c.wrapped[p]
		from, handed := c.entries[in]
		switch {
		case relay:
			p = around
		case own && handed:
			return from, true
		case own:
			p = c.exposed[c.before[in]]
		default:
			p, ok = c.cause(p, n%(c.extra+1) != 0)
			if !ok {
				return home, false
			}
		}
	}
	return c.origin(p), true
}

// cause is the packet for the maker of p of which p may have come. Relayed packets linger longer: their maker asked for it.
func (c *coalition) cause(p onion.ID, relayed bool) (onion.ID, bool) {
	linger := 40 * time.Millisecond // two instants of the grid, one to open and one to say
	if relayed {
		linger += c.linger
	}
	at, best, found := c.first[p].at, sighted{}, false
	off := func(s sighted) time.Duration { return (at.Sub(s.at) - linger).Abs() }
	for _, s := range c.heard[c.origin(p)] {
		if !s.at.Before(at) {
			break
		}
		if !found || off(s) < off(best) {
			best, found = s, true
		}
	}
	return best.id, found
}
