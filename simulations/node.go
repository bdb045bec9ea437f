package simulations

import (
	"io"
	"slices"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
	"github.com/p3do/p3do/simulations/kernel"
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
	wake  kernel.Time // when the next Tick is planned for; 0: none
}

// A neighbour is a node at the other end of a link.
type neighbour struct {
	*Node
	domain pki.Domain
	spoken mor.ContextID // ours, that it hears
	heard  mor.ContextID // its own, that we hear
	link   uint32        // the number of the way to it
}

// back is the neighbour as it has it: the node whose neighbour it is.
func (to neighbour) back(n *Node) neighbour {
	return neighbour{n, n.Domain(), to.heard, to.spoken, 0}
}

// stored is a letter that waits for its reader.
type stored struct {
	to     *User
	letter mor.Letter
}

func newNode(w *World, index int) (*Node, error) {
	n := &Node{world: w, index: index, random: stream(w.cfg.Seed, "node", index), skew: w.cfg.skew(index)}
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
		SeenShare: cfg.seenShare(n.index), Judged: &n.world.judged, Scheme: cfg.Scheme,
	})
	return err
}

// Domain returns the domain that the node answers for.
func (n *Node) Domain() pki.Domain { return n.authority.Domain() }

// Context returns the ID of the context that the node speaks on in its cell.
func (n *Node) Context() mor.ContextID { return n.contexts[0] }

// Marks returns what the node has remembered.
func (n *Node) Marks() []mor.Mark { return n.marks }

// Behave has the node treat what it says from now on in another way; nil is [Honest].
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
	n.down, n.wake = false, 0
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
	n.world.note('h', n.index, id.Core[:])
	n.world.record = append(n.world.record, id.Tag[:]...)
	take := n.Router.Hear
	if forwarded {
		take = n.Router.Handed
	}
	n.carryOut(take(n.now(), on, p))
}

// due is the instant for which a Tick was planned, unless another has been planned since.
func (n *Node) due(at kernel.Time) {
	if n.wake == at {
		n.tick()
	}
}

func (n *Node) tick() {
	n.wake = 0
	if !n.down {
		n.carryOut(n.Router.Tick(n.now()))
	}
}

// notice has the router take a notice.
func (n *Node) notice(take func(*mor.Router) mor.Output) {
	if !n.down {
		n.carryOut(take(n.Router))
	}
}

// carryOut does what the router wants, in the order of the fields of Output.
func (n *Node) carryOut(out mor.Output) {
	n.marks = append(n.marks, out.Remember...)
	n.made(out.Broadcast)
	for _, s := range out.Broadcast {
		n.broadcast(s)
	}
	for _, a := range out.Announce {
		n.tell(announced, a)
	}
	for _, f := range out.Fetch {
		n.tell(wanted, f)
	}
	for _, p := range out.Prune {
		n.tell(pruned, p)
	}
	for _, f := range out.Forward {
		if i := n.neighbour(0, f.To, func(to *neighbour) bool { return to.spoken == f.On }); i >= 0 {
			n.world.counts.Forwarded++
			n.say(&n.neighbours[i], forwarded, f.Packet)
		}
	}
	n.plan(out.Wake)
	for _, d := range slices.Clone(out.Deliver) { // to answer one calls the router again
		n.deliver(d)
	}
}

// broadcast says a packet to those members who are sent it. They come in the order in which they were admitted, as neighbours
// do: each is looked for where the last was found.
func (n *Node) broadcast(s mor.Speech) {
	i := 0
	for _, member := range s.To {
		if at := n.neighbour(i, member, func(to *neighbour) bool { return to.spoken == s.On }); at >= 0 {
			n.say(&n.neighbours[at], said, s.Packet)
			i = at + 1
		}
	}
}

// neighbour finds a domain among the neighbours for which is is true, beginning at one of them; -1 if it is none.
func (n *Node) neighbour(from int, domain pki.Domain, is func(*neighbour) bool) int {
	for i := range n.neighbours {
		at := from + i
		if at >= len(n.neighbours) {
			at -= len(n.neighbours)
		}
		if to := &n.neighbours[at]; to.domain == domain && is(to) {
			return at
		}
	}
	return -1
}

// say puts a packet on a link, or what the node's behaviour makes of it.
func (n *Node) say(to *neighbour, k kind, p onion.Packet) {
	if n.behave == nil {
		n.load(to, k, p)
		return
	}
	for _, q := range n.behave(n, to.Node, p) {
		n.load(to, k, q)
	}
}

func (n *Node) load(to *neighbour, k kind, p onion.Packet) {
	w := n.world
	w.counts.Said++
	number := w.depot.number(p.ID())
	w.depot.cargoes[number].packet = p
	w.depot.load(number, 1)
	if !w.carry(to.link, what(k, number)) {
		w.depot.load(number, -1)
	}
}

// tell puts a notice on the link to its neighbour.
func (n *Node) tell(k kind, notice mor.Notice) {
	i := n.neighbour(0, notice.To, func(to *neighbour) bool { return to.spoken == notice.On || to.heard == notice.On })
	if i < 0 {
		return
	}
	w, link := n.world, n.neighbours[i].link
	w.counts.Notices++
	if k == pruned {
		w.carry(link, what(k, 0))
		return
	}
	number := w.depot.number(notice.ID)
	w.depot.load(number, 1)
	if !w.carry(link, what(k, number)) {
		w.depot.load(number, -1)
	}
}

// plan has the router ticked at wake, if nothing is planned sooner.
func (n *Node) plan(wake time.Time) {
	if wake.IsZero() {
		return
	}
	w := n.world
	at := max(w.since(wake.Add(-n.skew)), w.since(w.now), 1)
	if n.wake != 0 && at >= n.wake {
		return
	}
	n.wake = at
	w.diary.queue.Push(kernel.Event{At: at, To: uint32(n.index), What: what(tick, 0)})
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
