package mor_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
	"github.com/p3do/p3do/simulations"
)

// load is many users who write to each other at random times.
type load struct {
	*letters
	t      *testing.T
	nodes  int
	random *rand.Rand
	late   int      // packets that were said when their epoch was over
	held   []letter // that were under way at a turn
}

// newLoad makes a world with a user at each node.
func newLoad(t *testing.T, cfg simulations.Config) *load {
	t.Helper()
	homes := make([]int, cfg.Nodes)
	for i := range homes {
		homes[i] = i
	}
	l := &load{newLetters(t, cfg, homes...), t, cfg.Nodes, rand.New(rand.NewPCG(cfg.Seed, 2)), 0, nil}
	for i := range cfg.Nodes {
		l.world.Node(i).Behave(func(n, to *simulations.Node, p onion.Packet) []onion.Packet {
			if p.WireEpoch() != onion.EpochAt(l.world.Now()).Wire() {
				l.late++
			}
			return simulations.Honest(n, to, p)
		})
	}
	return l
}

// slow are delays with which packets take seconds, so that some are under way whenever an epoch turns.
func slow(cfg simulations.Config) simulations.Config {
	cfg.ExtraHops, cfg.Jitter = 1, 30*time.Millisecond
	cfg.Delay, cfg.PeelDelay = 50*time.Millisecond, 300*time.Millisecond
	return cfg
}

// around plans n letters between any two of the users, from some time before an instant to as long after it.
func (l *load) around(at time.Time, some time.Duration, n int, users ...int) {
	if len(users) == 0 {
		for i := range l.users {
			users = append(users, i)
		}
	}
	for range n {
		when := at.Add(time.Duration(l.random.Int64N(int64(2*some))) - some)
		from := l.random.IntN(len(users))
		to := (from + 1 + l.random.IntN(len(users)-1)) % len(users)
		l.world.After(when.Sub(l.world.Now()), func() { l.send(l.t, users[from], users[to], 2) })
	}
}

// turn notes at an instant which letters have no receipt yet.
func (l *load) turn(at time.Time) {
	l.world.After(at.Sub(l.world.Now()), func() {
		for _, s := range l.sent {
			if state := s.from.State(s.id); state == mor.Queued || state == mor.Sent {
				l.held = append(l.held, s)
			}
		}
	})
}

// receipted is how many of the letters that were under way at a turn had their receipt over the reply block from before it.
func (l *load) receipted() (n int) {
	for _, s := range l.held {
		if s.from.Outgoing(s.id).Copies == 1 {
			n++
		}
	}
	return n
}

// end demands that all letters are acknowledged within limit and were shown once, and logs how it went.
func (l *load) end(what string, limit time.Duration) {
	l.t.Helper()
	l.arrive(l.t, limit)
	lost, twice := 0, 0
	for _, s := range l.sent {
		switch shown := s.shown(); {
		case shown == 0:
			lost++
		case shown > 1:
			twice++
		}
	}
	l.t.Logf("%s: %d letters, lost %d, shown twice %d; %+v", what, len(l.sent), lost, twice, l.world.Counts())
	if len(l.held) > 0 {
		l.t.Logf("under way at a turn %d letters, of which %d were receipted over a reply block from before it; %d packets said after the turn",
			len(l.held), l.receipted(), l.late)
	}
}

// shown is how often the addressee saw a letter.
func (s letter) shown() (n int) {
	for _, m := range s.to.Inbox() {
		if m.ID == s.id {
			n++
		}
	}
	return n
}

// nothingDropped demands that no packet was dropped for the reasons that a turn could give.
func (l *load) nothingDropped(reasons ...mor.Drop) {
	l.t.Helper()
	for _, reason := range reasons {
		if n := l.dropped(l.nodes, reason); n != 0 {
			l.t.Errorf("%d dropped for %s", n, reason)
		}
	}
}

// Twenty epochs turn while letters are under way: none is lost, and none is shown twice.
func TestEpochsTurn(t *testing.T) {
	const turns, each = 20, 12
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			t.Parallel()
			l := newLoad(t, slow(simulations.Config{Lazy: true, Seed: 20, Nodes: 8, Degree: 4, Loss: loss}))
			first := onion.EpochAt(l.world.Now()) + 1
			for turn := range onion.Epoch(turns) {
				l.around((first + turn).Start(), 4*time.Second, each)
				l.turn((first + turn).Start())
			}
			l.world.Run((first + turns).Start().Sub(l.world.Now()))
			l.end(fmt.Sprintf("%d epochs turned, loss %.2f", turns, loss), 24*time.Hour)
			l.nothingDropped(mor.DropEpoch, mor.DropAuth, mor.DropNoRoute, mor.DropSeenFull, mor.DropExpired)
			if len(l.sent) != turns*each || l.late < turns || l.receipted() < turns {
				t.Errorf("%d letters, %d packets and %d under way at %d turns", len(l.sent), l.late, l.receipted(), turns)
			}
		})
	}
}

// Three periods of server keys turn while letters are under way. One home is down while the second turns, so that what is in
// the outboxes of others is for its key of the period before.
func TestPeriodsTurn(t *testing.T) {
	const turns, each, home = 3, 20, 5
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			t.Parallel()
			l := newLoad(t, slow(simulations.Config{Lazy: true, Seed: 21, Nodes: 8, Degree: 4, Loss: loss}))
			first := pki.PeriodAt(l.world.Now()) + 1
			for turn := range pki.Period(turns) {
				at := (first + turn).Start()
				l.around(at, 5*time.Second, each)
				l.turn(at)
				if turn == 1 {
					l.away(home, at.Add(-time.Minute), at.Add(5*time.Minute))
				}
			}
			l.world.Run((first + turns).Start().Sub(l.world.Now()))
			l.end(fmt.Sprintf("%d periods turned, loss %.2f", turns, loss), 48*time.Hour)
			l.nothingDropped(mor.DropEpoch, mor.DropAuth, mor.DropExpired)
			if len(l.sent) != turns*each || l.receipted() < turns {
				t.Errorf("%d letters, %d under way at %d turns", len(l.sent), l.receipted(), turns)
			}
		})
	}
}

// away has a node down from one instant to another. Letters of its users wait for it, and they write none.
func (l *load) away(node int, from, to time.Time) {
	l.world.After(from.Sub(l.world.Now()), l.world.Node(node).Stop)
	l.world.After(to.Sub(l.world.Now()), func() {
		if err := l.world.Node(node).Restart(); err != nil {
			l.t.Error(err)
		}
	})
}

// What was made a second before a period turned opens until it expires, about seven days later: others find the way to the key of
// the last period, and its server has it still. A period later that key is gone, and nothing leads there.
func TestLastPeriodIsOpened(t *testing.T) {
	a, s := newServer("a", 1, nil), newServer("s", 1, nil)
	a.listen(s, 0)
	s.listen(a, 0)
	turn := pki.PeriodAt(start).End()
	made, keys := turn.Add(-time.Second), s.cfg.Servers
	expiry := onion.EpochAt(made.Add(mor.LetterLifetime)).Start() // it is rounded down to that
	for next := range pki.Period(2) {
		keys = append(keys, mor.ServerKey{Period: pki.PeriodAt(turn) + next, Private: must(onion.NewServerKey(stream(fmt.Sprint(next))))})
	}
	for i, c := range []struct {
		at        time.Time
		keys      []mor.ServerKey
		delivered int
		sent      bool
	}{
		{turn.Add(time.Second), keys, 2, true},
		{expiry.Add(-5 * time.Second), keys, 2, true},
		{expiry, keys, 0, true},
		{turn.Add(pki.PeriodLength), keys[1:], 0, false},
	} {
		s.SetServers(c.keys)
		if _, ok, err := a.ask(c.at, s, 0, []*server{a, s}); !ok || err != nil {
			t.Fatal(ok, err)
		}
		random := stream(fmt.Sprint("made", i))
		letter := inner(random, onion.Mailbox{1}, made, s)
		back := []onion.InnerHop{{Key: s.key.Public()}}
		surb, _, err := onion.BuildSURB(random, back, onion.Mailbox{2}, onion.SURBID{3}, made.Add(mor.LetterLifetime))
		if err != nil {
			t.Fatal(err)
		}
		_, first := a.Submit(c.at, onion.Entry{First: s.key.Public().ID(), Inner: letter})
		_, second := a.Reply(c.at, surb, make([]byte, onion.PayloadSize))
		delivered := 0
		for at := c.at; at.Before(c.at.Add(time.Second)); at = at.Add(20 * time.Millisecond) {
			for _, said := range a.Tick(at).Broadcast {
				s.Hear(at, said.On, said.Packet)
			}
			delivered += len(s.Tick(at).Deliver)
		}
		if sent := first == nil && second == nil; delivered != c.delivered || sent != c.sent {
			t.Errorf("%s after the turn: %d delivered, %v, %v", c.at.Sub(turn), delivered, first, second)
		}
	}
}
