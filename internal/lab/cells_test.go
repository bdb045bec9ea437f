package lab

import (
	"fmt"
	"testing"

	"github.com/p3do/p3do/mor"
)

// Whatever cells a lab may have, a record of each node, or the word of a neighbour that leads to it, comes to each other node.
func TestCellsAreInReach(t *testing.T) {
	for cells := 1; cells <= MaxCells+1; cells++ {
		for nodes := MinNodes; nodes <= MaxNodes; nodes++ {
			c := Config{Nodes: nodes, Cells: cells}
			if size := nodes / cells; (c.CheckCells() == nil) != (cells == 1 || cells <= MaxCells && nodes%cells == 0 && size >= MinCell && size <= MaxCell) {
				t.Errorf("%d nodes in %d cells: %v", nodes, cells, c.CheckCells())
			} else if c.CheckCells() == nil && cells > 1 {
				reach(t, c)
			}
		}
	}
}

func reach(t *testing.T, c Config) {
	t.Helper()
	far := make([][]int, c.Nodes)
	for i := range far {
		far[i] = make([]int, c.Nodes)
		for j := range far[i] {
			far[i][j] = c.Nodes
		}
		far[i][i] = 0
	}
	peers := make(map[string]bool)
	for _, e := range c.edges() {
		if pair := fmt.Sprint(min(e.a, e.b), max(e.a, e.b)); peers[pair] || e.a == e.b {
			t.Errorf("%d nodes in %d cells: %d and %d are peers twice", c.Nodes, c.Cells, e.a, e.b)
		} else {
			peers[pair] = true
		}
		far[e.a][e.b], far[e.b][e.a] = 1, 1
	}
	for k := range far {
		for i := range far {
			for j := range far {
				far[i][j] = min(far[i][j], far[i][k]+far[k][j])
			}
		}
	}
	for i := range far {
		contexts := 0
		for j := range far {
			if far[i][j] > mor.MaxDepth+1 {
				t.Errorf("%d nodes in %d cells: from %d to %d are %d links", c.Nodes, c.Cells, i, j, far[i][j])
			}
			if j != i && far[i][j] <= mor.MaxDepth {
				contexts++
				if j%(c.Nodes/c.Cells) == 0 {
					contexts++ // a gateway
				}
			}
		}
		if known := c.known(i); known != contexts {
			t.Errorf("%d nodes in %d cells: %d knows %d contexts, not %d", c.Nodes, c.Cells, i, known, contexts)
		}
	}
	if a, b := c.homes(); a/(c.Nodes/c.Cells) == b/(c.Nodes/c.Cells) {
		t.Errorf("%d nodes in %d cells: both live in one", c.Nodes, c.Cells)
	}
}
