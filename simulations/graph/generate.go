package graph

import (
	"errors"
	"fmt"
	"math"

	"github.com/p3do/p3do/simulations/chance"
)

// Line joins each of n nodes to the next.
func Line(n int) (edges []Edge) {
	for v := range n - 1 {
		edges = append(edges, Edge{v, v + 1})
	}
	return edges
}

// Ring is a line whose ends are joined. With fewer than three nodes it is a line.
func Ring(n int) []Edge {
	edges := Line(n)
	if n > 2 {
		edges = append(edges, Edge{n - 1, 0})
	}
	return edges
}

// Complete joins each of n nodes to all others.
func Complete(n int) (edges []Edge) {
	for a := range n {
		for b := range a {
			edges = append(edges, Edge{b, a})
		}
	}
	return edges
}

// Tree hangs n nodes under the first, so many under each, layer by layer.
func Tree(n, branching int) (edges []Edge) {
	for v := 1; v < n; v++ {
		edges = append(edges, Edge{(v - 1) / branching, v})
	}
	return edges
}

// RegularTree is a tree in which all nodes have so many neighbours, but the leaves, which are so many links from the first node.
func RegularTree(degree, depth int) (n int, edges []Edge) {
	n = 1
	layer := []int{0}
	for range depth {
		var next []int
		for _, v := range layer {
			children := degree - 1
			if v == 0 {
				children = degree
			}
			for range children {
				edges = append(edges, Edge{v, n})
				next = append(next, n)
				n++
			}
		}
		layer = next
	}
	return n, edges
}

// ErrDegree says that no graph has such degrees.
var ErrDegree = errors.New("graph: no regular graph has so many nodes of that degree")

// Regular is a random graph in which each of n nodes has the same degree: the pairing model (B. Bollobás, A probabilistic proof of
// an asymptotic formula for the number of labelled regular graphs, European Journal of Combinatorics 1, 1980), in which loops
// and double edges are then exchanged with edges drawn by lot. So not all such graphs are quite equally likely. The error is
// ErrDegree if n·degree is odd, or the degree not below n.
func Regular(l chance.Lots, n, degree int) ([]Edge, error) {
	if degree < 0 || degree >= n || n*degree%2 != 0 {
		return nil, ErrDegree
	}
	for range tries {
		if edges, ok := paired(l, n, degree); ok {
			return edges, nil
		}
	}
	return nil, fmt.Errorf("%w: none was found by lot in %d tries", ErrDegree, tries)
}

// tries is how often a graph is begun anew.
const tries = 100

// paired joins the ends of edges by lot, and mends what comes of it.
func paired(l chance.Lots, n, degree int) ([]Edge, bool) {
	ends := make([]int, 0, n*degree)
	for v := range n {
		for range degree {
			ends = append(ends, v)
		}
	}
	l.Shuffle(len(ends), func(i, j int) { ends[i], ends[j] = ends[j], ends[i] })
	edges, times := make([]Edge, len(ends)/2), make(map[Edge]int)
	for i := range edges {
		edges[i] = Edge{ends[2*i], ends[2*i+1]}
		times[ordered(edges[i])]++
	}
	for i := range edges {
		for attempts := 0; bad(edges[i], times); attempts++ {
			if attempts == 100*len(edges) {
				return nil, false
			}
			exchange(edges, times, i, l.IntN(len(edges)))
		}
	}
	return edges, true
}

func ordered(e Edge) Edge { return Edge{min(e[0], e[1]), max(e[0], e[1])} }

// bad reports a loop, or an edge that is there twice.
func bad(e Edge, times map[Edge]int) bool { return e[0] == e[1] || times[ordered(e)] > 1 }

// exchange swaps the second ends of two edges, if that makes neither bad.
func exchange(edges []Edge, times map[Edge]int, i, j int) {
	a, b := Edge{edges[i][0], edges[j][1]}, Edge{edges[j][0], edges[i][1]}
	if i == j || a[0] == a[1] || b[0] == b[1] || ordered(a) == ordered(b) || times[ordered(a)] > 0 || times[ordered(b)] > 0 {
		return
	}
	times[ordered(edges[i])]--
	times[ordered(edges[j])]--
	times[ordered(a)]++
	times[ordered(b)]++
	edges[i], edges[j] = a, b
}

// ErdosRenyi joins each two of n nodes with probability p: E. Gilbert, Random graphs, 1959; P. Erdős, A. Rényi, On random graphs,
// 1959. It takes time in proportion to the edges (V. Batagelj, U. Brandes, Efficient generation of large random networks, Physical
// Review E 71, 2005).
func ErdosRenyi(l chance.Lots, n int, p float64) (edges []Edge) {
	if p >= 1 {
		return Complete(n)
	}
	if p <= 0 {
		return nil
	}
	leave := math.Log1p(-p)
	for b, a := 1, -1; b < n; {
		a += 1 + int(math.Min(-l.Exp()/leave, float64(n)*float64(n)))
		for a >= b && b < n {
			a -= b
			b++
		}
		if b < n {
			edges = append(edges, Edge{a, b})
		}
	}
	return edges
}

// SmallWorld is a ring of n nodes, each joined to the degree/2 next ones on either side, in which each edge has its far end moved to a node
// drawn by lot with a probability: D. Watts, S. Strogatz, Collective dynamics of small-world networks, Nature 393 (1998).
func SmallWorld(l chance.Lots, n, degree int, moved float64) (edges []Edge) {
	there := make(map[Edge]bool)
	for far := 1; far <= degree/2; far++ {
		for v := range n {
			if w := (v + far) % n; v != w {
				there[ordered(Edge{v, w})] = true
			}
		}
	}
	for far := 1; far <= degree/2; far++ {
		for v := range n {
			e := ordered(Edge{v, (v + far) % n})
			if to := l.IntN(n); l.Bernoulli(moved) && to != v && !there[ordered(Edge{v, to})] && there[e] {
				delete(there, e)
				e = ordered(Edge{v, to})
				there[e] = true
			}
			edges = append(edges, e)
		}
	}
	return edges
}

// ScaleFree adds n nodes one after the other, each joined to so many of those before it, drawn in proportion to their degrees: A.-L.
// Barabási, R. Albert, Emergence of scaling in random networks, Science 286 (1999). It begins with each+1 nodes that are all joined.
func ScaleFree(l chance.Lots, n, each int) []Edge {
	first := min(each+1, n)
	edges := Complete(first)
	var ends []int // each node as often as it has neighbours
	for _, e := range edges {
		ends = append(ends, e[0], e[1])
	}
	for v := first; v < n; v++ {
		joined := make(map[int]bool, each)
		for len(joined) < each {
			to := ends[l.IntN(len(ends))]
			if !joined[to] {
				joined[to] = true
				edges = append(edges, Edge{to, v})
			}
		}
		for _, e := range edges[len(edges)-each:] {
			ends = append(ends, e[0], e[1])
		}
	}
	return edges
}
