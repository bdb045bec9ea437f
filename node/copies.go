package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Each peer has copies of the cards of our users, and we of theirs, sealed (keyserver.SealedCopy), so that
// whoever knows a name can have its card with proof from any of us when its home is gone. A peer asks for what
// it has not, and drops what has ended, as the log of the home says.

const (
	maxCopyNumbers = 8192      // numbers of one answer
	maxCopyPage    = 64        // copies of one answer
	maxCopyBytes   = 512 << 10 // bytes of them, together
	maxEnded       = 256       // cards that are looked for in a log at a time, which the peer has no more
)

// keepCopies follows the peer's users: when the link is new, when our copy of the peer's log has come further, and now
// and then; soon, as long as the checkpoint of that copy is not cosigned.
func (p *peerLink) keepCopies(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-p.met:
	}
	seen := int64(0)
	for again := p.n.cfg.viewPace(); ctx.Err() == nil; {
		cosigned, err := p.pullCopies(ctx, &seen)
		p.note("copying users", err)
		wait(ctx, askSpacing) // whatever the peer may do
		pause := again
		if again = min(2*again, askEvery); cosigned && err == nil {
			pause, again = askEvery/2+rand.N(askEvery), p.n.cfg.viewPace()
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.copying:
			again = p.n.cfg.viewPace()
		}
		timer.Stop()
	}
}

// wantCopies has the users of a peer asked for, if it is linked: its log has grown.
func (n *Node) wantCopies(ctx context.Context, domain pki.Domain) {
	_ = n.loop.do(ctx, func(l *loop, _ time.Time) (out mor.Output, ok bool) { // no loop any more: nobody to ask
		if p := l.links[domain]; p != nil {
			offer(p.copying, struct{}{})
		}
		return out, false
	})
}

// pullCopies brings our copies to what the peer has, and tells whether our copy of its log is cosigned.
func (p *peerLink) pullCopies(ctx context.Context, seen *int64) (cosigned bool, err error) {
	page, err := p.askCopies(ctx, copiesQuery{Seen: *seen})
	if err != nil {
		return false, err
	}
	cosigned, err = p.n.cosignCopy(ctx, p.domain, page.Checkpoint)
	if err != nil || page.Size == *seen {
		return cosigned, err
	}
	size, numbers := page.Size, page.Numbers
	for page.More && len(numbers) < store.MaxCopiesEach && len(page.Numbers) > 0 {
		if page, err = p.askCopies(ctx, copiesQuery{From: numbers[len(numbers)-1] + 1}); err != nil {
			return cosigned, err
		}
		numbers = append(numbers, page.Numbers...)
	}
	kept, err := p.n.unended(ctx, p.domain, numbers[:min(len(numbers), store.MaxCopiesEach)])
	if err != nil {
		return cosigned, err
	}
	missing, err := p.n.store.KeepCopies(ctx, p.domain.String(), kept)
	if err == nil {
		err = p.fetchCopies(ctx, missing)
	}
	if err == nil {
		*seen = size
	}
	return cosigned, err
}

// unended are the numbers of a peer's cards that are to be kept: those that it has, and those that it had given us
// and has no more, unless our copy of its log shows a later card of that name, or the end of this one. So a peer
// that comes back with an empty database takes nobody's card away. Beyond [store.MaxCopiesEach] its word counts.
func (n *Node) unended(ctx context.Context, domain pki.Domain, numbers []int64) ([]int64, error) {
	others, err := n.store.CopiesBeside(ctx, domain.String(), numbers)
	if err != nil || len(others) == 0 || len(numbers)+len(others) > store.MaxCopiesEach {
		return numbers, err
	}
	head, _, err := n.store.Mirror(ctx, keylog.Origin(domain))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	log := witness.NewCopy(n.store, head.Origin, nil)
	looked := 0
	others = slices.DeleteFunc(others, func(number int64) bool {
		if looked++; looked > maxEnded || number >= head.Size {
			return false // another time
		}
		return errors.Is(n.checkNumber(ctx, log, head, number), keyserver.ErrOldCopy)
	})
	return slices.Concat(numbers, others), ctx.Err()
}

// fetchCopies asks for those of some numbers.
func (p *peerLink) fetchCopies(ctx context.Context, missing []int64) error {
	for len(missing) > 0 {
		page, err := p.askCopies(ctx, copiesQuery{From: missing[0], Sealed: true})
		if err != nil {
			return err
		}
		var copies []store.Copy
		last := missing[0]
		for _, c := range page.Copies {
			name, key, err := c.Sealed.IDs()
			if err != nil {
				return err
			}
			copies = append(copies, store.Copy{Number: c.Number, NameID: name, KeyID: key, Sealed: c.Sealed})
			last = c.Number
		}
		if err := p.n.store.PutCopies(ctx, p.domain.String(), copies); err != nil {
			return fmt.Errorf("node: keeping copies of users: %w", err)
		}
		if !page.More {
			return nil
		}
		for len(missing) > 0 && missing[0] <= last {
			missing = missing[1:]
		}
		wait(ctx, statementPause)
	}
	return nil
}

// askCopies asks for one page.
func (p *peerLink) askCopies(ctx context.Context, q copiesQuery) (copiesPage, error) {
	select {
	case <-p.copies: // too late, or not asked for
	default:
	}
	p.pulling.Store(true)
	defer p.pulling.Store(false)
	if err := p.send(peerMessage{CopiesOf: &q}); err != nil {
		return copiesPage{}, err
	}
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	for {
		select {
		case page := <-p.copies:
			if page.From == q.From && page.Sealed == q.Sealed { // else it answers an earlier question, late
				return page, nil
			}
		case <-timer.C:
			return copiesPage{}, fmt.Errorf("node: %s does not say what users it has", p.domain)
		case <-ctx.Done():
			return copiesPage{}, ctx.Err()
		}
	}
}

// serveCopies answers the peer's questions for copies, one at a time and not too often. A page for which the link
// has no room is not sent: the peer will ask again.
func (p *peerLink) serveCopies(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-p.copiesOf:
			page, err := p.n.copiesPage(ctx, q)
			if err == nil {
				err = p.send(peerMessage{Copies: &page})
			}
			p.note("answering for users", err)
		}
		wait(ctx, statementPause)
	}
}

// copiesPage answers a peer. Whatever changes the cards that there are makes a leaf: so while the log has as many, there
// is nothing new to tell.
func (n *Node) copiesPage(ctx context.Context, q copiesQuery) (page copiesPage, err error) {
	page.From, page.Sealed = q.From, q.Sealed
	if page.Size, err = n.store.LogSize(ctx); err != nil {
		return page, err
	}
	if q.Sealed {
		users, err := n.store.CardsLogged(ctx, q.From, maxCopyPage+1)
		if err == nil {
			page.Copies, page.More, err = n.published.SealCopies(users, maxCopyPage, maxCopyBytes)
		}
		return page, err
	}
	_, page.Checkpoint, _ = n.ledger.Published()
	if page.Size == q.Seen {
		return page, nil
	}
	page.Numbers, err = n.store.CardNumbers(ctx, q.From, maxCopyNumbers+1)
	if page.More = len(page.Numbers) > maxCopyNumbers; page.More {
		page.Numbers = page.Numbers[:maxCopyNumbers]
	}
	return page, err
}

// cosignCopy takes the cosignatures of a peer's checkpoint over to our copy of its log, if that is as long; and tells
// whether it is, so that there are no more to come.
func (n *Node) cosignCopy(ctx context.Context, domain pki.Domain, checkpoint []byte) (bool, error) {
	d, err := n.directory.descriptor(ctx, domain)
	if err != nil || !d.HasLog() {
		return true, notFoundIsNil(err)
	}
	held, _, err := n.store.Mirror(ctx, keylog.Origin(domain))
	if err != nil || len(checkpoint) == 0 {
		return false, notFoundIsNil(err)
	}
	head, err := witness.HeadBy(d, checkpoint)
	if err != nil || head.Size != held.Size || head.Root != held.Root {
		return false, err
	}
	if held.Checkpoint, err = witness.Cosigned(checkpoint, held.Checkpoint, head, n.witnessesOf(checkpoint)); err != nil {
		return false, err
	}
	return true, n.store.CosignMirror(ctx, held)
}

// copiedUser finds a peer's user among the copies that her home gave us, and verifies all of it.
// What is not there, or does not hold, is store.ErrNotFound; keyserver.ErrOldCopy comes with the card.
func (n *Node) copiedUser(ctx context.Context, of keyserver.Subject) (keyserver.Copied, error) {
	copies, err := n.copiesOf(ctx, of)
	if err != nil {
		return keyserver.Copied{}, err
	}
	missing, last := error(store.ErrNotFound), keyserver.Copied{} // or what is not known yet, which is no miss
	for _, c := range copies {
		found, err := n.openCopy(ctx, c, of)
		if err == nil {
			return found, nil
		}
		if errors.Is(err, keyserver.ErrOldCopy) || errors.Is(err, errUnread) {
			missing, last = err, found
		}
		if ctx.Err() != nil {
			return keyserver.Copied{}, ctx.Err()
		}
		n.log.Debug("a copy of a user is of no use", "domain", c.Domain, "err", err)
	}
	return last, missing
}

func (n *Node) copiesOf(ctx context.Context, of keyserver.Subject) ([]store.Copy, error) {
	id := keyserver.CopyID(of)
	if of.Name.IsZero() {
		return n.store.CopiesOfKey(ctx, id)
	}
	c, err := n.store.CopyOfName(ctx, of.Name.Domain().String(), id)
	return []store.Copy{c}, err
}
