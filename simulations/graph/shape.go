package graph

import "github.com/p3do/p3do/simulations/kernel"

// Component returns how many nodes can be reached from one, itself included.
func (g *Graph) Component(node int) int {
	seen, next := make([]bool, g.Nodes()), []int{node}
	seen[node] = true
	for i := 0; i < len(next); i++ {
		for _, w := range g.Neighbours(next[i]) {
			if !seen[w] {
				seen[w] = true
				next = append(next, int(w))
			}
		}
	}
	return len(next)
}

// Connected reports whether there is a way from each node to all others.
func (g *Graph) Connected() bool { return g.Nodes() == 0 || g.Component(0) == g.Nodes() }

// Fastest is how long the fastest way from a node to each other takes, Forever where there is none; latency is by arc. E. Dijkstra, A
// note on two problems in connexion with graphs, Numerische Mathematik 1 (1959).
func (g *Graph) Fastest(from int, latency []kernel.Time) []kernel.Time {
	far := make([]kernel.Time, g.Nodes())
	for v := range far {
		far[v] = kernel.Forever
	}
	var queue kernel.Heap
	far[from] = 0
	queue.Push(kernel.Event{To: uint32(from)})
	for e, ok := queue.Pop(); ok; e, ok = queue.Pop() {
		v := int(e.To)
		if far[v] < e.At {
			continue
		}
		for i, w := range g.Neighbours(v) {
			if at := e.At + latency[g.Arc(v, i)]; at < far[w] {
				far[w] = at
				queue.Push(kernel.Event{At: at, To: w})
			}
		}
	}
	return far
}
