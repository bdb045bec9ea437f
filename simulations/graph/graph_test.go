package graph

import (
	"slices"
	"testing"
)

func TestGraph(t *testing.T) {
	g, err := New(5, []Edge{{1, 0}, {3, 1}, {0, 3}, {1, 3}, {2, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if g.Nodes() != 5 || g.Arcs() != 8 || g.Degree(4) != 0 || !slices.Equal(g.Neighbours(1), []uint32{0, 2, 3}) {
		t.Errorf("%d nodes, %d arcs, %d, %v", g.Nodes(), g.Arcs(), g.Degree(4), g.Neighbours(1))
	}
	for v := range g.Nodes() {
		for i, to := range g.Neighbours(v) {
			arc := g.Arc(v, i)
			back := g.Back(arc)
			if g.Begin(arc) != v || g.End(arc) != int(to) || g.End(back) != v || g.Begin(back) != int(to) || g.Back(back) != arc {
				t.Errorf("arc %d of %d to %d, back %d", arc, v, to, back)
			}
		}
	}
	for _, bad := range []Edge{{0, 5}, {-1, 0}, {2, 2}} {
		if _, err := New(5, []Edge{bad}); err == nil {
			t.Errorf("made a graph with the edge %v", bad)
		}
	}
}
