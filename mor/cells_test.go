package mor_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/simulations"
)

// cells sends a letter between the homes of each pair of cells, and returns how many packets a node was told for each
// message, with its receipts, acknowledgement and all.
func cells(t *testing.T, n int) float64 {
	t.Helper()
	const size = 5
	var homes []int
	for cell := range n {
		homes = append(homes, cell*size+1, cell*size+size-1)
	}
	cfg := simulations.Config{Seed: uint64(n), Nodes: n * size, Cells: n, Degree: 4, ExtraHops: 1, Delay: 20 * time.Millisecond}
	l := newLetters(t, cfg, homes...)
	for from := range homes {
		for to := range homes {
			if from != to {
				l.send(t, from, to, 2)
			}
		}
	}
	l.arrive(t, time.Hour)
	for _, reason := range []mor.Drop{mor.DropAuth, mor.DropEpoch, mor.DropNoRoute, mor.DropBudget} {
		if n := l.dropped(cfg.Nodes, reason); n != 0 {
			t.Errorf("%d dropped for %s", n, reason)
		}
	}
	said := l.world.Counts().Said
	return float64(said) / float64(cfg.Nodes) / float64(len(l.sent))
}

// Between any two cells letters arrive, and what a message costs each node does not grow with the number of cells.
func TestCells(t *testing.T) {
	four, five := cells(t, 4), cells(t, 5)
	t.Logf("packets a node and message: %.1f in 4 cells, %.1f in 5", four, five)
	if five > four {
		t.Errorf("%.1f packets a node and message in 5 cells, %.1f in 4", five, four)
	}
}
