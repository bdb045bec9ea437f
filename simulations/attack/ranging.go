package attack

import (
	"math"

	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// Ranging finds the writer of a message by when it came to the spies, as one finds an earthquake by its waves: P. Pinto,
// P. Thiran, M. Vetterli, Locating the source of diffusion in large-scale networks, Physical Review Letters 109 (2012).
//
// The adversary knows the graph, the latency of each arc, when a message first came to each spy, and by how much such an
// instant is uncertain. She does not know when it was sent. She makes no use of whom it came from; and unlike the paper
// she takes the uncertainties of the spies for independent of each other, which they are not where paths to two spies
// share uncertain arcs.
type Ranging struct {
	nodes int
	far   [][]kernel.Time // by spy and node: from the node to the spy; Forever where no path leads
	spies []uint32
	place map[uint32]int // of a spy in the two lists above
}

// NewRanging measures the way to each spy from everywhere, by Dijkstra's algorithm; latency is by arc. Memory is eight
// bytes for each node and spy.
func NewRanging(g *graph.Graph, latency []kernel.Time, spies Coalition) *Ranging {
	r := &Ranging{nodes: g.Nodes(), place: make(map[uint32]int)}
	for v := range g.Nodes() {
		if spies.Has(uint32(v)) {
			r.place[uint32(v)] = len(r.spies)
			r.spies = append(r.spies, uint32(v))
			r.far = append(r.far, towards(g, latency, v))
		}
	}
	return r
}

// towards is how long the fastest way from each node to the given one takes.
func towards(g *graph.Graph, latency []kernel.Time, to int) []kernel.Time {
	far := make([]kernel.Time, g.Nodes())
	for v := range far {
		far[v] = kernel.Forever
	}
	var queue kernel.Heap
	queue.Push(kernel.Event{To: uint32(to)})
	for {
		e, ok := queue.Pop()
		if !ok {
			return far
		}
		v := int(e.To)
		if far[v] <= e.At {
			continue
		}
		far[v] = e.At
		for i, w := range g.Neighbours(v) {
			if at := e.At + latency[g.Back(g.Arc(v, i))]; at < far[w] {
				queue.Push(kernel.Event{At: at, To: w})
			}
		}
	}
}

// Posterior is how likely each node is to be the writer of one message. The residual of a spy is when it heard the
// message less how far it is from the node; spread is the standard deviation of that, and more than 0. All residuals
// should be the instant of sending, which is unknown, so what counts is how they differ from their mean: the likelihood
// is exp(-sum of squares / 2 spread²). Spies are no suspects, nor is who has no way to a spy that heard. If fewer than
// two spies heard it, all others are alike.
func (r *Ranging) Posterior(seen []rivals.Sighting, spread kernel.Time) measure.Posterior {
	at := r.arrivals(seen)
	logs := make([]float64, r.nodes)
	residuals := make([]float64, 0, len(r.spies))
	for v := range logs {
		logs[v] = impossible
		if _, spy := r.place[uint32(v)]; spy {
			continue
		}
		residuals = residuals[:0]
		reached := true
		for spy, t := range at {
			if t < kernel.Forever {
				reached = reached && r.far[spy][v] < kernel.Forever
				residuals = append(residuals, float64(t-r.far[spy][v]))
			}
		}
		if reached {
			logs[v] = -squares(residuals) / (2 * float64(spread) * float64(spread))
		}
	}
	return fromLogs(logs)
}

// arrivals is when each spy first heard the message; Forever if it did not.
func (r *Ranging) arrivals(seen []rivals.Sighting) []kernel.Time {
	at := make([]kernel.Time, len(r.spies))
	for i := range at {
		at[i] = kernel.Forever
	}
	for _, s := range seen {
		if i, ok := r.place[s.Node]; ok {
			at[i] = min(at[i], s.At)
		}
	}
	return at
}

// squares is the sum of the squared differences from the mean.
func squares(xs []float64) (sum float64) {
	mean := 0.0
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		sum += (x - mean) * (x - mean)
	}
	return math.Max(0, sum)
}
