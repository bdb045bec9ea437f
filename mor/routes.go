package mor

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// How many foreign contexts a Router keeps, of all owners and of one. When either is
// reached, new ones are refused until old ones expire; those already known are renewed.
const (
	MaxKnown = 4096
	MaxOwned = 16
)

// known is a context of somebody else that this server may use in a route.
type known struct {
	Record
	raw   []byte
	depth uint8
}

// routes is what a server knows of contexts: its own, and those it learnt by Ask. It
// recognises the owner of a packet and finds ways to a server.
type routes struct {
	own      []*ownContext
	foreign  []known // sorted by ID and owner, so that nothing depends on the order of arrival
	matchers []epochMatcher
}

// epochMatcher recognises the packets of one epoch: the own contexts first, then the
// foreign ones that have a hint for it.
type epochMatcher struct {
	epoch   onion.Epoch
	matcher *onion.Matcher
	owners  []owner
}

// owner is whose key a packet is for: an own context, or a foreign one.
type owner struct {
	own     *ownContext
	foreign *known
}

// has reports whether the very bytes of a are known already, from as near.
func (t *routes) has(a Answered) bool {
	r, _, err := readRecord(a.Raw)
	if err != nil {
		return false
	}
	i, found := t.find(r)
	return found && bytes.Equal(t.foreign[i].raw, a.Raw) && t.foreign[i].depth <= a.Depth
}

// learn keeps r unless something as new and as near is known, or there is no place for it.
// It reports whether it did.
func (t *routes) learn(r Record, a Answered) bool {
	i, found := t.find(r)
	switch {
	case found && !fresher(r, a.Depth, t.foreign[i]):
		return false
	case !found && (len(t.foreign) >= MaxKnown || t.owned(r.Owner) >= MaxOwned):
		return false
	case !found:
		t.foreign = slices.Insert(t.foreign, i, known{})
	}
	t.foreign[i] = known{r, slices.Clone(a.Raw), a.Depth}
	t.matchers = nil
	return true
}

// fresher says which of two records of a context is kept: the one from nearer, even if
// what comes from farther is newer, unless the nearer has not been renewed for half of its
// life. So depths do not change with the order in which neighbours are asked.
func fresher(r Record, depth uint8, old known) bool {
	newer := r.NotAfter.Sub(old.NotAfter)
	switch {
	case depth < old.depth:
		return newer > -RecordLifetime/2
	case depth > old.depth:
		return newer > RecordLifetime/2
	}
	return newer > 0
}

// find looks for the context that r is of. Its owner is part of its name here: nobody can
// take the place of another's context by using the same ID.
func (t *routes) find(r Record) (int, bool) {
	return slices.BinarySearchFunc(t.foreign, r, func(k known, r Record) int {
		if c := slices.Compare(k.ID[:], r.ID[:]); c != 0 {
			return c
		}
		return strings.Compare(k.Owner.String(), r.Owner.String())
	})
}

func (t *routes) owned(owner pki.Domain) int {
	n := 0
	for i := range t.foreign {
		if t.foreign[i].Owner == owner {
			n++
		}
	}
	return n
}

// expire drops the foreign contexts whose record has run out.
func (t *routes) expire(now time.Time) {
	before := len(t.foreign)
	t.foreign = slices.DeleteFunc(t.foreign, func(k known) bool { return !now.Before(k.NotAfter) })
	if len(t.foreign) != before {
		t.matchers = nil
	}
}

// whose recognises the owner of p, in the epoch e that p names.
func (t *routes) whose(e onion.Epoch, p onion.Packet) (owner, bool) {
	m := t.matcher(e)
	i, ok := m.matcher.Match(p)
	if !ok {
		return owner{}, false
	}
	return m.owners[i], true
}

func (t *routes) matcher(e onion.Epoch) *epochMatcher {
	for i := range t.matchers {
		if t.matchers[i].epoch == e {
			return &t.matchers[i]
		}
	}
	t.matchers = append(t.matchers, t.newMatcher(e))
	return &t.matchers[len(t.matchers)-1]
}

func (t *routes) newMatcher(e onion.Epoch) epochMatcher {
	var hints []onion.Hint
	var owners []owner
	for _, c := range t.own {
		if h, ok := c.hintAt(e); ok {
			hints, owners = append(hints, h), append(owners, owner{own: c})
		}
	}
	for i := range t.foreign {
		if h, ok := t.foreign[i].HintAt(e); ok {
			hints, owners = append(hints, h), append(owners, owner{foreign: &t.foreign[i]})
		}
	}
	return epochMatcher{e, onion.NewMatcher(hints), owners}
}

// forget drops the matchers of epochs before e.
func (t *routes) forget(e onion.Epoch) {
	t.matchers = slices.DeleteFunc(t.matchers, func(m epochMatcher) bool { return m.epoch < e })
}

// toward lists the foreign contexts that lead to server and can be used in epoch e: those
// whose owner holds its key if there is one, else all that name it.
func (t *routes) toward(server onion.ServerID, e onion.Epoch) []*known {
	var ways, near []*known
	for i := range t.foreign {
		k := &t.foreign[i]
		switch lead := slices.Index(k.Leads, server); {
		case !k.Covers(e):
		case lead >= 0 && lead < k.Own:
			ways = append(ways, k)
		case lead >= 0:
			near = append(near, k)
		}
	}
	if len(ways) > 0 {
		return ways
	}
	return near
}

// others lists the foreign contexts usable in epoch e besides last.
func (t *routes) others(last *known, e onion.Epoch) []*known {
	var rest []*known
	for i := range t.foreign {
		if t.foreign[i].Covers(e) && &t.foreign[i] != last {
			rest = append(rest, &t.foreign[i])
		}
	}
	return rest
}

// leads lists the servers that the own contexts are a route to: the own keys first,
// then those of the neighbours.
func (t *routes) leads(own []onion.ServerID) []onion.ServerID {
	leads := slices.Clone(own)
	for i := range t.foreign {
		k := &t.foreign[i]
		if k.depth != 1 {
			continue
		}
		for _, id := range k.Leads[:k.Own] {
			if len(leads) < MaxLeads && !slices.Contains(leads, id) {
				leads = append(leads, id)
			}
		}
	}
	return leads
}
