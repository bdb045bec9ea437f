package rivals

import (
	"math"

	"github.com/p3do/p3do/simulations/chance"
)

// CrowdsPath is the way of a message through a crowd: its writer, then each member it came to. The writer passes it to a member by lot,
// himself as well; who has it passes it on again with probability forward, else it leaves. M. Reiter, A. Rubin, Crowds, ACM TISSEC 1
// (1998). It ends after 10 000 members at most.
func CrowdsPath(l chance.Lots, members int, writer uint32, forward float64) []uint32 {
	path := []uint32{writer, uint32(l.IntN(members))}
	for len(path) < 10_000 && l.Bernoulli(forward) {
		path = append(path, uint32(l.IntN(members)))
	}
	return path
}

// OnionPath is a source-routed way: its writer, then so many different others by lot.
func OnionPath(l chance.Lots, nodes int, writer uint32, length int) []uint32 {
	path := []uint32{writer}
	for _, other := range l.Distinct(nodes-1, length) {
		if other >= int(writer) {
			other++
		}
		path = append(path, uint32(other))
	}
	return path
}

// StratifiedPath is a way over one node by lot of each layer, all of the same size; nodes are numbered layer by layer. C. Diaz, S.
// Murdoch, C. Troncoso, Impact of network topology on anonymity and overhead in low-latency anonymity networks, PETS 2010.
func StratifiedPath(l chance.Lots, layers, size int) (path []uint32) {
	for layer := range layers {
		path = append(path, uint32(layer*size+l.IntN(size)))
	}
	return path
}

// PushGossip is how many of n nodes a message reaches if each that has it sends it once to so many different others by lot.
func PushGossip(l chance.Lots, n, fanout int) (reached int) {
	has, next := make([]bool, n), []int{0}
	has[0] = true
	for i := 0; i < len(next); i++ {
		for _, to := range l.Distinct(n-1, fanout) {
			if to >= next[i] {
				to++
			}
			if !has[to] {
				has[to] = true
				next = append(next, to)
			}
		}
	}
	return len(next)
}

// RumourRounds is after how many rounds all of n nodes have a rumour, if each that has it tells one by lot in each round, and 10 000 at most: A. Frieze, G.
// Grimmett, The shortest-path problem for graphs with random arc-lengths, Discrete Applied Mathematics 10 (1985).
func RumourRounds(l chance.Lots, n int) (rounds int) {
	knows, told := make([]bool, n), []int{0}
	knows[0] = true
	for ; len(told) < n && rounds < 10_000; rounds++ {
		for range len(told) { // who learns it tells it from the next round on
			if to := l.IntN(n); !knows[to] {
				knows[to] = true
				told = append(told, to)
			}
		}
	}
	return rounds
}

// GossipCoverage is the share of many nodes that [PushGossip] reaches if it does not die at once: the greatest root of pi = 1 - e^(-pi f).
func GossipCoverage(fanout float64) float64 {
	share := 1.0
	for range 10_000 {
		share = 1 - math.Exp(-share*fanout)
	}
	return share
}

// GossipAll is about how often it reaches all: e^(-n e^-f), as P. Erdős and A. Rényi have it for random graphs. A.-M. Kermarrec, L. Massoulié,
// A. Ganesh, Probabilistic reliable dissemination in large-scale systems, IEEE TPDS 14 (2003).
func GossipAll(n int, fanout float64) float64 { return math.Exp(-float64(n) * math.Exp(-fanout)) }

// RumourTime is about how many rounds [RumourRounds] takes: log2 n + ln n, and a constant. B. Pittel, On spreading a rumor, SIAM Journal on
// Applied Mathematics 47 (1987).
func RumourTime(n int) float64 { return math.Log2(float64(n)) + math.Log(float64(n)) }

// ConnectedOften is about how often a random graph of many nodes with edge probability (ln n + c)/n is connected: e^(-e^-c). P. Erdős, A.
// Rényi, On random graphs, 1959.
func ConnectedOften(c float64) float64 { return math.Exp(-math.Exp(-c)) }

// FloodCost is how many transmissions a [Flood] takes on a connected graph of n nodes with so many arcs: all of them but one for each
// node other than the first, to whom it had the message from.
func FloodCost(nodes, arcs int) int { return arcs - (nodes - 1) }
