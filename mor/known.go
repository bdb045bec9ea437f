package mor

import (
	"slices"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// This file is what a server knows of one context of somebody else: who tells of it, and by
// which gateways it is reached.

// MaxTellers is how many neighbours are remembered as having told of one context. When
// there are more, the nearest are.
const MaxTellers = 16

// MaxGateways is how many gateways may be between a server and a context that it knows: one
// less than there are Asks.
const MaxGateways = MaxDepth - 1

// known is a context of somebody else that this server may use in a route.
// It is known as long as a neighbour that is there tells of it.
type known struct {
	Record
	raw     []byte
	tellers []teller // at least one, each context that we listen to once
}

// A teller is a neighbour whose last answer had a context: after how many Asks, and how it is
// reached from the cell that both are in.
type teller struct {
	heard ContextID // of the neighbour's, on which it was asked
	peer  pki.Domain
	depth uint8
	cell  *ownContext // ours, to which heard is bound
	way   []place     // gateways' contexts, the first one in that cell; at most MaxGateways

	beyond bool // it is a gateway's: what is peeled with its key is said in another cell
}

// before reports whether t is nearer than u: by fewer Asks, then by fewer gateways.
func (t teller) before(u teller) bool {
	return t.depth < u.depth || t.depth == u.depth && len(t.way) < len(u.way)
}

// unknown is the depth of what nobody tells of.
const unknown = MaxDepth + 1

// nearest is the teller by which k is nearest for whoever does not believe except; its depth is unknown
// if there is none.
func (k *known) nearest(except pki.Domain) teller {
	nearest := teller{depth: unknown}
	for _, t := range k.tellers {
		if t.peer != except && t.before(nearest) {
			nearest = t
		}
	}
	return nearest
}

// depth is how far k is, by the nearest that tells of it.
func (k *known) depth() uint8 { return k.nearest(pki.Domain{}).depth }

// tell notes what t tells of k, in place of what it told before.
func (k *known) tell(t teller) {
	k.untell(func(old teller) bool { return old.heard == t.heard })
	if len(k.tellers) == cap(k.tellers) { // they are few, and there are many such lists
		k.tellers = append(make([]teller, 0, len(k.tellers)+1), k.tellers...)
	}
	k.tellers = append(k.tellers, t)
	if len(k.tellers) > MaxTellers {
		slices.SortStableFunc(k.tellers, func(a, b teller) int { return int(a.depth) - int(b.depth) })
		k.tellers = k.tellers[:MaxTellers]
	}
}

// untell forgets that the tellers tell of k for which who is true.
func (k *known) untell(who func(teller) bool) { k.tellers = slices.DeleteFunc(k.tellers, who) }

// A way leads to a context: said on one of ours, over gateways that each peel in one cell and
// speak in another.
type way struct {
	cell     *ownContext
	gateways []*known
	last     *known
}

// ways lists the ways to k that can be used in epoch e, those by the fewest gateways only and each
// once.
func (t *routes) ways(k *known, e onion.Epoch) (shortest []way) {
	for _, by := range k.tellers {
		w := way{by.cell, t.placed(by.way, e), k}
		switch {
		case len(w.gateways) < len(by.way) || slices.ContainsFunc(shortest, w.equal):
			continue
		case len(shortest) > 0 && len(w.gateways) > len(shortest[0].gateways):
			continue
		case len(shortest) > 0 && len(w.gateways) < len(shortest[0].gateways):
			shortest = shortest[:0]
		}
		shortest = append(shortest, w)
	}
	return shortest
}

func (w way) equal(v way) bool {
	return w.cell == v.cell && w.last == v.last && slices.Equal(w.gateways, v.gateways)
}

// placed finds the contexts at places that can be used in epoch e.
func (t *routes) placed(places []place, e onion.Epoch) (found []*known) {
	for _, p := range places {
		if i, ok := t.find(p); ok && t.foreign[i].Covers(e) {
			found = append(found, &t.foreign[i])
		}
	}
	return found
}
