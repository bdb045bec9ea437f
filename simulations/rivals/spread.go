package rivals

import "github.com/p3do/p3do/simulations/kernel"

// Flood passes on to all neighbours but the one it had the message from, at once: n·d - (n-1) transmissions on a connected graph in which each
// of n nodes has d neighbours.
type Flood struct{}

// Pass sends to all others.
func (Flood) Pass(n Network, node, from uint32, send Send) {
	for place, to := range n.Graph.Neighbours(int(node)) {
		if to != from {
			send(place, 0)
		}
	}
}

// Diffusion passes on to all others too, to each after an exponential delay of its own: G. Fanti, P. Viswanath, Deanonymization in the
// Bitcoin P2P network, NIPS 2017.
type Diffusion struct {
	Mean kernel.Time
}

// Pass sends to all others, later.
func (d Diffusion) Pass(n Network, node, from uint32, send Send) {
	for place, to := range n.Graph.Neighbours(int(node)) {
		if to != from {
			send(place, kernel.Time(float64(d.Mean)*n.Lots.Exp()))
		}
	}
}

// Gossip passes on to so many neighbours by lot, once: infect and die. A. Demers et al., Epidemic algorithms for replicated database
// maintenance, PODC 1987.
type Gossip struct {
	Fanout int
}

// Pass sends to some.
func (g Gossip) Pass(n Network, node, _ uint32, send Send) {
	for _, place := range n.Lots.Distinct(n.Graph.Degree(int(node)), g.Fanout) {
		send(place, 0)
	}
}

// Dandelion passes a message along a stem, from each node to its one successor, and at each step with a probability lets it diffuse from
// there: S. Bojja Venkatakrishnan, G. Fanti, P. Viswanath, Dandelion, SIGMETRICS 2017. A stem that comes to somebody who has the message
// has gone in a circle; it diffuses from there too.
type Dandelion struct {
	Fluff      float64 // probability that a node begins to diffuse
	Mean       kernel.Time
	Successors []int // of each node, a place among its neighbours

	diffuses map[uint32]bool // of one message
}

// NewDandelion draws a successor for each node, if it can be one whose successor it is not.
func NewDandelion(n Network, fluff float64, mean kernel.Time) *Dandelion {
	d := &Dandelion{Fluff: fluff, Mean: mean, Successors: make([]int, n.Graph.Nodes()), diffuses: make(map[uint32]bool)}
	for v := range d.Successors {
		for _, place := range n.Lots.Distinct(n.Graph.Degree(v), n.Graph.Degree(v)) {
			d.Successors[v] = place
			if to := n.Graph.End(n.Graph.Arc(v, place)); to > v || d.successor(n, to) != v {
				break
			}
		}
	}
	return d
}

func (d *Dandelion) successor(n Network, node int) int {
	return n.Graph.End(n.Graph.Arc(node, d.Successors[node]))
}

// Pass goes on with the stem, which the writer always begins, or diffuses. Who had the message from one who diffuses, diffuses.
func (d *Dandelion) Pass(n Network, node, from uint32, send Send) {
	if from == Nobody {
		clear(d.diffuses)
	}
	stem := from == Nobody || !d.diffuses[from] && !n.Lots.Bernoulli(d.Fluff)
	if stem && n.Graph.Degree(int(node)) > 0 {
		send(d.Successors[node], 0)
		return
	}
	d.diffuse(n, node, from, send)
}

// Again has a node of the stem diffuse when the message comes back to it, be that by diffusion, or because the stem went in a circle.
func (d *Dandelion) Again(n Network, node, from uint32, send Send) {
	if !d.diffuses[node] {
		d.diffuse(n, node, from, send)
	}
}

func (d *Dandelion) diffuse(n Network, node, from uint32, send Send) {
	d.diffuses[node] = true
	Diffusion{d.Mean}.Pass(n, node, from, send)
}
