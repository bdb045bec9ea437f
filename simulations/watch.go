package simulations

import (
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A Watcher is told what whoever runs a node can see on it, at the instant at which it happens there ([World.Now]) and before
// the router is told. What the node's keys open, it can open itself: by [Node.ServerKeys] and [mor.Router.Contexts]. It must
// change nothing.
type Watcher interface {
	// Heard is a packet that a neighbour said on a context of its own; forwarded says that it was handed over as to the owner.
	Heard(on mor.ContextID, from pki.Domain, p onion.Packet, forwarded bool)
	// Noticed is the news of a packet, from a neighbour that has it.
	Noticed(on mor.ContextID, from pki.Domain, id onion.ID)
	// Made is a packet of the node's own making, as it is said.
	Made(p onion.Packet)
	// HandedIn is what a user of the node handed in.
	HandedIn(entry onion.Entry)
}

// Watch has w told from now on; nil has nobody told.
func (n *Node) Watch(w Watcher) { n.watcher = w }

// ServerKeys returns the keys of the node that open inner layers.
func (n *Node) ServerKeys() []mor.ServerKey { return n.servers }

// Told asks all neighbours, as nodes do now and then, and returns the records of their answers: the contexts of others whose
// hints the node can hold. A context of which several tell is there several times.
func (n *Node) Told() (records []mor.Record, err error) {
	for _, to := range n.neighbours {
		answers, _ := to.Router.Ask(to.now(), to.heard, n.Domain())
		for _, a := range answers {
			record, err := mor.ParseRecord(a.Raw, n.world.authority, n.now())
			if err != nil {
				return nil, err
			}
			records = append(records, record)
		}
	}
	return records, nil
}

// Watch has handed told of each copy of a message that the user's program hands in, with the route that was drawn for it. What
// is durable of the message ([User.Outgoing]) has the way back of that copy already.
func (u *User) Watch(handed func(mor.Submission)) { u.watch = handed }

// made tells the watcher which packets are of the node's own making.
func (n *Node) made(said []mor.Speech) {
	if n.watcher == nil {
		return
	}
	for _, s := range said {
		if !s.Again {
			n.watcher.Made(s.Packet)
		}
	}
}
