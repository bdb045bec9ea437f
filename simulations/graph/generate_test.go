package graph_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
)

func lots(seed uint64) chance.Lots { return chance.Lots{Source: rand.NewPCG(seed, 2)} }

func network(t *testing.T, n int, edges []graph.Edge) *graph.Graph {
	t.Helper()
	g, err := graph.New(n, edges)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Graphs without chance have the edges that they must, for small numbers too.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		edges []graph.Edge
		want  int
	}{
		{"line", 5, graph.Line(5), 4}, {"line", 1, graph.Line(1), 0}, {"ring", 5, graph.Ring(5), 5}, {"ring", 2, graph.Ring(2), 1},
		{"complete", 6, graph.Complete(6), 15}, {"complete", 1, graph.Complete(1), 0}, {"tree", 7, graph.Tree(7, 2), 6},
	} {
		if g := network(t, c.n, c.edges); g.Arcs() != 2*c.want || !g.Connected() {
			t.Errorf("%s of %d: %d arcs", c.name, c.n, g.Arcs())
		}
	}
	n, edges := graph.RegularTree(3, 4)
	g := network(t, n, edges)
	if n != 1+3+6+12+24 || !g.Connected() || g.Degree(0) != 3 || g.Degree(5) != 3 || g.Degree(n-1) != 1 {
		t.Errorf("a tree of degree 3: %d nodes", n)
	}
}

// All nodes of a regular graph have its degree, and no two graphs of different seeds are the same.
func TestRegular(t *testing.T) {
	for _, c := range []struct{ n, degree int }{{2, 1}, {4, 3}, {10, 3}, {50, 8}, {9, 8}, {1000, 4}, {5, 0}} {
		edges, err := graph.Regular(lots(1), c.n, c.degree)
		if err != nil {
			t.Fatal(c, err)
		}
		g := network(t, c.n, edges)
		for v := range c.n {
			if g.Degree(v) != c.degree {
				t.Fatalf("%v: node %d has degree %d", c, v, g.Degree(v))
			}
		}
	}
	for _, c := range []struct{ n, degree int }{{5, 3}, {4, 4}, {4, -1}} {
		if _, err := graph.Regular(lots(1), c.n, c.degree); !errors.Is(err, graph.ErrDegree) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Each two nodes are joined with the probability that was given, and the graph is connected as often as Erdős and Rényi say.
func TestErdosRenyi(t *testing.T) {
	const n, p, trials = 30, 0.2, 2000
	joined := make(map[graph.Edge]int)
	l := lots(3)
	for range trials {
		for _, e := range graph.ErdosRenyi(l, n, p) {
			joined[e]++
		}
	}
	sigma := math.Sqrt(trials * p * (1 - p))
	for a := range n {
		for b := a + 1; b < n; b++ {
			if got := float64(joined[graph.Edge{a, b}]); math.Abs(got-trials*p) > 5*sigma {
				t.Errorf("%d and %d are joined %v times of %d", a, b, got, trials)
			}
		}
	}
	if len(joined) != n*(n-1)/2 || len(graph.ErdosRenyi(l, n, 0)) != 0 || len(graph.ErdosRenyi(l, n, 1)) != n*(n-1)/2 {
		t.Error(len(joined))
	}
}

// A small world has as many edges as its ring, and short ways; without chance it is the ring.
func TestSmallWorld(t *testing.T) {
	diameter := func(moved float64) (most kernel.Time) {
		g := network(t, 400, graph.SmallWorld(lots(4), 400, 6, moved))
		if g.Arcs() != 2*400*3 {
			t.Errorf("%v: %d arcs", moved, g.Arcs())
		}
		ones := make([]kernel.Time, g.Arcs())
		for i := range ones {
			ones[i] = 1
		}
		for _, d := range g.Fastest(0, ones) {
			most = max(most, d)
		}
		return most
	}
	if ring, small := diameter(0), diameter(0.2); ring != 67 || small > 12 {
		t.Errorf("ring %d, small world %d", ring, small)
	}
}

// Degrees of a scale-free graph fall off with the cube: the share of nodes of degree 2m and more is about (m(m+1))/(2m(2m+1)).
func TestScaleFree(t *testing.T) {
	const n, m = 20_000, 3
	g := network(t, n, graph.ScaleFree(lots(5), n, m))
	high := 0
	for v := range n {
		if g.Degree(v) >= 2*m {
			high++
		}
	}
	want := float64(m*(m+1)) / float64(2*m*(2*m+1))
	if got := float64(high) / n; math.Abs(got-want) > 0.015 || !g.Connected() {
		t.Errorf("%.4f have twice the least degree, want %.4f", got, want)
	}
	if small := graph.ScaleFree(lots(5), 2, 3); len(small) != 1 {
		t.Error(small)
	}
}

// The same lots give the same edges, today and in ten years.
func TestGolden(t *testing.T) {
	regular, err := graph.Regular(lots(6), 20, 3)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(regular, graph.ErdosRenyi(lots(6), 20, 0.2), graph.SmallWorld(lots(6), 20, 4, 0.3), graph.ScaleFree(lots(6), 20, 2))
	const want = "9f7d4b341a2977f2"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(all)))[:16]; got != want {
		t.Errorf("%s: %s", got, all)
	}
}

func TestComponents(t *testing.T) {
	g := network(t, 5, []graph.Edge{{0, 1}, {2, 3}, {3, 4}})
	if g.Component(0) != 2 || g.Component(4) != 3 || g.Connected() {
		t.Error(g.Component(0), g.Component(4))
	}
	if far := g.Fastest(2, []kernel.Time{1, 1, 5, 5, 7, 7}); far[4] != 12 || far[0] != kernel.Forever {
		t.Error(far)
	}
}
