package mor_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/simulations"
)

// Cover is made at the rate that was asked for, whatever else there is to do; it goes as far as other packets do, is peeled
// and dropped by the last owner, and takes no place of letters.
func TestCover(t *testing.T) {
	t.Parallel()
	cfg := simulations.Config{
		Seed: 3, Nodes: 8, Degree: 4, ExtraHops: 1, Lazy: true, Cover: time.Minute,
		Delay: 20 * time.Millisecond, PeelDelay: 100 * time.Millisecond,
	}
	l := newLetters(t, cfg, 0, 4)
	l.world.Run(time.Hour)
	var made, dropped, spoken uint64
	count := func() {
		made, spoken, dropped = 0, 0, l.dropped(cfg.Nodes, mor.DropCover)
		for i := range cfg.Nodes {
			own, _ := l.world.Node(i).Router.Status()
			made, spoken = made+own[0].Counters.Cover, spoken+own[0].Counters.Spoken
		}
	}
	count()
	if made < 400 || made > 560 { // 480 on average, 22 off in two cases of three
		t.Errorf("%d packets of cover in an hour of 8 nodes", made)
	}
	if dropped < made-2 || dropped > made { // the last may be under way
		t.Errorf("%d of %d packets of cover were dropped at their ends", dropped, made)
	}
	if spoken < 2*made-2 { // each is peeled once before, and said again by who did
		t.Errorf("%d packets said for %d of cover", spoken, made)
	}
	for range 10 {
		l.send(t, 0, 1, 2)
		l.send(t, 1, 0, 2)
	}
	l.arrive(t, time.Hour)
	t.Logf("%d packets of cover in an hour of 8 nodes, %d dropped at their ends", made, dropped)
}

// Who knows nobody makes no cover, and a router that makes some is woken for it.
func TestCoverForNobody(t *testing.T) {
	s := newServer("x", 1, func(c *mor.Config) { c.Cover = time.Second })
	now := start
	for range 100 {
		out := s.Tick(now)
		if len(out.Broadcast) != 0 || !out.Wake.After(now) || out.Wake.Sub(now) > 10*time.Second {
			t.Fatalf("%d said, wakes at %s", len(out.Broadcast), out.Wake)
		}
		now = out.Wake
	}
	if c := s.counters(); c.Cover != 0 {
		t.Errorf("%d packets of cover", c.Cover)
	}
}
