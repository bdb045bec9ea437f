package simulations

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// refresh is how often nodes ask their neighbours anew.
const refresh = 6 * time.Hour

// A World is nodes, users and a network between them. It is not safe for concurrent use.
type World struct {
	cfg   Config
	now   time.Time
	diary diary
	depot depot

	random *rand.Rand // the network's
	judged mor.Judged // by all
	byName map[pki.Domain]*Node
	nodes  []*Node
	users  []*User
	links  []way

	counts Counts
	trace  hash.Hash
	record []byte                                  // what is not in the trace yet
	listen func(what byte, where int, fact []byte) // to what is noted; nil but in tests
}

// A way is a link in one direction.
type way struct {
	from, to *Node
	spoken   mor.ContextID // of from, that to hears
	heard    mor.ContextID // of to, that from hears
	latency  time.Duration
}

// recordSize is how much is recorded before it is hashed.
const recordSize = 1 << 13

// Counts is what happened in a World so far.
type Counts struct {
	Events     uint64 // that were planned, and have happened
	Said       uint64 // packets put on links
	Forwarded  uint64 // of these, handed to owners
	Notices    uint64 // announcements, wishes and refusals put on links
	Lost       uint64 // packets and notices lost on the way
	Submitted  uint64 // packets handed in by users
	Refused    uint64 // of these, not taken
	Stored     uint64 // letters that a spool took and had not
	Duplicates uint64 // letters that a spool had already
	Receipts   uint64 // that spools sent
	Shown      uint64 // messages that readers saw
	Hidden     uint64 // copies that readers had seen already
}

// NewWorld makes a world in which nodes know the contexts that they can ask for.
func NewWorld(cfg Config) (*World, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &World{cfg: cfg, now: cfg.Start, trace: sha256.New(), diary: diary{queue: cfg.Queue()}, depot: depot{numbers: make(map[onion.ID]uint32)}}
	w.byName = make(map[pki.Domain]*Node, cfg.Nodes)
	w.random = rand.New(stream(cfg.Seed, "network", 0))
	edges := cfg.links(w.random)
	for i := range cfg.Nodes {
		n, err := newNode(w, i)
		if err != nil {
			return nil, err
		}
		w.nodes, w.byName[n.Domain()] = append(w.nodes, n), n
	}
	for _, e := range edges {
		w.join(e[0], e[1])
		w.join(e[1], e[0])
	}
	if err := w.askAll(); err != nil {
		return nil, err
	}
	for _, n := range w.nodes {
		n.tick()
	}
	w.After(refresh, w.refresh)
	w.After(tendEvery, w.tend)
	return w, nil
}

// join makes listener a member of the context of speaker.
func (w *World) join(speaker, listener end) {
	s, l := w.nodes[speaker.node], w.nodes[listener.node]
	to := neighbour{l, l.Domain(), s.contexts[speaker.context], l.contexts[listener.context], uint32(len(w.links))}
	s.neighbours = append(s.neighbours, to)
	w.links = append(w.links, way{s, l, to.spoken, to.heard, w.cfg.distance(s.index, l.index)})
	s.Router.Admit(s.contexts[speaker.context], l.Domain())
	s.Router.Listen(l.Domain(), l.contexts[listener.context], s.contexts[speaker.context])
}

// askAll has all neighbours ask each other, and who has learnt something be asked again, until nobody learns anything
// new. The error is that of the last record that was refused.
func (w *World) askAll() (err error) {
	for tell := w.nodes; len(tell) > 0; {
		learnt := make([]bool, len(w.nodes))
		for _, told := range tell {
			for _, by := range told.neighbours {
				news, bad := w.ask(by.Node, by.back(told))
				if bad != nil {
					err = bad
				}
				learnt[by.index] = learnt[by.index] || news.News || news.Kept > 0
			}
		}
		tell = nil
		for i, n := range w.nodes {
			if learnt[i] {
				tell = append(tell, n)
			}
		}
	}
	return err
}

// ask has a node ask a neighbour on its context. Nodes that are down get no
// answer; what a node that is down has told is forgotten.
func (w *World) ask(a *Node, b neighbour) (mor.Learnt, error) {
	switch {
	case a.down:
		return mor.Learnt{}, nil
	case b.down:
		return mor.Learnt{News: a.Router.Forget(b.Domain())}, nil
	}
	answer, _ := b.Router.Ask(b.now(), b.heard, a.Domain())
	raw, err := mor.MarshalAnswer(answer)
	if err != nil {
		return mor.Learnt{}, err
	}
	if answer, err = mor.ParseAnswer(raw); err != nil {
		return mor.Learnt{}, err
	}
	return a.Router.Learn(a.now(), b.heard, answer, w.authority)
}

// refresh asks again, now and then. A record that has run out meanwhile is refused; its
// successor is there at the next turn.
func (w *World) refresh() {
	w.askAgain()
	w.After(refresh, w.refresh)
}

func (w *World) askAgain() {
	if err := w.askAll(); err != nil {
		w.note('r', 0, []byte(err.Error()))
	}
}

// authority finds the certificate of a domain, as nodes do in their directory.
func (w *World) authority(domain pki.Domain) (pki.CACert, bool) {
	if n := w.byName[domain]; n != nil {
		return n.authority.CA(), true
	}
	return pki.CACert{}, false
}

// Now returns the virtual time.
func (w *World) Now() time.Time { return w.now }

// Node returns the node of an index below Config.Nodes.
func (w *World) Node(i int) *Node { return w.nodes[i] }

// Near returns the nodes within Config.Reach links of one, itself included, the nearest first; nil if there is no such bound.
func (w *World) Near(index int) []*Node {
	if w.cfg.Reach == 0 {
		return nil
	}
	near, far := []*Node{w.nodes[index]}, map[*Node]int{w.nodes[index]: 0}
	for i := 0; i < len(near) && far[near[i]] < w.cfg.Reach; i++ {
		for _, to := range near[i].neighbours {
			if _, seen := far[to.Node]; !seen {
				far[to.Node] = far[near[i]] + 1
				near = append(near, to.Node)
			}
		}
	}
	return near
}

// Index returns the place of a node.
func (n *Node) Index() int { return n.index }

// Counts returns what happened so far.
func (w *World) Counts() Counts { return w.counts }

// Trace returns a hash of everything that happened so far: instants, places and packets.
func (w *World) Trace() [sha256.Size]byte {
	w.trace.Write(w.record)
	w.record = w.record[:0]
	return [sha256.Size]byte(w.trace.Sum(nil))
}

// note adds something that happened to the trace: when 8 | what 1 | where 4 | fact.
func (w *World) note(what byte, where int, fact []byte) {
	if len(w.record) >= recordSize {
		w.trace.Write(w.record)
		w.record = w.record[:0]
	}
	w.record = binary.BigEndian.AppendUint64(w.record, uint64(w.now.UnixNano()))
	w.record = append(w.record, what)
	w.record = binary.BigEndian.AppendUint32(w.record, uint32(where))
	w.record = append(w.record, fact...)
	if w.listen != nil {
		w.listen(what, where, fact)
	}
}

func domainOf(i int) (pki.Domain, error) {
	domain, err := pki.ParseDomain(fmt.Sprintf("n%d.test", i))
	if err != nil {
		return pki.Domain{}, fmt.Errorf("simulations: naming node %d: %w", i, err)
	}
	return domain, nil
}
