package mor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Ask answers a query that asker made on our context on (row M8): with the records of our
// own contexts, those of contexts that we heard of from their owners, and those that these
// heard of, three Asks deep at most. What is known from the asker alone is left out. Whoever
// is not a member gets no answer: ok is false.
func (r *Router) Ask(now time.Time, on ContextID, asker pki.Domain) (answer []Answered, ok bool) {
	if !slices.Contains(r.members[on], asker) {
		return nil, false
	}
	for _, c := range r.routes.own {
		raw, err := r.record(now, c)
		if err != nil {
			return nil, false
		}
		answer = append(answer, Answered{1, raw})
	}
	for _, depth := range [...]uint8{1, 2} { // the nearest first, should there be too many
		for i := range r.routes.foreign {
			k := &r.routes.foreign[i]
			if k.depthBut(asker) == depth && k.Owner != asker && now.Before(k.NotAfter) && len(answer) < MaxAnswered {
				answer = append(answer, Answered{depth + 1, k.raw})
			}
		}
	}
	return answer, true
}

// A Learnt says what an answer did.
type Learnt struct {
	Kept int  // records that were new, or newer than what was known
	News bool // contexts have come or gone, or are nearer or farther: members should ask anew
}

// Learn keeps the records of the answer that from, the owner of a context we listen to, gave
// us last. Each is verified. What an earlier answer of from had and this one lacks is
// forgotten, unless others still tell of it. The error is that of the last record that was
// refused.
//
// Depths are the answerer's word. A record whose Depth is 1 should be the answerer's own,
// which the caller sees to.
func (r *Router) Learn(now time.Time, from pki.Domain, answer []Answered, authorities Authorities) (Learnt, error) {
	var learnt Learnt
	var failed error
	before, told := r.routes.depths(), make(map[place]bool)
	for _, a := range answer {
		record, err := r.judge(now, a, authorities)
		if err != nil {
			failed = err
			continue
		}
		if record.Owner == r.cfg.Domain {
			continue // our own record, come back to us
		}
		is, kept := r.routes.learn(from, record, a)
		if is {
			told[record.place()] = true
		}
		if kept {
			learnt.Kept++
		}
	}
	r.routes.untell(from, func(record Record) bool { return told[record.place()] })
	learnt.News = !maps.Equal(before, r.routes.depths())
	return learnt, failed
}

// judge reads a record and verifies it, unless these very bytes were judged before: then it
// expires as it did.
func (r *Router) judge(now time.Time, a Answered, authorities Authorities) (Record, error) {
	if a.Depth < 1 || a.Depth > MaxDepth {
		return Record{}, fmt.Errorf("%w: travelled %d Asks", ErrRecord, a.Depth)
	}
	if record, known := r.routes.has(a); known {
		return record, nil
	}
	return ParseRecord(a.Raw, authorities, now)
}

// Forget takes back all that from has told: it is gone, and what nobody else tells of is
// gone with it. It reports whether that is news for the members, as [Learnt] does.
func (r *Router) Forget(from pki.Domain) (news bool) {
	before := r.routes.depths()
	r.routes.untell(from, func(Record) bool { return false })
	return !maps.Equal(before, r.routes.depths())
}

// record returns the signed record of c. It is made anew when the epoch has turned and
// when the servers have changed that c leads to, and then ends later than the last one:
// of two records, the one that ends later is the newer.
func (r *Router) record(now time.Time, c *ownContext) ([]byte, error) {
	current, old := c.Advance(now), c.signed
	own := r.serverIDs()
	leads := r.routes.leads(own)
	if c.record != nil && old.Epoch == current.Epoch && old.Own == len(own) && slices.Equal(old.Leads, leads) {
		return c.record, nil
	}
	until := now.Add(RecordLifetime).Truncate(time.Second)
	if !until.After(old.NotAfter) {
		until = old.NotAfter.Add(time.Second)
	}
	signed := Record{
		ID: c.ID, Owner: r.cfg.Domain, Key: c.Key.Public(), Hint: current.Hint, Epoch: current.Epoch,
		NotBefore: now.Add(-time.Hour), NotAfter: until, Own: len(own), Leads: leads,
	}
	raw, err := signed.Sign(r.cfg.Sign)
	if err != nil {
		return nil, err
	}
	c.signed, c.record = signed, raw
	return raw, nil
}

func (r *Router) serverIDs() []onion.ServerID {
	ids := make([]onion.ServerID, len(r.cfg.Servers))
	for i, key := range r.cfg.Servers {
		ids[i] = key.Private.Public().ID()
	}
	return ids
}

// A ContextStatus is what p3dod status shows of one of our contexts (row M1).
type ContextStatus struct {
	ID        ContextID
	Listeners int // contexts heard whose packets are rebroadcast on it
	Members   int
	Counters  Counters
}

// Status returns a ContextStatus for each of our contexts, and how many foreign contexts
// are known.
func (r *Router) Status() (own []ContextStatus, known int) {
	for _, c := range r.routes.own {
		s := ContextStatus{ID: c.ID, Members: len(r.members[c.ID]), Counters: c.counters}
		for _, l := range r.listeners { // order-free: counts
			if l.speak == c {
				s.Listeners++
			}
		}
		own = append(own, s)
	}
	return own, len(r.routes.foreign)
}

// Contexts returns our contexts as they now are, to be kept durable.
func (r *Router) Contexts() []OwnContext {
	contexts := make([]OwnContext, len(r.routes.own))
	for i, c := range r.routes.own {
		contexts[i] = c.OwnContext
	}
	return contexts
}
