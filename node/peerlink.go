package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

const (
	// askAgain is how long an Ask waits for its answer, and the first pause until it is
	// repeated.
	askAgain = 3 * time.Second
	// askEvery is the mean time between two Asks of the same context.
	askEvery = 10 * time.Minute
	// askSpacing is the least time between two rounds of asking on one link, however many
	// news a peer may have.
	askSpacing = 500 * time.Millisecond
	// goneAfter is how long a peer may be without a link before what it told is forgotten. A
	// restart takes less.
	goneAfter = 5 * time.Second
	// drainTime is how long the end of a link waits for what is queued to leave.
	drainTime = 2 * time.Second
)

// acceptLinks serves whoever connects: peers, by their certificate, and users.
func (n *Node) acceptLinks(ctx context.Context, links *sync.WaitGroup, listener *link.Listener) error {
	defer links.Wait()
	defer listener.Close()
	for {
		conn, err := listener.Accept(ctx)
		if errors.Is(err, link.ErrClosed) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("node: accepting links: %w", err)
		}
		links.Go(func() {
			if leaf := conn.Peer(); leaf != nil {
				domain, err := n.peers.identify(leaf)
				if err != nil { // no peer any more since it was judged
					conn.Close()
					return
				}
				n.servePeer(ctx, domain, conn)
				return
			}
			n.serveUser(ctx, conn)
		})
	}
}

// A peerLink is the link with one peer. Its reader hears packets and answers questions; a
// second goroutine asks, so that a slow look-up does not stop the hearing.
type peerLink struct {
	n      *Node
	domain pki.Domain
	conn   *link.Conn
	end    context.CancelFunc

	heard     []mor.ContextID // the places of the peer's contexts by channel; the reader's, nil before the hello
	listening []mor.ContextID // the same; the loop's
	spoken    mor.ContextID   // which of ours the peer hears; the loop's

	// What the reader hands to the second goroutine. Each has room for one; what comes while
	// it is full is dropped: news are told already, and nobody asked for a second answer.
	hello   chan hello
	news    chan struct{}
	answers chan answer
	asking  atomic.Bool // an Ask of ours is open: else an answer is nothing that we want

	// The same for those that ask and answer for statements.
	met       chan struct{} // closed when the peer has said hello
	fresh     chan struct{} // the peer may have statements that we have not
	pages     chan statementPage
	following atomic.Bool // a page is waited for
	wanted    chan int64  // what the peer asks for
	crossed   chan []byte // a countersignature that follows the first

	// The same for copies of each other's users.
	copying  chan struct{} // the peer may have others than we
	copies   chan copiesPage
	pulling  atomic.Bool // a page is waited for
	copiesOf chan copiesQuery
}

// servePeer serves a link with domain until it ends.
func (n *Node) servePeer(ctx context.Context, domain pki.Domain, conn *link.Conn) {
	living, end := context.WithCancel(ctx)
	defer end()
	p := &peerLink{
		n: n, domain: domain, conn: conn, end: end,
		hello: make(chan hello, 1), news: make(chan struct{}, 1), answers: make(chan answer, 1),
		met: make(chan struct{}), fresh: make(chan struct{}, 1), pages: make(chan statementPage, 1), wanted: make(chan int64, 1), crossed: make(chan []byte, 1),
		copying: make(chan struct{}, 1), copies: make(chan copiesPage, 1), copiesOf: make(chan copiesQuery, 1),
	}
	var beside sync.WaitGroup
	beside.Go(func() { p.part(living) })
	beside.Go(func() { p.converse(living) })
	beside.Go(func() { p.follow(living) })
	beside.Go(func() { p.serveStatements(living) })
	beside.Go(func() { p.keepCopies(living) })
	beside.Go(func() { p.serveCopies(living) })
	n.log.Info("linked", "peer", domain)
	n.cosignBy(domain)
	n.mirrors.catchUp(ctx, domain)
	err := p.greet(ctx)
	if err == nil {
		err = p.read(living)
	}
	end()
	beside.Wait()
	n.log.Info("link ended", "peer", domain, "err", err)
	p.note("detaching", n.loop.do(ctx, func(l *loop, now time.Time) (mor.Output, bool) {
		l.leave(now, p)
		return mor.Output{}, false
	}))
	time.AfterFunc(goneAfter, func() { p.note("forgetting", n.missed(ctx, domain)) })
}

// missed forgets what a peer told if there is no link with it, so that no leg goes by a server
// that is dead, and has the other peers hear of it.
func (n *Node) missed(ctx context.Context, peer pki.Domain) error {
	return n.loop.do(ctx, func(l *loop, _ time.Time) (mor.Output, bool) {
		if l.links[peer] == nil && l.router.Forget(peer) {
			n.tell()
		}
		return mor.Output{}, false
	})
}

// part waits for the end of the link or of the node, lets out what is queued, and closes.
func (p *peerLink) part(living context.Context) {
	<-living.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(living), drainTime)
	defer cancel()
	p.note("draining", p.conn.Drain(ctx))
	p.conn.Close()
}

// greet makes the link the one on which the loop speaks to the peer, and says hello.
func (p *peerLink) greet(ctx context.Context) error {
	type place struct {
		id mor.ContextID
		ok bool
	}
	name := p.n.peers.context(p.domain)
	on, err := ask(ctx, p.n.loop, func(l *loop, now time.Time) (at place) {
		at.id, at.ok = l.join(now, p, name)
		return at
	})
	if err != nil {
		return err
	}
	if !on.ok {
		return fmt.Errorf("node: %s hears a context that is not there: %s", p.domain, name)
	}
	cross, ok := p.n.peers.crossOf(p.domain)
	if !ok { // it was dropped between being judged and now, and whoever did so has not seen this link
		return fmt.Errorf("node: %s is no peer any more", p.domain)
	}
	return p.send(peerMessage{Hello: &hello{Contexts: []contextID{contextID(on.id)}, Cross: cross.DER()}})
}

// read hears what the peer says until the link ends.
func (p *peerLink) read(ctx context.Context) error {
	for {
		m, err := p.conn.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = p.heed(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// heed takes what came over the link. Packets and notices from before the peer's hello cannot be placed.
func (p *peerLink) heed(ctx context.Context, m link.Message) error {
	switch {
	case m.Kind == link.KindControl:
		return p.take(ctx, m.Control)
	case m.Kind == link.KindNotice:
		return p.noticed(ctx, m.Notices)
	case int(m.Channel) < len(p.heard):
		return p.n.loop.hear(ctx, p.domain, p.heard[m.Channel], m.Packet, m.Kind == link.KindForward)
	}
	return nil
}

// take takes one control message. It asks nothing of the disk or the network.
func (p *peerLink) take(ctx context.Context, raw []byte) error {
	m, err := parsePeerMessage(raw)
	switch {
	case err != nil:
		return err
	case m.Hello != nil:
		return p.greeted(ctx, *m.Hello)
	case m.Ask != nil:
		return p.answer(ctx, mor.ContextID(m.Ask.Context))
	case m.Answer != nil:
		if p.asking.Load() {
			offer(p.answers, *m.Answer)
		}
	case m.News != nil:
		offer(p.news, struct{}{})
		offer(p.fresh, struct{}{})
	case m.Cross != nil:
		offer(p.crossed, m.Cross.Cross)
	case m.Since != nil:
		offer(p.wanted, m.Since.Seq)
	case m.Statements != nil:
		if p.following.Load() {
			offer(p.pages, *m.Statements)
		}
	case m.CopiesOf != nil:
		offer(p.copiesOf, *m.CopiesOf)
	case m.Copies != nil:
		if p.pulling.Load() {
			offer(p.copies, *m.Copies)
		}
	}
	return nil
}

// offer hands v over if there is room.
func offer[V any](to chan<- V, v V) {
	select {
	case to <- v:
	default:
	}
}

// greeted makes a listener for each context of the peer: what it says there, we say again.
func (p *peerLink) greeted(ctx context.Context, h hello) error {
	if p.heard != nil {
		return fmt.Errorf("%w: a second hello", errPeerMessage)
	}
	contexts := make([]mor.ContextID, len(h.Contexts)) // not nil: that is before the hello
	for i, id := range h.Contexts {
		contexts[i] = place(p.domain, id)
	}
	listening, err := ask(ctx, p.n.loop, func(l *loop, _ time.Time) bool { return l.listen(p, contexts) })
	switch {
	case err != nil:
		return err
	case !listening:
		return errors.New("node: no room for more listeners, or a newer link has come")
	}
	p.heard = contexts
	offer(p.hello, h)
	close(p.met)
	return nil
}

// place is the name that our router has for a peer's context. The peer is part of it: one
// that says the id of somebody else's context takes nobody's place.
func place(owner pki.Domain, id contextID) mor.ContextID {
	sum := sha256.Sum256(append(id[:], owner.String()...))
	return mor.ContextID(sum[:len(mor.ContextID{})])
}

// answer answers a member (row M8). Whoever is none hears nothing. An answer for which the
// link has no room is dropped: the peer will ask again.
func (p *peerLink) answer(ctx context.Context, on mor.ContextID) error {
	records, err := ask(ctx, p.n.loop, func(l *loop, now time.Time) []mor.Answered {
		records, _ := l.router.Ask(now, on, p.domain)
		return slices.Clone(records)
	})
	if err != nil || len(records) == 0 {
		return err
	}
	raw, err := mor.MarshalAnswer(records)
	if err != nil {
		return err
	}
	if err := p.send(peerMessage{Answer: &answer{contextID(on), raw}}); !errors.Is(err, link.ErrFull) {
		return err
	}
	return nil
}

// converse asks the peer for all that it knows when the link is new, when it has news, and
// every now and then.
func (p *peerLink) converse(ctx context.Context) {
	var contexts []contextID
	select {
	case <-ctx.Done():
		return
	case h := <-p.hello:
		contexts = h.Contexts
		p.note("countersignature", p.n.peers.received(ctx, p.domain, h.Cross))
	}
	for pause := askAgain; ctx.Err() == nil; {
		err := p.inquire(ctx, contexts)
		p.note("asking", err)
		wait(ctx, askSpacing) // whatever the peer may do
		if err == nil {
			p.rest(ctx, askEvery/2+rand.N(askEvery))
			pause = askAgain
		} else if !p.rest(ctx, pause) { // what failed amid news, as when a peer changes its key, is not tried less for it
			pause = min(2*pause, askEvery)
		}
	}
}

// rest returns after a pause, or earlier if there are news, and tells which.
func (p *peerLink) rest(ctx context.Context, pause time.Duration) (news bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-p.news:
		return true
	}
	return false
}

// inquire pulls the descriptors that the peer has, which its records are verified by, and
// then asks for the records.
func (p *peerLink) inquire(ctx context.Context, contexts []contextID) error {
	more, failed := p.n.directory.pull(ctx, p.domain)
	if more {
		offer(p.news, struct{}{}) // as if the peer had said so
	}
	for _, id := range contexts {
		failed = errors.Join(failed, p.ask(ctx, id))
	}
	return failed
}

// ask asks for the records that may be had on one context of the peer, and learns them.
func (p *peerLink) ask(ctx context.Context, on contextID) error {
	select {
	case <-p.answers: // too late, or not asked for
	default:
	}
	p.asking.Store(true)
	defer p.asking.Store(false)
	if err := p.send(peerMessage{Ask: &query{on}}); err != nil {
		return err
	}
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	select {
	case a := <-p.answers:
		return p.learn(ctx, place(p.domain, on), a.Records)
	case <-timer.C:
		return fmt.Errorf("node: %s does not answer an Ask", p.domain)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// learn takes the records of an answer to what was asked on a context of the peer. If contexts have come or gone by it, or are nearer or
// farther, our own members hear of it.
func (p *peerLink) learn(ctx context.Context, heard mor.ContextID, raw []byte) error {
	records, err := mor.ParseAnswer(raw)
	if err != nil {
		return err
	}
	if err := p.nearest(records); err != nil {
		return err
	}
	type result struct {
		mor.Learnt
		err error
	}
	learnt, err := ask(ctx, p.n.loop, func(l *loop, now time.Time) (r result) {
		if l.links[p.domain] == p { // else it is of no use to believe what it says
			r.Learnt, r.err = l.router.Learn(now, heard, records, p.n.directory.authority)
		}
		return r
	})
	if err != nil {
		return err
	}
	if learnt.News {
		p.n.tell()
	}
	return learnt.err
}

// nearest refuses an answer that passes somebody else's record off as the peer's own: it
// would travel further than its owner allows.
func (p *peerLink) nearest(records []mor.Answered) error {
	for _, r := range records {
		if r.Depth != 1 {
			continue
		}
		record, err := mor.ParseRecord(r.Raw, p.n.directory.authority, time.Now())
		if err != nil {
			return err
		}
		if record.Owner != p.domain {
			return fmt.Errorf("%w: %s's record as its own", errPeerMessage, record.Owner)
		}
	}
	return nil
}

func (p *peerLink) send(m peerMessage) error {
	raw, err := m.marshal()
	if err != nil {
		return err
	}
	return p.conn.SendControl(raw)
}

func (p *peerLink) note(doing string, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrFull) {
		return // the end of a link has its own line, and what did not fit is counted by the link
	}
	p.n.log.Info(doing, "peer", p.domain, "err", err)
}

// tell has spread say that what we know has changed.
func (n *Node) tell() {
	select {
	case n.news <- struct{}{}:
	default: // it will be said anyway
	}
}

// newsPause is how long news are gathered before they are told.
const newsPause = 100 * time.Millisecond

// spread tells all peers of news, not more often than every newsPause.
func (n *Node) spread(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.news:
		}
		wait(ctx, newsPause)
		err := n.loop.do(ctx, func(l *loop, _ time.Time) (mor.Output, bool) {
			for _, p := range l.links {
				p.note("telling news", p.send(peerMessage{News: &news{}}))
			}
			return mor.Output{}, false
		})
		if err != nil {
			return nil
		}
	}
}
