package simulations

import "github.com/p3do/p3do/mor/onion"

// A Behaviour decides what a node puts on the link to a neighbour in place of a packet
// that its router says. What a relay of a real network can do to packets, it can do here.
type Behaviour func(n, to *Node, p onion.Packet) []onion.Packet

// Honest says what the router says.
func Honest(_, _ *Node, p onion.Packet) []onion.Packet { return []onion.Packet{p} }

// Silent says nothing.
func Silent(_, _ *Node, _ onion.Packet) []onion.Packet { return nil }

// Repeating says everything three times.
func Repeating(_, _ *Node, p onion.Packet) []onion.Packet { return []onion.Packet{p, p, p} }

// FlipTags flips a bit of the tag of every packet, always the same one: another each time
// would make packets without end, as any member can who likes to.
func FlipTags(n, _ *Node, p onion.Packet) []onion.Packet { return n.flip(p, 4, 20) }

// FlipBodies flips a bit after the tag of every packet, always the same one.
func FlipBodies(n, _ *Node, p onion.Packet) []onion.Packet { return n.flip(p, 20, onion.Size) }

// flip returns p with the node's own bit between two offsets flipped.
func (n *Node) flip(p onion.Packet, from, to int) []onion.Packet {
	raw := *p.Bytes()
	raw[from+(n.index*7919)%(to-from)] ^= 1
	q, err := onion.Parse(raw[:])
	if err != nil {
		return nil
	}
	return []onion.Packet{q}
}
