package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// AcceptPeer is the way back of a domain whose log cannot go on here: it was frozen, or the log
// contradicts what we hold. Its operator has had the offline root name another authority, and told
// ours the words of that. The key that the domain's own servers show, if it has these words and
// follows the pinned one by the root's word, is pinned as verified, and what we hold of the log
// under the authorities before is forgotten, so that another may begin. The proof of a fork
// stays, as proof against those.
func (n *Node) AcceptPeer(ctx context.Context, domain, text string) (Judgement, error) {
	d, err := pki.ParseDomain(domain)
	if err != nil {
		return Judgement{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	said, err := words.Fingerprint(text)
	if err != nil {
		return Judgement{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	looking, cancel := context.WithTimeout(ctx, lookUpTime)
	n.lookHome(looking, d)
	cancel()
	key := n.beliefs.sighting(d).Home
	if err := n.acceptable(ctx, d, key, said); err != nil {
		return Judgement{}, err
	}
	if err := n.bench.obey(ctx, d, key); err != nil {
		return Judgement{}, err
	}
	if err := n.forgetLog(ctx, d); err != nil {
		return Judgement{}, err
	}
	n.note(ctx, d, EventPinned, fmt.Sprintf("its key is %s, and what was held of its log before is forgotten: the operator said its words", key))
	return n.Verify(ctx, domain)
}

// acceptable says whether a key that a domain shows may follow the pinned one by our operator's word.
func (n *Node) acceptable(ctx context.Context, domain pki.Domain, key pki.Fingerprint, said words.Prefix) error {
	p, ok := n.beliefs.pin(domain)
	switch {
	case !ok:
		return fmt.Errorf("%w: nothing is pinned of %s", ErrInput, domain)
	case key.IsZero():
		return fmt.Errorf("%w: the servers of %s show no key", ErrInput, domain)
	case !said.Matches(key):
		return fmt.Errorf("%w: the servers of %s show another key than that of these words", ErrInput, domain)
	case key != p.Key && !n.isHeir(domain, key):
		return fmt.Errorf("%w: the key that the servers of %s show does not follow the known one by the word of its offline root", ErrInput, domain)
	}
	void, err := n.voids(ctx, domain, key)
	if err == nil && !void {
		err = fmt.Errorf("%w: nothing that is held of the log of %s ends with that key: only one that its offline root named, as after p3dod rotate --key ca --stolen, can begin the log anew", ErrInput, domain)
	}
	return err
}

// voids reports whether something that we hold of a domain's log is by the word of an authority
// that does not lead to a key by hand-overs of its own, and the proof of a fork, if there is one, too.
func (n *Node) voids(ctx context.Context, domain pki.Domain, key pki.Fingerprint) (bool, error) {
	gone := func(was pki.Fingerprint) bool { return was != key && !n.handsOver(domain, was, key) }
	if f, ok := n.beliefs.fork(domain); ok && n.frozen(domain) {
		return gone(f.Descriptors[0].CA.Fingerprint()) || gone(f.Descriptors[1].CA.Fingerprint()), nil
	}
	held, err := n.heldHeads(ctx, domain)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(held, func(h store.Head) bool {
		d, err := pki.ParseDescriptor(h.Descriptor)
		return err == nil && gone(d.CA.Fingerprint())
	}), nil
}

// forgetLog forgets what we hold of a domain's log: nobody copies it meanwhile, or leaves of the old one would
// come into the copy of the next.
func (n *Node) forgetLog(ctx context.Context, domain pki.Domain) error {
	if err := n.mirrors.halt(ctx, domain); err != nil {
		return err
	}
	defer n.mirrors.end(domain)
	for _, id := range headIDs {
		if err := n.store.DropStatement(ctx, uint8(pki.StatementHead), domain.String(), id); err != nil {
			return err
		}
	}
	if err := n.store.ForgetLog(ctx, keylog.Origin(domain), domain.String()); err != nil {
		return err
	}
	n.mirrors.forget(domain)
	return nil
}

// obey pins the heir of the pinned key because the operator has said its words.
func (b *bench) obey(ctx context.Context, domain pki.Domain, key pki.Fingerprint) error {
	if shown, ok := b.n.directory.shownBy(domain.String()); ok && shown.CA.Fingerprint() == key && shown.CheckTime(time.Now()) == nil {
		b.await(shown)
	}
	select {
	case b.busy <- struct{}{}:
		defer func() { <-b.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	was, ok := b.n.beliefs.pin(domain)
	if !ok || was.Key == key {
		return nil
	}
	if _, here := b.comingOf(domain, key); !here || !b.n.isHeir(domain, key) {
		return fmt.Errorf("node: the servers of %s gave no descriptor under that key", domain)
	}
	v := pki.Verdict{Row: pki.RowRotated, Key: key, Trust: pki.Verified}
	next := v.Pin(was.Pin)
	next.Subject = domain.String()
	return b.move(ctx, domain, was, next, v)
}
