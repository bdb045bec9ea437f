package simulations

import (
	"io"
	"slices"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A Node is a server of a World: a production router, mailboxes, and what a disk would
// keep.
type Node struct {
	Router *mor.Router

	world      *World
	index      int
	random     io.Reader
	authority  *pki.Authority
	contexts   []mor.ContextID // the first one is that of its cell
	servers    []mor.ServerKey
	later      io.Reader     // of which the keys of later periods are made
	skew       time.Duration // how far its clock is ahead
	neighbours []neighbour
	users      []*User
	behave     Behaviour
	watcher    Watcher // or nil

	marks []mor.Mark // durable, as are the keys and the spool
	spool []stored
	down  bool
	wake  time.Time // when the next Tick is planned for; zero: none
}

// A neighbour is a node at the other end of a link.
type neighbour struct {
	*Node
	spoken mor.ContextID // ours, that it hears
	heard  mor.ContextID // its own, that we hear
}

// stored is a letter that waits for its reader.
type stored struct {
	to     *User
	letter mor.Letter
}

func newNode(w *World, index int) (*Node, error) {
	n := &Node{world: w, index: index, random: stream(w.cfg.Seed, "node", index), skew: w.cfg.skew(index), behave: Honest}
	n.later = stream(w.cfg.Seed, "server key", index)
	domain, err := domainOf(index)
	if err != nil {
		return nil, err
	}
	if n.authority, err = pki.NewAuthority(n.random, domain, w.now); err != nil {
		return nil, err
	}
	key, err := onion.NewServerKey(n.random)
	if err != nil {
		return nil, err
	}
	n.servers = []mor.ServerKey{{Period: pki.PeriodAt(n.now()), Private: key}}
	if err := n.keys(); err != nil {
		return nil, err
	}
	var own []mor.OwnContext
	for range min(w.cfg.Cells, 2) {
		c, err := mor.NewContext(n.random, n.now())
		if err != nil {
			return nil, err
		}
		own, n.contexts = append(own, c), append(n.contexts, c.ID)
		if index%(w.cfg.Nodes/w.cfg.Cells) != 0 {
			break // no gateway
		}
	}
	return n, n.boot(own)
}

// boot starts a router from what is durable.
func (n *Node) boot(own []mor.OwnContext) (err error) {
	cfg := n.world.cfg
	n.Router, err = mor.NewRouter(mor.Config{
		Domain: n.authority.Domain(), Rand: n.random, Sign: n.authority.Sign,
		Servers: n.servers, Contexts: own, Marks: n.marks,
		ExtraHops: cfg.ExtraHops, Delay: cfg.Delay, PeelDelay: cfg.PeelDelay, Lazy: cfg.Lazy, Cover: cfg.Cover,
		SeenShare: cfg.seenShare(n.index),
	})
	return err
}

// Domain returns the domain that the node answers for.
func (n *Node) Domain() pki.Domain { return n.authority.Domain() }

// Context returns the ID of the context that the node speaks on in its cell.
func (n *Node) Context() mor.ContextID { return n.contexts[0] }

// Marks returns what the node has remembered.
func (n *Node) Marks() []mor.Mark { return n.marks }

// Behave has the node treat what it says from now on in another way.
func (n *Node) Behave(b Behaviour) { n.behave = b }

// Stop takes the node down. It hears and says nothing, and loses what is not durable. Its
// neighbours notice when they ask it the next time.
func (n *Node) Stop() { n.down = true }

// Kill takes the node down in a way that others notice: its links break, its neighbours
// forget what it told, and whoever asks them learns of that.
func (n *Node) Kill() error {
	n.Stop()
	return n.world.askAll()
}

// Restart starts the node again, with its keys, marks and spool, and has it ask its
// neighbours.
func (n *Node) Restart() error {
	if err := n.boot(n.Router.Contexts()); err != nil {
		return err
	}
	n.down, n.wake = false, time.Time{}
	for _, to := range n.neighbours {
		n.Router.Admit(to.spoken, to.Domain())
		n.Router.Listen(to.Domain(), to.heard, to.spoken)
	}
	n.tick()
	return n.world.askAll()
}

// Hear gives the node a packet as heard on a context at once, as a replaying neighbour
// may do.
func (n *Node) Hear(on mor.ContextID, p onion.Packet) { n.hear(nil, on, p, false) }

// hear takes a packet that a neighbour said; nil: nobody knows who.
func (n *Node) hear(from *Node, on mor.ContextID, p onion.Packet, forwarded bool) {
	if n.down {
		return
	}
	if n.watcher != nil && from != nil {
		n.watcher.Heard(on, from.Domain(), p, forwarded)
	}
	id := p.ID()
	n.world.note('h', n.index, append(id.Core[:], id.Tag[:]...))
	take := n.Router.Hear
	if forwarded {
		take = n.Router.Handed
	}
	n.carryOut(take(n.now(), on, p))
}

func (n *Node) tick() {
	n.wake = time.Time{}
	if !n.down {
		n.carryOut(n.Router.Tick(n.now()))
	}
}

// carryOut does what the router wants, in the order of the fields of Output.
func (n *Node) carryOut(out mor.Output) {
	n.marks = append(n.marks, out.Remember...)
	n.made(out.Broadcast)
	for _, s := range out.Broadcast {
		for _, to := range n.neighbours {
			if to.spoken == s.On && slices.Contains(s.To, to.Domain()) {
				n.say(to.Node, s.On, s.Packet, false)
			}
		}
	}
	n.tell(out)
	for _, f := range out.Forward {
		i := slices.IndexFunc(n.neighbours, func(to neighbour) bool { return to.Domain() == f.To && to.spoken == f.On })
		if i >= 0 {
			n.world.counts.Forwarded++
			n.say(n.neighbours[i].Node, f.On, f.Packet, true)
		}
	}
	n.plan(out.Wake)
	for _, d := range slices.Clone(out.Deliver) { // to answer one calls the router again
		n.deliver(d)
	}
}

// say puts a packet on a link; forwarded says that it is for its owner.
func (n *Node) say(to *Node, on mor.ContextID, p onion.Packet, forwarded bool) {
	for _, q := range n.behave(n, to, p) {
		n.world.counts.Said++
		n.world.carry(func() { to.hear(n, on, q, forwarded) })
	}
}

// tell puts notices on links.
func (n *Node) tell(out mor.Output) {
	for _, a := range out.Announce {
		n.notify(a, func(to *Node) mor.Output {
			if to.watcher != nil {
				to.watcher.Noticed(a.On, n.Domain(), a.ID)
			}
			return to.Router.Announced(to.now(), a.On, a.ID)
		})
	}
	for _, f := range out.Fetch {
		n.notify(f, func(to *Node) mor.Output { return to.Router.Fetched(to.now(), f.On, n.Domain(), f.ID) })
	}
	for _, p := range out.Prune {
		n.notify(p, func(to *Node) mor.Output { return to.Router.Pruned(to.now(), p.On, n.Domain()) })
	}
}

// notify brings one notice to its neighbour.
func (n *Node) notify(notice mor.Notice, take func(*Node) mor.Output) {
	i := slices.IndexFunc(n.neighbours, func(to neighbour) bool {
		return to.Domain() == notice.To && (to.spoken == notice.On || to.heard == notice.On)
	})
	if i < 0 {
		return
	}
	to := n.neighbours[i].Node
	n.world.counts.Notices++
	n.world.carry(func() {
		if !to.down {
			to.carryOut(take(to))
		}
	})
}

// plan has the router ticked at wake, if nothing is planned sooner.
func (n *Node) plan(wake time.Time) {
	if wake.IsZero() || !n.wake.IsZero() && !wake.Before(n.wake) {
		return
	}
	n.wake = wake
	n.world.at(wake.Add(-n.skew), func() {
		if n.wake.Equal(wake) {
			n.tick()
		}
	})
}

// submit takes a packet from a user.
func (n *Node) submit(entry onion.Entry) error {
	if n.watcher != nil {
		n.watcher.HandedIn(entry)
	}
	out, err := n.Router.Submit(n.now(), entry)
	n.carryOut(out)
	return err
}
