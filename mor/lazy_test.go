package mor_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/simulations"
)

// wide is a cell in which each node has eight neighbours.
func wide(seed uint64, lazy bool) simulations.Config {
	return simulations.Config{
		Seed: seed, Nodes: 48, Degree: 8, ExtraHops: 1, Lazy: lazy,
		Jitter: 10 * time.Millisecond, Delay: 20 * time.Millisecond,
	}
}

// counted adds up what the nodes of a world counted.
func counted(w *simulations.World, nodes int) (sum mor.Counters) {
	for i := range nodes {
		own, _ := w.Node(i).Router.Status()
		for _, c := range own {
			sum.Heard += c.Counters.Heard
			sum.Duplicates += c.Counters.Duplicates
			sum.Spoken += c.Counters.Spoken
			sum.Asked += c.Counters.Asked
			sum.Given += c.Counters.Given
			sum.Announced += c.Counters.Announced
		}
	}
	return sum
}

// bodies sends letters, apart from each other or all at once, and returns how many bodies a node was sent for each flood.
func bodies(t *testing.T, cfg simulations.Config, pause time.Duration) float64 {
	t.Helper()
	l := newLetters(t, cfg, 0, 11, 24, 37)
	for i := range 4 {
		l.send(t, i, (i+1)%4, 2)
		l.world.Run(2 * time.Second)
	}
	l.arrive(t, time.Hour) // the tree is there
	before, said := counted(l.world, cfg.Nodes), l.world.Counts()
	for i := range 24 {
		l.send(t, i%4, (i+1+i/4%3)%4, 2)
		l.world.Run(pause)
	}
	l.arrive(t, time.Hour)
	after, now := counted(l.world, cfg.Nodes), l.world.Counts()
	floods := after.Spoken - before.Spoken
	sent := now.Said - now.Forwarded - (said.Said - said.Forwarded)
	t.Logf("%d floods, %d bodies, %d notices, %d asked for, %d given", floods, sent, now.Notices-said.Notices, after.Asked-before.Asked, after.Given-before.Given)
	return float64(sent) / float64(floods) / float64(cfg.Nodes)
}

// A flood costs each node little more than one body, whatever the degree, once there is a tree.
func TestLazyFloodsCostOneBody(t *testing.T) {
	t.Parallel()
	all := bodies(t, wide(1, false), 2*time.Second)
	apart, burst := bodies(t, wide(1, true), 2*time.Second), bodies(t, wide(1, true), 0)
	t.Logf("bodies a node and flood at degree 8: %.2f over all links, %.2f over eager ones, %.2f of them in a burst", all, apart, burst)
	if apart > 1.3 || burst > 2 || all < 6 {
		t.Error("more than 1.3, or than 2 in a burst, or fewer than 6 over all links")
	}
}

// A census counts what those nodes hear that live.
type census struct {
	letters *letters
	nodes   int
	dead    map[int]bool

	novel, due uint64 // packets that they heard, and that were said times those that live
}

// count takes what happened since the last count: novel packets heard, and packets made times the others that live.
func (c *census) count(pass func()) {
	before := c.sum()
	pass()
	after := c.sum()
	c.novel += after.Heard - after.Duplicates - before.Heard + before.Duplicates
	c.due += (after.Spoken - before.Spoken) * uint64(c.nodes-len(c.dead)-1)
}

func (c *census) sum() (sum mor.Counters) {
	for i := range c.nodes {
		if !c.dead[i] {
			own, _ := c.letters.world.Node(i).Router.Status()
			sum.Heard += own[0].Counters.Heard
			sum.Duplicates += own[0].Counters.Duplicates
			sum.Spoken += own[0].Counters.Spoken
		}
	}
	return sum
}

// amidDeaths sends letters while a tenth of the nodes die, one after another and unnoticed by their neighbours, and
// links lose a twentieth of what they carry. It returns which share of the living each packet reached, and how long it
// took until all was acknowledged.
func amidDeaths(t *testing.T, seed uint64, lazy bool) (share float64, took time.Duration) {
	t.Helper()
	cfg := wide(seed, lazy)
	cfg.Loss = 0.05
	l := newLetters(t, cfg, 0, 11, 24, 37)
	for i := range 4 {
		l.send(t, i, (i+1)%4, 2)
	}
	l.arrive(t, time.Hour)
	c := census{letters: l, nodes: cfg.Nodes, dead: make(map[int]bool)}
	began := l.world.Now()
	for i := range 24 {
		if i%5 == 0 {
			victim := 3 + 9*len(c.dead)
			c.dead[victim] = true
			l.world.Node(victim).Stop()
		}
		c.count(func() {
			l.send(t, i%4, (i+1+i/4%3)%4, 2)
			l.world.Run(10 * time.Second)
		})
	}
	c.count(func() {
		if !l.world.RunUntil(24*time.Hour, l.acknowledged) {
			t.Errorf("lazy %v: not all acknowledged", lazy)
		}
		took = l.world.Now().Sub(began)
		l.world.Run(time.Minute) // for what is still under way
	})
	return float64(c.novel) / float64(c.due), took
}

// While a tenth of the nodes die, and a twentieth of everything is lost, packets reach as many as over all links.
func TestLazyDeliversAmidDeaths(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		all, tookAll := amidDeaths(t, seed, false)
		lazy, tookLazy := amidDeaths(t, seed, true)
		t.Logf("seed %d: a packet reached %.5f of the living over all links, all acknowledged in %s; %.5f over eager ones, in %s",
			seed, all, tookAll, lazy, tookLazy)
		if lazy < all-0.001 {
			t.Errorf("seed %d: fewer over eager links", seed)
		}
	}
}
