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
// heard of, three Asks deep at most. What is known from the asker alone is left out. What is beyond
// another context of ours than on is reached over it: we are its gateway. Whoever
// is not a member gets no answer: ok is false.
func (r *Router) Ask(now time.Time, on ContextID, asker pki.Domain) (answer []Answered, ok bool) {
	if !slices.Contains(r.members[on], asker) {
		return nil, false
	}
	r.sweep(now)
	t := telling{on: on, asker: asker, at: make(map[place]uint8)}
	for _, c := range r.routes.own {
		raw, err := r.record(now, c)
		if err != nil {
			return nil, false
		}
		t.add(place{c.ID, r.cfg.Domain}, Answered{Depth: 1, Raw: raw, Beyond: c.ID != on})
	}
	for _, depth := range [...]uint8{1, 2} { // the nearest first, should there be too many
		for i := range r.routes.foreign {
			k := &r.routes.foreign[i]
			if by := k.nearest(asker); by.depth == depth && k.Owner != asker && now.Before(k.NotAfter) {
				t.tell(r.cfg.Domain, k, by)
			}
		}
	}
	return t.answer, true
}

// telling is an answer that grows.
type telling struct {
	on     ContextID
	asker  pki.Domain
	answer []Answered
	at     map[place]uint8 // where in answer a record stands
}

func (t *telling) add(p place, a Answered) {
	if len(t.answer) < MaxAnswered {
		t.at[p] = uint8(len(t.answer))
		t.answer = append(t.answer, a)
	}
}

// tell adds k as by tells of it, unless its way is too long or goes over what the asker is not told of.
func (t *telling) tell(us pki.Domain, k *known, by teller) {
	over := by.way
	if by.cell.ID != t.on {
		over = append([]place{{by.cell.ID, us}}, over...)
	}
	way := make([]uint8, len(over))
	for i, p := range over {
		at, told := t.at[p]
		if !told || !t.answer[at].Beyond {
			return
		}
		way[i] = at
	}
	if len(way) <= MaxGateways {
		t.add(k.place(), Answered{Depth: by.depth + 1, Way: way, Raw: k.raw, Beyond: by.beyond})
	}
}

// A Learnt says what an answer did.
type Learnt struct {
	Kept int  // records that were new, or newer than what was known
	News bool // contexts have come or gone, or are nearer or farther: members should ask anew
}

// Learn keeps the records of the answer that the owner of heard, a context we listen to, gave
// us last when it was asked there. Each is verified. What an earlier answer on heard had and this one lacks is
// forgotten, unless others still tell of it; so is what it told on contexts that we listen to no more. The error is that of the last record that was
// refused. Nothing is learnt on a context that we do not listen to.
//
// Depths and ways are the answerer's word. A record whose Depth is 1 should be the answerer's own,
// which the caller sees to.
func (r *Router) Learn(now time.Time, heard ContextID, answer []Answered, authorities Authorities) (Learnt, error) {
	l := r.listeners.find(heard)
	if l == nil {
		return Learnt{}, fmt.Errorf("%w: told on a context that is not listened to", ErrRecord)
	}
	var learnt Learnt
	var failed error
	before, told := r.routes.distances(), make(map[place]bool)
	at := make([]place, len(answer)) // where each record of the answer is; of what is not kept the zero place
	for i, a := range answer {
		record, raw, err := r.judge(now, a, authorities)
		if err != nil {
			failed = err
			continue
		}
		way, ok := over(at, a.Way)
		if record.Owner == r.cfg.Domain || !ok {
			continue // our own record, come back to us, or what is reached over one that was not kept
		}
		is, kept := r.routes.learn(teller{heard: heard, peer: l.owner, depth: a.Depth, cell: l.speak, way: way, beyond: a.Beyond}, record, raw)
		if is {
			at[i], told[record.place()] = record.place(), true
		}
		if kept {
			learnt.Kept++
		}
	}
	r.routes.untell(func(t teller) bool { return t.heard == heard }, func(record Record) bool { return told[record.place()] })
	r.routes.untell(func(t teller) bool { return t.peer == l.owner && r.listeners.find(t.heard) == nil }, func(Record) bool { return false })
	learnt.News = !maps.Equal(before, r.routes.distances())
	return learnt, failed
}

// over turns the way of a record into places; ok is false if one of them was not kept.
func over(at []place, way []uint8) (places []place, ok bool) {
	for _, i := range way {
		if int(i) >= len(at) || at[i] == (place{}) {
			return nil, false
		}
		places = append(places, at[i])
	}
	return places, true
}

// judge reads a record and verifies it, unless these very bytes were judged before: then it
// expires as it did. It returns the bytes as they are to be kept.
func (r *Router) judge(now time.Time, a Answered, authorities Authorities) (record Record, raw []byte, err error) {
	if !a.fits() {
		return Record{}, nil, fmt.Errorf("%w: %d bytes, travelled %d Asks, over %d gateways", ErrRecord, len(a.Raw), a.Depth, len(a.Way))
	}
	if record, raw, known := r.routes.has(a); known {
		return record, raw, nil
	}
	if r.cfg.Judged != nil {
		if record, raw, err = r.cfg.Judged.read(a.Raw, authorities); err == nil {
			err = record.valid(now)
		}
		return record, raw, err
	}
	record, err = ParseRecord(a.Raw, authorities, now)
	return record, slices.Clone(a.Raw), err
}

// Forget takes back all that from has told: it is gone, and what nobody else tells of is
// gone with it. It reports whether that is news for the members, as [Learnt] does.
func (r *Router) Forget(from pki.Domain) (news bool) {
	return r.untell(func(t teller) bool { return t.peer == from })
}

// untell takes back all that the tellers have told for which who is true.
func (r *Router) untell(who func(teller) bool) (news bool) {
	before := r.routes.distances()
	r.routes.untell(who, func(Record) bool { return false })
	return !maps.Equal(before, r.routes.distances())
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
	signed := Record{
		ID: c.ID, Owner: r.cfg.Domain, Key: c.Key.Public(), Hint: current.Hint, Epoch: current.Epoch,
		NotBefore: now.Add(-time.Hour), NotAfter: old.outlived(now), Own: len(own), Leads: leads,
	}
	raw, err := signed.Sign(r.cfg.Sign)
	if err != nil {
		return nil, err
	}
	c.signed, c.record = signed, raw
	return raw, nil
}

// outlived is when the record after r ends: [RecordLifetime] from now, or if that is not later a second after r. A record that
// ends so late that its successor would be refused was signed by a clock that was ahead; nobody whose clock is right has it.
func (r Record) outlived(now time.Time) time.Time {
	until, next := now.Add(RecordLifetime).Truncate(time.Second), r.NotAfter.Add(time.Second)
	if next.After(until) && next.Sub(now) < 2*RecordLifetime-time.Hour {
		return next
	}
	return until
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
		for l := range r.listeners.all() {
			if l.speak == c {
				s.Listeners++
				s.Counters.Heard += uint64(l.packets)
				s.Counters.Duplicates += uint64(l.duplicates)
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
