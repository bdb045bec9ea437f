package mor

import (
	"time"
)

// markSet remembers what was done once and must not be done again: layers peeled and
// bare inner packets wrapped. It is exact. Each heard context has a share of it, so that
// one neighbour cannot fill it for the others.
type markSet struct {
	share int
	held  map[ContextID]int
	marks map[[16]byte]held
}

// held is a mark and on whose account it is.
type held struct {
	until time.Time
	from  ContextID
}

func newMarkSet(share int, remembered []Mark) *markSet {
	s := &markSet{share: share, held: make(map[ContextID]int), marks: make(map[[16]byte]held)}
	for _, m := range remembered {
		s.marks[m.ID] = held{until: m.Until} // on nobody's account: who sent it is not known any more
	}
	return s
}

// add marks id on the account of the context that brought it.
func (s *markSet) add(id [16]byte, until time.Time, from ContextID) verdict {
	switch _, known := s.marks[id]; {
	case known:
		return repeated
	case s.held[from] >= s.share:
		return full
	}
	s.marks[id] = held{until, from}
	s.held[from]++
	return novel
}

// remove takes back a mark.
func (s *markSet) remove(id [16]byte) {
	m, known := s.marks[id]
	if !known {
		return
	}
	delete(s.marks, id)
	if s.held[m.from]--; s.held[m.from] <= 0 {
		delete(s.held, m.from)
	}
}

// expire removes the marks that have run out.
func (s *markSet) expire(now time.Time) {
	for id, m := range s.marks { // order-free: removes by a condition on each alone
		if now.After(m.until) {
			s.remove(id)
		}
	}
}
