package attack

import (
	"errors"
	"math"

	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/measure"
)

// errNoTree is of nodes that RumourTree cannot judge.
var errNoTree = errors.New("attack: those who have the message are no tree; use RumourGraph")

// RumourTree is rumour centrality: how likely each node is to have written a message, by who has it at one instant. D.
// Shah, T. Zaman, Rumors in a network: who's the culprit?, IEEE Transactions on Information Theory 57 (2011).
//
// The adversary knows the graph and who has the message. She does not know when it came to whom, or from whom. The weight
// of v is the number of orders in which the message can have come to those who have it if v wrote it: n! / prod over u of
// T(u), where T(u) is how many have it below u in the tree that hangs from v, u included. On a tree whose nodes all have
// the same degree, with one exponential delay for each edge, all these orders are equally likely, so this is the
// posterior; else it is a heuristic.
//
// Time and memory are in proportion to the nodes. The error says that those who have the message are not connected, or
// form a ring.
func RumourTree(g *graph.Graph, has []bool) (measure.Posterior, error) {
	root := -1
	for v, x := range has {
		if x {
			root = v
			break
		}
	}
	if root < 0 {
		return nil, errors.New("attack: nobody has the message")
	}
	t := hang(g, has, root)
	if !t.whole(g, has) {
		return nil, errNoTree
	}
	logs := t.none(g)
	logs[root] = t.logOrders()
	n := float64(len(t.order))
	for _, v := range t.order[1:] {
		below := float64(t.below[v])
		logs[v] = logs[t.parent[v]] + math.Log(below/(n-below))
	}
	return fromLogs(logs), nil
}

// RumourGraph is the same on any graph, by a heuristic of the paper: a message that v wrote is taken to have spread along
// a tree found breadth first from v, and in that order. The weight is the number of orders that the tree allows times the
// probability of that one under equal exponential delays: at each step, of all edges between who has it and who does not,
// one that leads to the next node.
//
// The adversary knows the graph and who has the message. She does not know when it came to whom, or from whom. Time is in
// proportion to the edges times how many have the message. Who is not connected with the others in having it has no
// weight.
func RumourGraph(g *graph.Graph, has []bool) measure.Posterior {
	logs := make([]float64, g.Nodes())
	most := 0
	trees := make([]int, g.Nodes())
	for v := range logs {
		logs[v] = impossible
		if v >= len(has) || !has[v] {
			continue
		}
		t := hang(g, has, v)
		logs[v], trees[v] = t.logOrders()+t.logOfOrder(g), len(t.order)
		most = max(most, trees[v])
	}
	for v := range logs {
		if trees[v] < most {
			logs[v] = impossible
		}
	}
	return fromLogs(logs)
}

// A hanging is a tree of those who have a message, found breadth first.
type hanging struct {
	order  []int // of its nodes, the root first
	parent []int // of each node of the graph; itself at the root, -1 where the tree does not reach
	below  []int // how many are in the branch that begins at a node, itself included
}

// hang makes the tree from a root.
func hang(g *graph.Graph, has []bool, root int) hanging {
	t := hanging{order: []int{root}, parent: make([]int, g.Nodes()), below: make([]int, g.Nodes())}
	for v := range t.parent {
		t.parent[v] = -1
	}
	t.parent[root] = root
	for i := 0; i < len(t.order); i++ {
		v := t.order[i]
		for _, w := range g.Neighbours(v) {
			if int(w) < len(has) && has[w] && t.parent[w] < 0 {
				t.parent[w] = v
				t.order = append(t.order, int(w))
			}
		}
	}
	for i := len(t.order) - 1; i >= 0; i-- {
		v := t.order[i]
		t.below[v]++
		if i > 0 {
			t.below[t.parent[v]] += t.below[v]
		}
	}
	return t
}

// whole reports whether all who have the message are in the tree, and the graph has no other edge between them.
func (t hanging) whole(g *graph.Graph, has []bool) bool {
	count, arcs := 0, 0
	for v, x := range has {
		if !x {
			continue
		}
		count++
		for _, w := range g.Neighbours(v) {
			if int(w) < len(has) && has[w] {
				arcs++
			}
		}
	}
	return count == len(t.order) && arcs == 2*(count-1)
}

// none is a weight of nothing for each node of the graph.
func (t hanging) none(g *graph.Graph) []float64 {
	logs := make([]float64, g.Nodes())
	for v := range logs {
		logs[v] = impossible
	}
	return logs
}

// logOrders is the logarithm of n! over the product of all branches.
func (t hanging) logOrders() float64 {
	sum, _ := math.Lgamma(float64(len(t.order)) + 1)
	for _, v := range t.order {
		sum -= math.Log(float64(t.below[v]))
	}
	return sum
}

// logOfOrder is the logarithm of the probability that the message spreads in the order of the tree.
func (t hanging) logOfOrder(g *graph.Graph) (sum float64) {
	in := make([]bool, g.Nodes())
	border := 0
	for i, v := range t.order {
		inward := 0
		for _, w := range g.Neighbours(v) {
			if in[w] {
				inward++
			}
		}
		if i > 0 {
			sum += math.Log(float64(inward) / float64(border))
		}
		in[v] = true
		border += g.Degree(v) - 2*inward
	}
	return sum
}
