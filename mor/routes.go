package mor

import (
	"bytes"
	"slices"
	"sort"
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
	key     *onion.ContextPrivateKey // of own
	hint    onion.Hint               // the same
	foreign *known
}

// has returns the record in a if these very bytes are known already, and those.
func (t *routes) has(a Answered) (r Record, raw []byte, known bool) {
	id, owner, ok := placeIn(a.Raw)
	if !ok {
		return r, nil, false
	}
	i, found := t.search(id, string(owner))
	if !found || !bytes.Equal(t.foreign[i].raw, a.Raw) {
		return r, nil, false
	}
	return t.foreign[i].Record, t.foreign[i].raw, true
}

// learn notes that by tells of r, and keeps r if it is new or newer than what is known of
// its context; raw is kept as well, and not changed. It reports whether r is known now, and whether it was kept.
func (t *routes) learn(by teller, r Record, raw []byte) (is, kept bool) {
	i, found := t.find(r.place())
	switch {
	case !found && (len(t.foreign) >= MaxKnown || t.owned(r.Owner) >= MaxOwned):
		return false, false
	case !found:
		t.foreign = slices.Insert(roomy(t.foreign), i, known{})
		kept = true
	default:
		kept = r.NotAfter.After(t.foreign[i].NotAfter)
	}
	k := &t.foreign[i]
	k.tell(by)
	if kept {
		k.Record, k.raw, t.matchers = r, raw, nil
	}
	return true, kept
}

// roomy returns all with room for one more. It grows by an eighth at a time: a server keeps what it knows for long, and learns
// it once.
func roomy(all []known) []known {
	if len(all) < cap(all) {
		return all
	}
	return append(make([]known, 0, len(all)+len(all)/8+4), all...)
}

// untell forgets that the tellers for which who is true tell of a context, but of those for which but
// is true. What nobody tells of is forgotten.
func (t *routes) untell(who func(teller) bool, but func(Record) bool) {
	for i := range t.foreign {
		if k := &t.foreign[i]; !but(k.Record) {
			k.untell(who)
		}
	}
	t.drop(func(k known) bool { return len(k.tellers) == 0 })
}

// drop forgets foreign contexts.
func (t *routes) drop(which func(known) bool) {
	before := len(t.foreign)
	t.foreign = slices.DeleteFunc(t.foreign, which)
	if len(t.foreign) != before {
		t.matchers = nil
	}
}

// distance is how far a foreign context is.
type distance struct {
	depth    uint8
	gateways int
}

// distances is how far each foreign context is. When it changes, the neighbours have reason to
// ask.
func (t *routes) distances() map[place]distance {
	far := make(map[place]distance, len(t.foreign))
	for i := range t.foreign {
		nearest := t.foreign[i].nearest(pki.Domain{})
		far[t.foreign[i].place()] = distance{nearest.depth, len(nearest.way)}
	}
	return far
}

// A place is the whole name of a foreign context.
type place struct {
	id    ContextID
	owner pki.Domain
}

func (r Record) place() place { return place{r.ID, r.Owner} }

// find looks for the context at p. Its owner is part of its name here: nobody can
// take the place of another's context by using the same ID.
func (t *routes) find(p place) (int, bool) { return t.search(p.id, p.owner.String()) }

func (t *routes) search(id ContextID, owner string) (int, bool) {
	return sort.Find(len(t.foreign), func(i int) int {
		k := &t.foreign[i]
		if c := bytes.Compare(id[:], k.ID[:]); c != 0 {
			return c
		}
		return strings.Compare(owner, k.Owner.String())
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
	t.drop(func(k known) bool { return !now.Before(k.NotAfter) })
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
		for _, o := range c.keys(e) {
			hints, owners = append(hints, o.hint), append(owners, o)
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

// beside lists the foreign contexts usable in epoch e, besides those of w, that are spoken on in the cell in which w
// begins.
func (t *routes) beside(w way, e onion.Epoch) []*known {
	var rest []*known
	for i := range t.foreign {
		k := &t.foreign[i]
		near := slices.ContainsFunc(k.tellers, func(by teller) bool { return by.cell == w.cell && len(by.way) == 0 && !by.beyond })
		if near && k.Covers(e) && k != w.last && !slices.Contains(w.gateways, k) {
			rest = append(rest, k)
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
		if k.depth() != 1 {
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
