package attack_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// link is the mean latency of a link in these worlds.
const link = kernel.Time(1_000_000)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// agree is the check that all closed forms here are held to: what was simulated is as near to them as the tolerance says.
func agree(simulated, closed, tolerance float64) bool { return math.Abs(simulated-closed) <= tolerance }

// holds demands that what an attack reached agrees with its closed form, and what a broken one reached does not.
func holds(t *testing.T, what string, simulated, broken, closed, tolerance float64) {
	t.Helper()
	t.Logf("%-52s closed %.4f  simulated %.4f  difference %+.4f  tolerance %.4f  broken %.4f",
		what, closed, simulated, simulated-closed, tolerance, broken)
	if !agree(simulated, closed, tolerance) {
		t.Errorf("%s: %.4f, want %.4f within %.4f", what, simulated, closed, tolerance)
	}
	if agree(broken, closed, tolerance) {
		t.Errorf("%s: the check does not notice a broken attack: %.4f is within %.4f of %.4f", what, broken, tolerance, closed)
	}
}

// chance demands that what attacks reached in worlds of different seeds is no more and no less than chance.
func chance(t *testing.T, what string, ofSeeds []float64, want float64) {
	t.Helper()
	i := measure.Mean(ofSeeds)
	t.Logf("%-52s chance %.4f  reached %s", what, want, i)
	if !i.Holds(want) {
		t.Errorf("%s: %s where nothing can be known, want %.4f", what, i, want)
	}
}

func network(t *testing.T, n int, edges []graph.Edge) *graph.Graph {
	t.Helper()
	g, err := graph.New(n, edges)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func line(t *testing.T, n int) *graph.Graph {
	t.Helper()
	return network(t, n, graph.Line(n))
}

// regularTree has its root at 0, and all nodes but the leaves have the same degree.
func regularTree(t *testing.T, degree, depth int) *graph.Graph {
	t.Helper()
	n, edges := graph.RegularTree(degree, depth)
	return network(t, n, edges)
}

// chords is a ring with links across it by lot, so that all degrees are near to the given one.
func chords(t *testing.T, random *rand.Rand, n, degree int) *graph.Graph {
	t.Helper()
	var edges []graph.Edge
	for v := range n {
		edges = append(edges, graph.Edge{v, (v + 1) % n})
	}
	for range n * (degree - 2) / 2 {
		if a, b := random.IntN(n), random.IntN(n); a != b {
			edges = append(edges, graph.Edge{a, b})
		}
	}
	return network(t, n, edges)
}

func exponential(random *rand.Rand) func(arc int) kernel.Time {
	return func(int) kernel.Time { return 1 + kernel.Time(random.ExpFloat64()*float64(link)) }
}

func constant(int) kernel.Time { return link }

// spread lets a message go from a node to all, or until so many have it. Each node passes it on to all neighbours but the
// one it first had it from. It returns what was seen, in order, with the copies that came later.
func spread(g *graph.Graph, source int, start kernel.Time, delay func(arc int) kernel.Time, most int) (seen []rivals.Sighting) {
	var queue kernel.Heap
	queue.Push(kernel.Event{At: start, To: uint32(source), What: rivals.Nobody})
	has := map[uint32]bool{}
	for len(has) < most {
		e, ok := queue.Pop()
		if !ok {
			break
		}
		seen = append(seen, rivals.Sighting{At: e.At, Node: e.To, From: e.What})
		if has[e.To] {
			continue
		}
		has[e.To] = true
		for i, w := range g.Neighbours(int(e.To)) {
			if w != e.What {
				queue.Push(kernel.Event{At: e.At + delay(g.Arc(int(e.To), i)), To: w, What: e.To})
			}
		}
	}
	return seen
}

// having is who has the message.
func having(g *graph.Graph, seen []rivals.Sighting) []bool {
	has := make([]bool, g.Nodes())
	for _, s := range seen {
		has[s.Node] = true
	}
	return has
}

// first is how a rank counts for the share of first places: a tie of two is decided by lot.
func first(rank float64) float64 {
	switch rank {
	case 1:
		return 1
	case 1.5:
		return 0.5
	}
	return 0
}

// best is the greatest probability.
func best(p measure.Posterior) float64 { return math.Exp2(-p.MinEntropy()) }
