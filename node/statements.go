package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Statements are what domains and people sign about keys: views, revocations, successions,
// moves, challenges. A node keeps those that are true and that it had not yet, numbers them, and hands them on
// to its peers and its users. What is revoked stays so: nothing takes a revocation back, and
// what it ended does not come back by a copy.

// How much there is of it. What is more is refused.
const (
	maxStatementPage  = 64        // statements of one answer
	maxStatementBytes = 512 << 10 // bytes of them, together
	maxRevocations    = 10_000    // of the users of one domain
	maxSuccessions    = 64        // of one domain
	maxOwnSuccessions = 32        // of these by its own keys: a thief of one leaves room for the root

	// successionLife is how old a step of the way to a domain's key is before it may give way
	// to a new one: as long as anything that the key before had certified may be taken. Who
	// was away for longer goes by what a quorum vouches for.
	successionLife = pki.UserLifetime + takenFor
)

// How many bytes of each kind there may be of all domains together. Those of our own, of our peers and of
// all that are pinned count, and are kept beyond it, each up to its own bound: whoever fills this place
// is in the way of others of whom we know nothing but what DNS and a peer say.
const (
	maxViewBytes       = 1 << 30
	maxRevocationBytes = 512 << 20
	maxMoveBytes       = 512 << 20
	maxSuccessionBytes = 128 << 20
	maxHeadBytes       = 32 << 20
	maxForkBytes       = 128 << 20
	maxChallengeBytes  = 64 << 20
)

// A tooSoonError says that a domain has stated a view just before, or that a key has moved. The newest
// one is asked for again later.
type tooSoonError struct {
	what string
	left time.Duration
}

func (e *tooSoonError) Error() string {
	return fmt.Sprintf("node: %s so soon after another; there is room in %v", e.what, e.left)
}

// room is what there is for the statements of a kind that are kept on account of a domain.
func (n *Node) room(of pki.Domain, each int, all int64) store.Room {
	_, peer := n.peers.crossOf(of)
	if _, isPinned := n.beliefs.pin(of); peer || isPinned || of == n.cfg.Domain {
		all = 0
	}
	return store.Room{Each: each, All: all}
}

// errUnknownDomain says that a statement is about a domain that we know nothing of, or that is
// known under another key so far.
var errUnknownDomain = errors.New("node: a statement of a domain or a key that is not known here")

// statementsAfter returns a page of what we hold: at most so many statements that came after
// the given number, the number to ask on from, and whether there are more. A number that was
// never given out is as 0.
func (n *Node) statementsAfter(ctx context.Context, since int64, most int) (raws [][]byte, last int64, more bool, err error) {
	newest, err := n.store.LastStatement(ctx)
	if err != nil {
		return nil, since, false, err
	}
	if since > newest { // of a database that is no more
		since = 0
	}
	most = min(most, maxStatementPage)
	rows, err := n.store.StatementsAfter(ctx, since, most+1)
	if err != nil {
		return nil, since, false, err
	}
	last = since
	size := 0
	for i, row := range rows {
		size += 1 + len(row.Raw)
		if i == most || size > maxStatementBytes {
			return raws, last, true, nil
		}
		last = row.Seq
		raws = append(raws, pki.Statement{Kind: pki.StatementKind(row.Kind), Raw: row.Raw}.Marshal())
	}
	return raws, last, false, nil
}

// revoked reports whether an identity key is of no use any more under a name.
func (n *Node) revoked(name pki.Name, key pki.Fingerprint) bool { return n.beliefs.revoked(name, key) }

// accept takes a statement from wherever it comes. What is new and true is kept, obeyed, and
// told to all peers. Of a domain that is not known here it is errUnknownDomain.
func (n *Node) accept(ctx context.Context, raw []byte) (fresh bool, err error) {
	kind, body, err := pki.ParseStatement(raw)
	if err != nil {
		return false, err
	}
	switch kind {
	case pki.StatementView:
		fresh, err = n.acceptView(ctx, body)
	case pki.StatementRevocation:
		fresh, err = n.acceptRevocation(ctx, body, false)
	case pki.StatementSuccession:
		fresh, err = n.acceptSuccession(ctx, body)
	case pki.StatementMove:
		fresh, err = n.acceptMove(ctx, body)
	case pki.StatementHead:
		fresh, err = n.acceptHead(ctx, body)
	case pki.StatementFork:
		fresh, err = n.acceptFork(ctx, body)
	case pki.StatementChallenge:
		fresh, err = n.acceptChallenge(ctx, body, false)
	}
	return n.spreadIf(fresh, err)
}

// acceptView keeps the view of a domain in the directory, the newest one.
func (n *Node) acceptView(ctx context.Context, body []byte) (fresh bool, err error) {
	unvouched, err := pki.ParseView(body)
	if err != nil {
		return false, err
	}
	domain := unvouched.Domain()
	if domain == n.cfg.Domain {
		return false, nil
	}
	ca, ok := n.directory.authority(domain)
	if !ok {
		return false, fmt.Errorf("%w: %s", errUnknownDomain, domain)
	}
	old, err := n.store.Statement(ctx, uint8(pki.StatementView), domain.String(), [32]byte{})
	if err == nil && old.Serial >= unvouched.Serial() || notFoundIsNil(err) != nil {
		return false, notFoundIsNil(err)
	}
	view, err := ca.VerifyView(body, time.Now())
	if p, _ := n.beliefs.pin(domain); err != nil && len(p.Former) > 0 && !errors.Is(err, pki.ErrTime) { // who hands it on lags behind
		return false, fmt.Errorf("%w: %s: %w", errUnknownDomain, domain, err)
	}
	if err != nil {
		return false, n.otherKey(domain, err)
	}
	if left := n.viewed.take(domain, time.Now(), n.cfg.viewPace()); left > 0 {
		return false, &tooSoonError{"a view of " + domain.String(), left}
	}
	fresh, err = n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementView), Issuer: domain.String(), Serial: view.Serial, Ends: view.Expires, Raw: body,
	}, n.room(domain, 1, maxViewBytes))
	if fresh {
		n.seeView(view.View)
	}
	return fresh, err
}

// otherKey makes an errUnknownDomain of err if the domain's key may soon be another one, and the
// statement is worth asking for again then.
func (n *Node) otherKey(domain pki.Domain, err error) error {
	if p, ok := n.beliefs.pin(domain); (!ok || len(n.heirs(domain, p)) > 0) && !errors.Is(err, pki.ErrTime) {
		return fmt.Errorf("%w: %s: %w", errUnknownDomain, domain, err)
	}
	return err
}

// acceptRevocation keeps the end of a key or of a name, and obeys it. handed: no peer told us of it.
func (n *Node) acceptRevocation(ctx context.Context, body []byte, handed bool) (fresh bool, err error) {
	r, err := pki.ParseRevocation(body)
	if err != nil {
		return false, err
	}
	if held, err := n.holds(ctx, r); held || err != nil {
		return false, err
	}
	known, err := n.known(ctx, r.Domain())
	if err != nil {
		return false, err
	}
	if err := r.Check(known); err != nil {
		return false, n.otherKey(r.Domain(), err)
	}
	each, err := n.roomFor(ctx, r)
	if err != nil {
		return false, err
	}
	leaf, err := n.statementLeaf(ctx, keylog.Revocation, r.Name(), body, handed)
	if err != nil {
		return false, err
	}
	fresh, err = n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementRevocation), Issuer: r.Domain().String(), ID: r.Ends(), Serial: 1, Raw: body,
		Entry: leaf,
	}, n.room(r.Domain(), each, maxRevocationBytes))
	if !fresh {
		return false, err
	}
	n.noteLeaf(ctx, r.Domain(), leaf)
	return true, n.obey(ctx, r)
}

// obey has what was revoked served to nobody, and ends the links of who is logged in with it.
func (n *Node) obey(ctx context.Context, r pki.Revocation) error {
	n.beliefs.revoke(r)
	for _, conn := range n.lobby.linksOf(r.Key().Fingerprint()) {
		conn.Close()
	}
	err := n.drop(ctx, r)
	n.ledger.Again()
	if r.Domain() == n.cfg.Domain { // what others' users do is no news here; and the journal names nobody
		n.note(ctx, r.Domain(), EventRevoked, "the key or the name of one of its users was revoked")
	}
	return err
}

// forgetRevoked drops once more what a node that died between keeping a revocation and obeying
// it may still have.
func (n *Node) forgetRevoked(ctx context.Context) error {
	rows, err := n.store.Statements(ctx, uint8(pki.StatementRevocation))
	for _, row := range rows {
		r, err := pki.ParseRevocation(row.Raw)
		if err != nil {
			return err
		}
		if err := n.drop(ctx, r); err != nil {
			return err
		}
	}
	return err
}

// known is what a revocation in a domain is checked by.
func (n *Node) known(ctx context.Context, domain pki.Domain) (pki.Known, error) {
	ca := n.authority().CA()
	if domain != n.cfg.Domain {
		var ok bool
		if ca, ok = n.directory.authority(domain); !ok {
			return pki.Known{}, fmt.Errorf("%w: %s", errUnknownDomain, domain)
		}
	}
	former, err := n.formerAuthorities(ctx, domain)
	k := pki.NewKnown(ca, former, n.beliefs.line(domain))
	c, _ := n.commitment(domain)
	roots := c.Roots(n.beliefs.line(domain))
	k.Root, k.FormerRoots = roots[len(roots)-1], roots[:len(roots)-1]
	return k, err
}

// acceptSuccession keeps a hand-over of a key that we know, and judges the domain anew.
func (n *Node) acceptSuccession(ctx context.Context, body []byte) (fresh bool, err error) {
	s, err := pki.ParseSuccession(body)
	if err != nil {
		return false, err
	}
	if n.beliefs.succeeded(s) {
		return false, nil
	}
	c, ok := n.commitment(s.Domain)
	if !ok || !c.Admits(n.beliefs.line(s.Domain), s) {
		return false, fmt.Errorf("%w: %s", errUnknownDomain, s.Domain)
	}
	most := maxOwnSuccessions
	if s.By == pki.ByRoot || s.Office == pki.OfficeRoot {
		most = maxSuccessions
	}
	row, room := succession(s), n.room(s.Domain, most, maxSuccessionBytes)
	n.beliefs.handing.Lock() // or what one drops comes back, by another, into the store alone
	defer n.beliefs.handing.Unlock()
	fresh, err = n.store.AddStatement(ctx, row, room)
	if errors.Is(err, store.ErrFull) {
		if err = n.dropIdle(ctx, c); err == nil {
			fresh, err = n.store.AddStatement(ctx, row, room)
		}
	}
	if err == nil { // who was second to bring it may go on before the first has
		n.beliefs.succeed(s)
	}
	if fresh {
		n.watcher.soon(s.Domain)
	}
	return fresh, err
}

// succession is how one is kept.
func succession(s pki.SignedSuccession) store.Statement {
	return store.Statement{Kind: uint8(pki.StatementSuccession), Issuer: s.Domain.String(), ID: s.Says(), Serial: 1, Raw: s.Raw()}
}

// commitment is what is known of a domain's key, and of the end of that.
func (n *Node) commitment(domain pki.Domain) (pki.Commitment, bool) {
	if domain == n.cfg.Domain {
		return n.authority().Commitment(), true
	}
	p, ok := n.beliefs.pin(domain)
	return commitmentOf(domain, p), ok
}

// dropIdle makes room: it forgets those hand-overs of a domain that do not count any more, and
// are no step of the way that led to the pinned key, or one that is long past. Those of the root
// stay.
func (n *Node) dropIdle(ctx context.Context, c pki.Commitment) error {
	rows, err := n.store.FormerAuthorities(ctx, c.Domain.String())
	if err != nil {
		return err
	}
	way := map[pki.Fingerprint]bool{c.Key: true}
	for _, der := range rows {
		if ca, err := pki.ParseCACert(der); err == nil {
			way[ca.Fingerprint()] = true
		}
	}
	if p, ok := n.beliefs.pin(c.Domain); ok {
		for _, key := range p.Former {
			way[key] = true
		}
	}
	all := n.beliefs.line(c.Domain)
	for _, s := range all {
		onward := s.New() != c.Key && c.Admits(all, s)
		step := way[s.Old] && way[s.New()] && (s.New() == c.Key || time.Since(s.Issued) < successionLife)
		if onward || s.Office == pki.OfficeRoot || s.By == pki.ByRoot || step {
			continue
		}
		if err := n.store.DropStatement(ctx, uint8(pki.StatementSuccession), c.Domain.String(), s.Says()); err != nil {
			return err
		}
		n.beliefs.unsucceed(s)
	}
	return nil
}

// notFoundIsNil is err unless it says that there is no such row.
func notFoundIsNil(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
