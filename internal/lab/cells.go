package lab

import (
	"context"
	"fmt"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
)

// A lab may be several cells: parts in which each node has a link with each other. The first node of each cell is the gateway to the
// next one, and of the last to the first: it speaks there on a second context, and has links with all who are there.
const (
	// MinCell and MaxCell are how many nodes a cell may have.
	MinCell = 3
	MaxCell = 8
	// MaxCells is how many cells there may be: from one to any other a leg leads over three gateways at most.
	MaxCells = 7

	beyond = "beyond" // the name of a gateway's context in the next cell
)

// An edge is between two nodes. Each hears the first context of the other, but of a gateway the one that it has beyond.
type edge struct {
	a, b   int
	beyond bool // a is a gateway, and b in the next cell
}

// edges are the links of the lab.
func (c Config) edges() (all []edge) {
	if c.Cells <= 1 {
		for _, e := range ring(c.Nodes) {
			all = append(all, edge{a: e[0], b: e[1]})
		}
		return all
	}
	size := c.Nodes / c.Cells
	for first := 0; first < c.Nodes; first += size {
		for i := range size {
			for j := range i {
				all = append(all, edge{a: first + j, b: first + i})
			}
		}
	}
	for first := 0; first < c.Nodes; first += size {
		next := (first + size) % c.Nodes
		for i := range size {
			if next+i != 0 || c.Cells > 2 || first == 0 { // the gateways of two cells are peers in one of them
				all = append(all, edge{a: first, b: next + i, beyond: true})
			}
		}
	}
	return all
}

// CheckCells refuses what is no number of cells for the nodes.
func (c Config) CheckCells() error {
	if c.Cells <= 1 {
		return nil
	}
	if size := c.Nodes / c.Cells; c.Cells > MaxCells || c.Nodes%c.Cells != 0 || size < MinCell || size > MaxCell {
		return fmt.Errorf("lab: %d nodes are not split into %d cells: 2 to %d of %d to %d nodes each are possible", c.Nodes, c.Cells, MaxCells, MinCell, MaxCell)
	}
	return nil
}

// known is how many contexts of others a node comes to know: those of the nodes that are up to three links away.
func (c Config) known(i int) (contexts int) {
	beside := make([][]int, c.Nodes)
	gateway := make([]bool, c.Nodes)
	for _, e := range c.edges() {
		beside[e.a], beside[e.b] = append(beside[e.a], e.b), append(beside[e.b], e.a)
		gateway[e.a] = gateway[e.a] || e.beyond
	}
	far := map[int]int{i: 0}
	for queue := []int{i}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, next := range beside[at] {
			if _, seen := far[next]; !seen && far[at] < mor.MaxDepth {
				far[next] = far[at] + 1
				queue = append(queue, next)
			}
		}
	}
	for at := range far {
		if at != i && gateway[at] {
			contexts++
		}
	}
	return contexts + len(far) - 1
}

// gateways gives the first node of each cell its second context.
func (l *lab) gateways(ctx context.Context) error {
	if l.cfg.Cells <= 1 {
		return nil
	}
	for i := 0; i < l.cfg.Nodes; i += l.cfg.Nodes / l.cfg.Cells {
		if err := l.nodes[i].control.AddContext(ctx, beyond); err != nil {
			return fmt.Errorf("lab: %s: %w", l.nodes[i].domain, err)
		}
	}
	return nil
}

// homes are at which nodes the people of the demonstration live: in cells that are as far from each other as may be.
func (c Config) homes() (first, second int) {
	if c.Cells <= 1 {
		return 0, 1
	}
	size := c.Nodes / c.Cells
	return 1, c.Cells/2*size + 1
}

// crossed is how many packets each gateway has carried from one cell into another.
func (l *lab) crossed(ctx context.Context) (map[string]uint64, error) {
	all := make(map[string]uint64)
	if l.cfg.Cells <= 1 {
		return all, nil
	}
	for i := 0; i < l.cfg.Nodes; i += l.cfg.Nodes / l.cfg.Cells {
		s, err := l.nodes[i].control.Status(ctx)
		if err != nil {
			return nil, fmt.Errorf("lab: %s: %w", l.nodes[i].domain, err)
		}
		all[l.nodes[i].domain.String()] = crossings(s)
	}
	return all, nil
}

func crossings(s node.Status) (n uint64) {
	for _, c := range s.Contexts {
		n += c.Crossed
	}
	return n
}

// reportCrossings says which gateways have carried something across since before. In a lab of several cells somebody has to.
func (l *lab) reportCrossings(ctx context.Context, before map[string]uint64) error {
	now, err := l.crossed(ctx)
	if err != nil || l.cfg.Cells <= 1 {
		return err
	}
	any := false
	for i := 0; i < l.cfg.Nodes; i += l.cfg.Nodes / l.cfg.Cells {
		domain := l.nodes[i].domain.String()
		if n := now[domain] - before[domain]; n > 0 {
			any = true
			l.cfg.Report(Step{Step: StepGateway, Domain: domain, Packets: n})
		}
	}
	if !any {
		return fmt.Errorf("lab: nothing went over a gateway, and the homes are in different cells")
	}
	return nil
}
