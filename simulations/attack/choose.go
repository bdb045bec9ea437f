package attack

import (
	"slices"

	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/rivals"
)

// A Coalition is who works for the adversary, an element for each node: her spies, or the servers that she compromised.
// She knows all that they see, and forgets nothing. Nobody else knows who they are.
type Coalition []bool

// Has reports whether a node is bad. rivals.Nobody is not.
func (c Coalition) Has(node uint32) bool { return uint64(node) < uint64(len(c)) && c[node] }

// Size is how many are bad.
func (c Coalition) Size() (n int) {
	for _, bad := range c {
		if bad {
			n++
		}
	}
	return n
}

// Hears is what the adversary sees of a world through the coalition: what comes to a bad node from a good one. She has no
// use for what bad nodes send each other, or write themselves.
func (c Coalition) Hears(all []rivals.Sighting) (seen []rivals.Sighting) {
	for _, s := range all {
		if c.Has(s.Node) && !c.Has(s.From) && s.From != rivals.Nobody {
			seen = append(seen, s)
		}
	}
	return seen
}

// Scattered makes each node bad with probability share, independently of the others. Lots returns an even number below n,
// as IntN of a seeded math/rand/v2.Rand does; of one seed the coalition is the same each time.
func Scattered(lots func(n int) int, nodes int, share float64) Coalition {
	const fine = 1 << 30
	c := make(Coalition, nodes)
	for v := range c {
		c[v] = lots(fine) < int(share*fine)
	}
	return c
}

// Drawn makes just so many nodes bad, or all if there are fewer, each set of them as likely as any other.
func Drawn(lots func(n int) int, nodes, bad int) Coalition {
	c := make(Coalition, nodes)
	for _, v := range draw(lots, nodes, bad) {
		c[v] = true
	}
	return c
}

// Foremost makes those nodes bad that have the highest scores, for instance their degrees: what an adversary does who can
// choose. Of those that are alike the first are taken.
func Foremost(scores []float64, bad int) Coalition {
	order := make([]int, len(scores))
	for v := range order {
		order[v] = v
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	c := make(Coalition, len(scores))
	for _, v := range order[:min(max(0, bad), len(order))] {
		c[v] = true
	}
	return c
}

// Taps are arcs on which somebody listens, an element for each arc of a graph: an eavesdropper with no nodes of her own,
// as in G. Fanti, P. Viswanath, Deanonymization in the Bitcoin P2P network, NIPS 2017. She sees when something comes over
// such an arc, and what it is.
type Taps []bool

// Tapped taps so many of the arcs that begin at each node, or all of them where there are fewer, by lot. To hear both
// ways of a link, tap its other arc too.
func Tapped(lots func(n int) int, g *graph.Graph, each int) Taps {
	t := make(Taps, g.Arcs())
	for v := range g.Nodes() {
		for _, place := range draw(lots, g.Degree(v), each) {
			t[g.Arc(v, place)] = true
		}
	}
	return t
}

// Hear is what comes over the tapped arcs.
func (t Taps) Hear(g *graph.Graph, all []rivals.Sighting) (seen []rivals.Sighting) {
	for _, s := range all {
		if s.From == rivals.Nobody {
			continue
		}
		place, there := slices.BinarySearch(g.Neighbours(int(s.From)), s.Node)
		if there && t[g.Arc(int(s.From), place)] {
			seen = append(seen, s)
		}
	}
	return seen
}

// draw is so many different numbers below n, or all, by the first steps of Fisher and Yates's shuffle.
func draw(lots func(n int) int, n, many int) []int {
	deck := make([]int, n)
	for i := range deck {
		deck[i] = i
	}
	many = min(max(0, many), n)
	for i := range many {
		j := i + lots(n-i)
		deck[i], deck[j] = deck[j], deck[i]
	}
	return deck[:many]
}
