package rivals

import (
	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
)

// A Network is what a message spreads over.
type Network struct {
	Graph   *graph.Graph
	Latency []kernel.Time // of each arc
	Lots    chance.Lots   // of all that is drawn
	Queue   kernel.Queue  // empty; it is again when a message has spread
}

// A Protocol says where a node passes a message on that it has for the first time. From is whom it came from, or Nobody.
type Protocol interface {
	Pass(n Network, node, from uint32, send Send)
}

// A Repeater is a Protocol that also does something about a message that a node has already.
type Repeater interface {
	Again(n Network, node, from uint32, send Send)
}

// Send sends to the neighbour at a place among [graph.Graph.Neighbours], after a delay that the node adds.
type Send func(place int, after kernel.Time)

// A Run is how a message spread.
type Run struct {
	First         []kernel.Time // when each node had it; kernel.Forever if it never did
	Transmissions int           // over arcs
	Seen          []Sighting    // in their order, the writer's own first
}

// Reached is how many nodes had the message.
func (r Run) Reached() (nodes int) {
	for _, at := range r.First {
		if at < kernel.Forever {
			nodes++
		}
	}
	return nodes
}

// Play spreads a message, numbered as given, from a node. What it has been told before a node ignores, as the production router does.
func (n Network) Play(p Protocol, source, message uint32) Run {
	r := Run{First: make([]kernel.Time, n.Graph.Nodes())}
	for i := range r.First {
		r.First[i] = kernel.Forever
	}
	r.hear(n, p, kernel.Event{To: source, What: Nobody}, message)
	for e, ok := n.Queue.Pop(); ok; e, ok = n.Queue.Pop() {
		r.hear(n, p, e, message)
	}
	return r
}

// hear has a node hear the message: e.To from e.What.
func (r *Run) hear(n Network, p Protocol, e kernel.Event, message uint32) {
	r.Seen = append(r.Seen, Sighting{At: e.At, Node: e.To, From: e.What, Message: message})
	send := func(place int, after kernel.Time) {
		r.Transmissions++
		arc := n.Graph.Arc(int(e.To), place)
		n.Queue.Push(kernel.Event{At: e.At + after + n.Latency[arc], To: uint32(n.Graph.End(arc)), What: e.To})
	}
	if r.First[e.To] == kernel.Forever {
		r.First[e.To] = e.At
		p.Pass(n, e.To, e.What, send)
	} else if again, ok := p.(Repeater); ok {
		again.Again(n, e.To, e.What, send)
	}
}
