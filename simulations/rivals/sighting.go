package rivals

import "github.com/p3do/p3do/simulations/kernel"

// Nobody stands for a node that is not there: the neighbour whom a sender's own message came from.
const Nobody = ^uint32(0)

// A Sighting is what a node sees: a message came to it, from a neighbour, at an instant. Each message is numbered from 0, and
// recognised by that number wherever it is, which is what the adversary has when messages look alike at all nodes.
type Sighting struct {
	At      kernel.Time
	Node    uint32
	From    uint32 // or Nobody
	Message uint32
}
