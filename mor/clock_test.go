package mor_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations"
)

// Nodes and users whose clocks are five minutes ahead or behind take part fully, also while the epoch has turned for some
// and not for others.
func TestClocksFiveMinutesApart(t *testing.T) {
	const turns, each, apart = 4, 24, 5 * time.Minute
	skew := func(node int) time.Duration { return time.Duration(node%3-1) * apart }
	l := newLoad(t, slow(simulations.Config{Seed: 24, Nodes: 9, Degree: 4, Skew: skew}))
	first := onion.EpochAt(l.world.Now()) + 1
	for turn := range onion.Epoch(turns) {
		l.around((first + turn).Start(), 2*apart, each)
	}
	l.world.Run((first + turns).Start().Sub(l.world.Now()))
	l.end("clocks 5 minutes ahead and behind", time.Hour)
	l.nothingDropped(mor.DropEpoch, mor.DropAuth, mor.DropNoRoute, mor.DropExpired)
	for i := range l.nodes {
		if s := l.world.Node(i).Clock(); s.Far != 0 || s.Neighbours == 0 {
			t.Errorf("node %d: %+v", i, s)
		}
	}
}

// A node whose clock is wrong by an hour or more refuses what others say, can tell by how much it is wrong, and is refused.
// Letters between the others go on by other ways. A quarter of an hour after its clock was set right it takes part again, and
// the letters that its user wrote meanwhile arrive.
func TestClockWrong(t *testing.T) {
	const each, off = 16, 2
	for name, c := range map[string]struct {
		skew   time.Duration
		epochs int  // of the others, after its own
		seen   bool // by its neighbours: it has routes, and says something
	}{
		"an hour ahead": {time.Hour, -2, true}, "an hour behind": {-time.Hour, 2, false},
		"a day ahead": {24 * time.Hour, -48, true}, "two days ahead": {48 * time.Hour, -96, false}, "a day behind": {-24 * time.Hour, 48, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLoad(t, slow(simulations.Config{Seed: 25, Nodes: 8, Degree: 4}))
			wrong := l.world.Node(off)
			wrong.SetClock(c.skew)
			l.send(t, off, 5, 2)
			l.send(t, 5, off, 2)
			l.around(l.world.Now().Add(11*time.Minute), time.Minute, each, 0, 1, 3, 4, 5, 6, 7)
			l.world.Run(9 * time.Minute) // neighbours have not asked it yet
			l.seesWrong(wrong, c.epochs, c.seen)
			l.world.Run(6 * time.Minute)
			for _, s := range l.sent[:2] {
				if s.shown() != 0 {
					t.Errorf("%q went through", s.text)
				}
			}
			refused := l.dropped(l.nodes, mor.DropEpoch)
			wrong.SetClock(0)
			l.around(l.world.Now().Add(15*time.Minute), time.Minute, each)
			l.world.Run(16 * time.Minute)
			l.end(name, 30*time.Minute)
			t.Logf("%s: %d dropped for their epoch, and %d after it was set right", name, refused, l.dropped(l.nodes, mor.DropEpoch)-refused)
			if now := l.dropped(l.nodes, mor.DropEpoch); now != refused {
				t.Errorf("%d dropped for their epoch after it was set right", now-refused)
			}
		})
	}
}

// seesWrong demands that a node knows by how much its clock is wrong, and that its neighbours know that theirs are right.
func (l *load) seesWrong(wrong *simulations.Node, epochs int, seen bool) {
	l.t.Helper()
	if s := wrong.Clock(); !s.Wrong() || s.Far != s.Neighbours || s.Epochs != epochs || sum(wrong, epoch) == 0 {
		l.t.Errorf("it sees its clock like this: %+v; it refused %d", s, sum(wrong, epoch))
	}
	saw := false
	for i := range l.nodes {
		n := l.world.Node(i)
		s := n.Clock()
		if n == wrong || s.Far == 0 {
			continue
		}
		if saw = true; s.Wrong() || s.Far != 1 || s.Epochs != -epochs || sum(n, epoch) == 0 {
			l.t.Errorf("node %d: %+v; it refused %d", i, s, sum(n, epoch))
		}
	}
	if saw != seen {
		l.t.Errorf("seen by neighbours: %t", saw)
	}
}

func epoch(c mor.Counters) uint64 { return c.Dropped[mor.DropEpoch] }

// A router whose clock was ahead answers an Ask as soon as it is set right with a record that holds now, and peels what is
// made by it; what is made by the record of before it peels when that epoch has come.
func TestClockSetBack(t *testing.T) {
	a, s := newServer("a", 1, nil), newServer("s", 1, nil)
	a.listen(s, 0)
	s.listen(a, 0)
	ahead := start.Add(48 * time.Hour)
	all := []*server{a, s}
	if kept, ok, _ := a.ask(ahead, s, 0, all); !ok || kept != 1 {
		t.Fatal("nothing learnt by the clock that is ahead")
	}
	before := s.hop(0, ahead)
	s.Tick(ahead)
	a = newServer("a", 1, nil)
	a.listen(s, 0)
	if kept, ok, err := a.ask(start, s, 0, all); !ok || kept != 1 || err != nil {
		t.Fatal(kept, ok, err)
	}
	s.own = s.Contexts()
	peels := func(at time.Time, hop onion.OuterHop) bool {
		had := s.counters().Peeled
		s.did(s.Hear(at, a.own[0].ID, cover(stream("cover"), at, hop)))
		s.did(s.Tick(s.wake))
		return s.counters().Peeled > had
	}
	if hop := s.hop(0, start); hop.Key == before.Key || !peels(start, hop) {
		t.Error("the key of now is the one of before, or nothing is peeled with it")
	}
	if s.own[0].Former[0].Key.Public() != before.Key || len(s.own[0].Former) != 1 {
		t.Errorf("%d former keys", len(s.own[0].Former))
	}
	s.Tick(start.Add(time.Minute))
	if again := s.Contexts(); again[0].Key.Public() != s.own[0].Key.Public() {
		t.Error("a clock that is right takes the key away again")
	}
}

// A message whose next copy was to be made by a clock that was ahead is due when that is set right, and one that waits for as
// long as it may is not.
func TestOutboxAfterClockSetBack(t *testing.T) {
	for state, longest := range map[mor.State]time.Duration{mor.Queued: 7500 * time.Millisecond, mor.Sent: 7500 * time.Millisecond, mor.StoredThere: 450 * time.Second} {
		o := mor.Outgoing{State: state, Created: start, Next: start.Add(longest), Attempts: 1}
		if o.Due(start) {
			t.Errorf("%s: due before its time", state)
		}
		if o.Next = start.Add(longest + time.Second); !o.Due(start) {
			t.Errorf("%s: not due, for %s", state, longest+time.Second)
		}
	}
}
