package graph

import (
	"fmt"
	"slices"
)

// An Edge joins two nodes, in either order.
type Edge [2]int

// A Graph is the neighbours of nodes. Its arcs are in the order of the nodes that they begin at, and of those they end at.
type Graph struct {
	first []uint32 // of each node's arcs; one more at the end
	to    []uint32 // where each arc ends
	back  []uint32 // the arc of the same edge the other way
}

// New makes a graph of n nodes. An edge that is given twice is one. The error names a loop, or an edge to a node that is not there.
func New(n int, edges []Edge) (*Graph, error) {
	arcs := make([][2]uint32, 0, 2*len(edges))
	for _, e := range edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= n || e[0] == e[1] {
			return nil, fmt.Errorf("graph: no edge can be between %d and %d of %d nodes", e[0], e[1], n)
		}
		a, b := uint32(e[0]), uint32(e[1])
		arcs = append(arcs, [2]uint32{a, b}, [2]uint32{b, a})
	}
	slices.SortFunc(arcs, func(a, b [2]uint32) int { return slices.Compare(a[:], b[:]) })
	return build(n, slices.Compact(arcs)), nil
}

// build makes a graph of sorted arcs.
func build(n int, arcs [][2]uint32) *Graph {
	g := &Graph{first: make([]uint32, n+1), to: make([]uint32, len(arcs)), back: make([]uint32, len(arcs))}
	for i, a := range arcs {
		g.first[a[0]+1]++
		g.to[i] = a[1]
	}
	for v := range n {
		g.first[v+1] += g.first[v]
	}
	// Arcs to a node are met in the order of where they begin, which is that of its own arcs.
	next := slices.Clone(g.first[:n])
	for i := range arcs {
		to := g.to[i]
		g.back[i] = next[to]
		next[to]++
	}
	return g
}

// Nodes is how many there are.
func (g *Graph) Nodes() int { return len(g.first) - 1 }

// Arcs is how many there are, two for each edge.
func (g *Graph) Arcs() int { return len(g.to) }

// Degree is how many neighbours a node has.
func (g *Graph) Degree(node int) int { return int(g.first[node+1] - g.first[node]) }

// Neighbours returns those of a node, in order. It is part of the graph: do not change it.
func (g *Graph) Neighbours(node int) []uint32 { return g.to[g.first[node]:g.first[node+1]] }

// Arc is the number of the arc to a neighbour, by its place among [Graph.Neighbours].
func (g *Graph) Arc(node, place int) int { return int(g.first[node]) + place }

// End is where an arc ends.
func (g *Graph) End(arc int) int { return int(g.to[arc]) }

// Back is the arc of the same edge the other way.
func (g *Graph) Back(arc int) int { return int(g.back[arc]) }

// Begin is where an arc begins.
func (g *Graph) Begin(arc int) int { return int(g.to[g.back[arc]]) }
