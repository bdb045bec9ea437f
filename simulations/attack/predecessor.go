package attack

import (
	"math"

	"github.com/p3do/p3do/simulations/measure"
)

// Predecessors are how often each node came right before the adversary on paths that one initiator formed anew again and
// again. M. Wright, M. Adler, B. Levine, C. Shields, The predecessor attack: an analysis of a threat to anonymous
// communications systems, ACM TISSEC 7 (2004); the same, An analysis of the degradation of anonymous protocols, NDSS
// 2002.
//
// The adversary knows who passed something to the first of her nodes on each path, and that the paths are of one
// initiator, by what they carry (a repeated identity or correspondent). She does not know who is before that node's
// predecessor. Other nodes come before her by chance; the initiator comes there oftener.
type Predecessors []int

// Note takes in a path: the initiator and then the relays, in order. It notes who precedes the first bad one, if one is
// bad.
func (p Predecessors) Note(path []uint32, bad Coalition) {
	for i, relay := range path {
		if bad.Has(relay) {
			if i > 0 && int(path[i-1]) < len(p) {
				p[path[i-1]]++
			}
			return
		}
	}
}

// NoteEnds takes in a path only if its last relay is bad too: for protocols that hide from relays in between what a path
// carries, so that only the last one, and by timing the first bad one, know that it is of the initiator she is after.
func (p Predecessors) NoteEnds(path []uint32, bad Coalition) {
	if len(path) > 1 && bad.Has(path[len(path)-1]) {
		p.Note(path, bad)
	}
}

// Leader is who was noted most; false if two were, or nobody was.
func (p Predecessors) Leader() (node uint32, alone bool) {
	most := 0
	for v, n := range p {
		switch {
		case n > most:
			node, most, alone = uint32(v), n, true
		case n == most:
			alone = false
		}
	}
	return node, alone
}

// Posterior is how likely each node is to be the initiator for an adversary who also knows how the paths are made. If one
// of them notes the initiator with probability s and each other honest node with q, counts k(u) have a likelihood in
// proportion to (s/q)^k(u) if u is the initiator. Her own nodes are no suspects. If q is 0 and somebody was noted, it was
// him.
func (p Predecessors) Posterior(noting Noting, bad Coalition) measure.Posterior {
	logs := make([]float64, len(p))
	ratio := math.Log(noting.Initiator / math.Max(noting.Other, 1e-300))
	for v, n := range p {
		switch {
		case bad.Has(uint32(v)):
			logs[v] = impossible
		case n > 0:
			logs[v] = float64(n) * ratio
		}
	}
	return fromLogs(logs)
}
