package mor_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// A context that gets another key and hint is peeled under both: under the one before until no
// record of it can hold, also by a router that was started anew with what was kept.
func TestRekey(t *testing.T) {
	a, s := newServer("a", 1, nil), newServer("s", 1, nil)
	s.listen(a, 0)
	random, now := stream("rekey"), start
	peeled := func(at time.Time, hop onion.OuterHop, want bool) {
		t.Helper()
		before := s.counters().Peeled
		s.did(s.Hear(at, a.own[0].ID, cover(random, at, hop)))
		s.did(s.Tick(s.wake))
		if got := s.counters().Peeled > before; got != want {
			t.Errorf("peeled %t at %s", got, at)
		}
	}
	old := *s
	peeled(now, old.hop(0, now), true)
	fresh := must(mor.NewContext(random, now))
	s.own = []mor.OwnContext{s.own[0].Rekey(now, fresh)}
	if !s.SetContext(s.own[0]) || s.SetContext(fresh) {
		t.Fatal("the context is ours, and no other one is")
	}
	peeled(now, old.hop(0, now), true)
	peeled(now, s.hop(0, now), true)
	late := now.Add(mor.RecordLifetime + onion.EpochLength)
	peeled(late, old.hop(0, late), true)

	s.cfg.Contexts = s.Contexts()
	s.boot()
	s.listen(a, 0)
	peeled(late, old.hop(0, late), true)
	over := late.Add(3 * onion.EpochLength)
	peeled(over, old.hop(0, over), false)
	peeled(over, s.hop(0, over), true)
	if left := s.Contexts()[0]; len(left.Former) != 0 || left.ID != old.own[0].ID {
		t.Errorf("%d former keys", len(left.Former))
	}
}

// Members learn the new key at the next Ask, in place of the old one; records that are signed
// anew by another domain key are taken in place of those before.
func TestRekeyIsLearnt(t *testing.T) {
	a, s := newServer("a", 1, nil), newServer("s", 1, nil)
	s.listen(a, 0)
	a.listen(s, 0)
	all := []*server{a, s}
	ask := func(want int) {
		t.Helper()
		kept, ok, err := a.ask(start, s, 0, all)
		if _, known := a.Status(); kept != want || known != 1 || !ok || err != nil {
			t.Errorf("kept %d, knows %d, %v", kept, known, err)
		}
	}
	ask(1)
	ask(0)
	s.SetContext(s.own[0].Rekey(start, must(mor.NewContext(stream("fresh"), start))))
	ask(1)
	ask(0)
	s.Resign()
	ask(1)
}

// More former keys than MaxFormer there are not.
func TestRekeyIsBounded(t *testing.T) {
	c := must(mor.NewContext(stream("c"), start))
	for range 3 * mor.MaxFormer {
		c = c.Rekey(start, must(mor.NewContext(stream("d"), start)))
	}
	if len(c.Former) != mor.MaxFormer {
		t.Errorf("%d former keys", len(c.Former))
	}
}
