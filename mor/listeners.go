package mor

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A listener is a bot: what it hears on one context is rebroadcast on another. It is 64 bytes, a line of a processor's cache.
type listener struct {
	heard      ContextID
	speak      *ownContext // nil: a free place of the table
	last       hearing
	packets    uint32 // that it heard since they were last put on an account
	duplicates uint32 // of these, seen before
	owner      pki.Domain
}

// settle puts what l has counted on the account of the context that it speaks on.
func (l *listener) settle() {
	l.speak.counters.Heard += uint64(l.packets)
	l.speak.counters.Duplicates += uint64(l.duplicates)
	l.packets, l.duplicates = 0, 0
}

// listeners holds them by what they hear. Every packet is looked up here, most of them only to be counted as seen before, so
// it is a flat table with open addressing: whose listener it is and its counts are found together. A pointer into it is good until
// the next put or remove. Context IDs are random; who chooses hers badly makes her own links slow, and there are MaxListeners at most.
type listeners struct {
	places []listener
	count  int
}

// find returns the listener to a context; nil if there is none.
func (t *listeners) find(heard ContextID) *listener {
	if t.count == 0 {
		return nil
	}
	if l := t.place(heard); l.speak != nil {
		return l
	}
	return nil
}

// place is where the listener to a context is, or would be.
func (t *listeners) place(heard ContextID) *listener {
	mask := uint64(len(t.places) - 1)
	for i := binary.LittleEndian.Uint64(heard[:]) & mask; ; i = (i + 1) & mask {
		if l := &t.places[i]; l.speak == nil || l.heard == heard {
			return l
		}
	}
}

// put adds a listener, or replaces the one that hears the same.
func (t *listeners) put(l listener) {
	if 2*(t.count+1) > len(t.places) {
		t.resize(max(4, 2*len(t.places)))
	}
	place := t.place(l.heard)
	if place.speak == nil {
		t.count++
	}
	*place = l
}

// remove ends the listeners for which who is true.
func (t *listeners) remove(who func(*listener) bool) {
	for l := range t.all() {
		if who(l) {
			l.settle()
			l.speak = nil
			t.count--
		}
	}
	t.resize(len(t.places))
}

// resize puts all into a table of another length.
func (t *listeners) resize(places int) {
	old := *t
	t.places = make([]listener, places)
	for l := range old.all() {
		*t.place(l.heard) = *l
	}
}

// all goes through the listeners, in the same order for the same history.
func (t *listeners) all() iter.Seq[*listener] {
	return func(yield func(*listener) bool) {
		for i := range t.places {
			if t.places[i].speak != nil && !yield(&t.places[i]) {
				return
			}
		}
	}
}

// Listen makes a listener: what owner says on its context heard is rebroadcast on our
// context speak. It reports whether it did: not if speak is none of ours, if heard is our
// own or already another owner's, or if there are MaxListeners.
func (r *Router) Listen(owner pki.Domain, heard, speak ContextID) bool {
	c, old := r.context(speak), r.listeners.find(heard)
	switch {
	case c == nil || r.context(heard) != nil:
		return false
	case old == nil && r.listeners.count >= MaxListeners:
		return false
	case old != nil && old.owner != owner:
		return false
	}
	if old != nil {
		old.settle()
	}
	r.listeners.put(listener{heard: heard, owner: owner, speak: c})
	return true
}

// Unlisten ends a listener.
func (r *Router) Unlisten(heard ContextID) {
	r.listeners.remove(func(l *listener) bool { return l.heard == heard })
}

// hears counts a packet, and returns its epoch. It notes how far that is from ours, which is e.
func (l *listener) hears(p onion.Packet, e onion.Epoch, at int64) (onion.Epoch, error) {
	if l.packets == math.MaxUint32 {
		l.settle()
	}
	l.packets++
	l.last = hearing{at, int32(int16(p.WireEpoch() - e.Wire()))}
	return e.Near(p.WireEpoch())
}
