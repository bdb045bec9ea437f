package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

const (
	// statementPause is the least time between two pages that are asked for, or answered, on
	// one link.
	statementPause = 20 * time.Millisecond
	// maxStatementPages is how many pages are asked for in one go, however many a peer says
	// that it has.
	maxStatementPages = 256
	// maxMissed is how many domains are remembered of whom a peer had statements that could not
	// be judged. Those of more domains come again when they are made anew.
	maxMissed = 1024
)

// A cursor is how far we have read what a peer holds. It outlives links, but no restart.
type cursor struct {
	last   int64                 // the peer's number of the last statement that we have had
	missed map[pki.Domain]uint64 // whose statements could not be judged, by what was known after this change of the directory

	again int64     // to be read on from once more, since something after it came too soon,
	due   time.Time // at this time; zero: nothing did
}

// later remembers that what follows is worth asking for again.
func (c *cursor) later(due time.Time) {
	if c.due.IsZero() {
		c.again, c.due = c.last, due
	}
}

// back goes to where reading is to go on from at that time.
func (c *cursor) back(now time.Time, knowsMore bool) {
	switch {
	case knowsMore:
		c.last, c.due = 0, time.Time{}
		clear(c.missed)
	case !c.due.IsZero() && !now.Before(c.due):
		c.last, c.due = min(c.again, c.last), time.Time{}
	}
}

// pause is how long nothing is to be asked for without a cause.
func (c *cursor) pause(now time.Time) time.Duration {
	pause := askEvery/2 + rand.N(askEvery)
	if !c.due.IsZero() {
		pause = max(0, min(pause, c.due.Sub(now)))
	}
	return pause
}

// Cursors are those of the peers that have no link now. A link takes the one of its peer.
type cursors struct {
	mu  sync.Mutex // guards all
	all map[pki.Domain]*cursor
}

// take is a new cursor if there is none.
func (c *cursors) take(peer pki.Domain) *cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.all[peer]
	if !ok {
		return &cursor{missed: make(map[pki.Domain]uint64)}
	}
	delete(c.all, peer)
	return at
}

func (c *cursors) give(peer pki.Domain, at *cursor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[pki.Domain]*cursor)
	}
	c.all[peer] = at
}

// follow asks the peer for the statements that we have not had from it: when the link is new,
// when the peer has news, when a domain has become known that it spoke of, and now and then; after
// a question that had no answer, soon.
func (p *peerLink) follow(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-p.met:
	}
	at := p.n.cursors.take(p.domain)
	defer p.n.cursors.give(p.domain, at)
	for again := askAgain; ctx.Err() == nil; {
		err := p.catchUp(ctx, at)
		p.note("following", err)
		wait(ctx, askSpacing) // whatever the peer may do
		pause := at.pause(time.Now())
		if err == nil {
			again = askAgain
		} else {
			pause, again = min(pause, again), min(2*again, askEvery)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.fresh:
		}
		timer.Stop()
	}
}

// catchUp reads on from where we are.
func (p *peerLink) catchUp(ctx context.Context, at *cursor) error {
	at.back(time.Now(), p.n.knowsMore(at))
	for range maxStatementPages {
		page, err := p.askStatements(ctx, at.last)
		if err != nil {
			return err
		}
		if page.More && (page.Last == at.last || len(page.Statements) == 0) {
			return fmt.Errorf("%w: statements that do not get on", errPeerMessage)
		}
		p.takeStatements(ctx, at, page.Statements)
		at.last = page.Last
		if !page.More || ctx.Err() != nil {
			return ctx.Err()
		}
		wait(ctx, statementPause)
	}
	return errors.New("node: more statements than are asked for at once")
}

// knowsMore reports whether something that we could not judge can be judged by now.
func (n *Node) knowsMore(at *cursor) bool {
	for domain, then := range at.missed {
		if is, ok := n.directory.find(domain); ok && is.changed > then {
			return true
		}
	}
	return false
}

// askStatements asks for one page.
func (p *peerLink) askStatements(ctx context.Context, since int64) (statementPage, error) {
	select {
	case <-p.pages: // too late, or not asked for
	default:
	}
	p.following.Store(true)
	defer p.following.Store(false)
	if err := p.send(peerMessage{Since: &sinceQuery{since}}); err != nil {
		return statementPage{}, err
	}
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	for {
		select {
		case page := <-p.pages:
			if page.Since == since { // else it answers an earlier question, late
				return page, nil
			}
		case <-timer.C:
			return statementPage{}, fmt.Errorf("node: %s does not say what statements it has", p.domain)
		case <-ctx.Done():
			return statementPage{}, ctx.Err()
		}
	}
}

// takeStatements accepts what is true and new; of the rest it says one line.
func (p *peerLink) takeStatements(ctx context.Context, at *cursor, raws [][]byte) {
	refused := 0
	var first error
	for _, raw := range raws {
		then := p.n.directory.now() // what becomes known while it is judged comes too late for it
		_, err := p.n.accept(ctx, raw)
		var soon *tooSoonError
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, pki.ErrTime):
		case errors.Is(err, errUnknownDomain):
			miss(at, raw, then)
		case errors.As(err, &soon):
			at.later(time.Now().Add(soon.left))
		default:
			if refused++; first == nil {
				first = err
			}
		}
	}
	if refused > 0 {
		p.n.log.Warn("statements refused", "peer", p.domain, "count", refused, "first", first)
	}
}

// miss remembers whom a statement is about that could not be judged after that change.
func miss(at *cursor, raw []byte, then uint64) {
	for _, domain := range subjectsOf(raw) {
		if _, ok := at.missed[domain]; !ok && len(at.missed) < maxMissed {
			at.missed[domain] = then
		}
	}
}

// subjectsOf are the domains that a statement is of, by whose keys it is judged.
func subjectsOf(raw []byte) []pki.Domain {
	kind, body, err := pki.ParseStatement(raw)
	if err != nil {
		return nil
	}
	var all []pki.Domain
	switch kind {
	case pki.StatementView:
		v, failed := pki.ParseView(body)
		err, all = failed, []pki.Domain{v.Domain()}
	case pki.StatementRevocation:
		r, failed := pki.ParseRevocation(body)
		err, all = failed, []pki.Domain{r.Domain()}
	case pki.StatementChallenge:
		c, failed := pki.ParseChallenge(body)
		err, all = failed, []pki.Domain{c.Domain()}
	case pki.StatementMove:
		m, failed := pki.ParseMove(body)
		err, all = failed, []pki.Domain{m.From().Domain(), m.To().Domain()}
	case pki.StatementHead:
		d, failed := witness.DomainOf(originOf(body))
		err, all = failed, []pki.Domain{d}
	case pki.StatementFork:
		f, failed := witness.ParseFork(body)
		err, all = failed, []pki.Domain{f.Domain}
	default:
		s, failed := pki.ParseSuccession(body)
		err, all = failed, []pki.Domain{s.Domain}
	}
	if err != nil {
		return nil
	}
	return all
}

// serveStatements answers the peer's questions for statements, and takes its later
// countersignatures, one at a time and not too often. A page for which the link has no room is not sent: the peer will ask again.
func (p *peerLink) serveStatements(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case since := <-p.wanted:
			raws, last, more, err := p.n.statementsAfter(ctx, since, maxStatementPage)
			if err == nil {
				err = p.send(peerMessage{Statements: &statementPage{Since: since, Statements: raws, Last: last, More: more}})
			}
			p.note("answering for statements", err)
		case der := <-p.crossed:
			p.note("countersignature", p.n.peers.received(ctx, p.domain, der))
		}
		wait(ctx, statementPause)
	}
}

// refollow has every link ask for statements, as if its peer had news: a domain has become
// known.
func (n *Node) refollow(ctx context.Context) error {
	return n.loop.do(ctx, func(l *loop, _ time.Time) (out mor.Output, ok bool) {
		for _, p := range l.links {
			offer(p.fresh, struct{}{})
		}
		return out, false
	})
}
