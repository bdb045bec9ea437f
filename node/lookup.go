package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// card finds the card of a user: our own from the store, anybody else's at the key server
// of her home, or, if that does not answer, at those of our peers, which may hold a copy
// (row K4): copied. Nothing of what was asked for is written down here. It is one of the asker's turns,
// and one of its own to look for a copy.
func (n *Node) card(ctx context.Context, who asker, name pki.Name) (card pki.SignedCard, copied bool, err error) {
	if name.Domain() == n.cfg.Domain {
		card, err = n.ownCard(ctx, name)
		return card, false, err
	}
	home, err := n.directory.descriptor(ctx, name.Domain())
	if errors.Is(err, store.ErrNotFound) {
		return pki.SignedCard{}, false, n.strangeHome(ctx, who, name)
	}
	if err != nil {
		return pki.SignedCard{}, false, err
	}
	card, err = n.askedCard(ctx, who, home, name)
	if n.followHome(ctx, home, err) {
		if home, err = n.directory.descriptor(ctx, name.Domain()); err == nil {
			card, err = n.askedCard(ctx, who, home, name)
		}
	}
	var told *session.Error
	if errors.As(err, &told) {
		return pki.SignedCard{}, false, told
	}
	if err == nil || errors.Is(err, keyserver.ErrNotFound) {
		return card, false, notFound(err, name)
	}
	var changed *pki.KeyChangedError
	switch {
	case errors.As(err, new(*badCardError)): // and not "does not answer": a sender would go on with older keys
		return pki.SignedCard{}, false, err
	case errors.As(err, &changed):
		told := session.Errorf(session.WrongKey, "%s's key server shows another key than the one that is known", name.Domain())
		told.Shown = changed.Shown
		return pki.SignedCard{}, false, told
	}
	card, err = n.copiedCard(ctx, who, home, name)
	return card, true, err
}

// strangeHome says why there is no card of a user whose home is not in the directory: there is
// no such server, or nobody who counts confirms the key that DNS names. It is one of the asker's turns.
func (n *Node) strangeHome(ctx context.Context, who asker, name pki.Name) error {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	leave, err := n.lookups.enter(ctx, who, name.Domain())
	if err != nil {
		return tooMany(name)
	}
	defer leave()
	answer, err := n.resolver.Look(ctx, name.Domain())
	if err != nil || answer.Fingerprint.IsZero() {
		return session.Errorf(session.NotFound, "no server of %s is known here", name.Domain())
	}
	told := session.Errorf(session.WrongKey, "nobody confirms the key of %s", name.Domain())
	told.Shown = answer.Fingerprint
	return told
}

// askedCard asks the home itself, in the asker's turn. That ends with it: to wait for copies takes
// longer than anybody would wait for a turn.
func (n *Node) askedCard(ctx context.Context, who asker, home pki.SignedDescriptor, name pki.Name) (pki.SignedCard, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	leave, err := n.lookups.enter(ctx, who, name.Domain())
	if err != nil {
		return pki.SignedCard{}, tooMany(name)
	}
	defer leave()
	return n.foreignCard(ctx, home, home, name)
}

func tooMany(name pki.Name) error {
	return session.Errorf(session.Unavailable, "too many are asking for users of %s; try again", name.Domain())
}

// shownProof is what the card's home shows of its place in its key log; nil if it does not. Nobody has
// verified it. It is one of the asker's turns.
func (n *Node) shownProof(ctx context.Context, who asker, card pki.SignedCard) []byte {
	name := card.Certificate.Name()
	if name.Domain() == n.cfg.Domain {
		return n.published.HeldProof(ctx, name, pki.Fingerprint{}, card.Raw(), keylog.MaxProofSize)
	}
	home, err := n.directory.descriptor(ctx, name.Domain())
	if err != nil || !home.HasLog() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	leave, err := n.lookups.enter(ctx, who, name.Domain())
	if err != nil {
		return nil
	}
	defer leave()
	for _, address := range home.KeyServers {
		at := keyserver.Endpoint{Address: address, CA: home.CA.Fingerprint()}
		record, proof, err := n.client.Proof(ctx, at, keyserver.Subject{Name: name})
		if err == nil && bytes.Equal(record, card.Raw()) {
			return proof
		}
	}
	return nil
}

// homeCard finds the card of a foreign user at her home only: it is what our key server
// fetches copies by. Key servers never ask each other for copies, so no look-up runs in
// circles.
func (n *Node) homeCard(ctx context.Context, name pki.Name) (pki.SignedCard, error) {
	home, err := n.directory.descriptor(ctx, name.Domain())
	if err != nil {
		return pki.SignedCard{}, err
	}
	return n.foreignCard(ctx, home, home, name)
}

// How a copy is looked for when a home does not answer.
const (
	copiesAsked = 8                // peers at a time; each of them learns the name
	copyTime    = 15 * time.Second // more than their key servers wait for the home themselves
	newerTime   = 2 * time.Second  // that others are waited for, once somebody has a copy
)

// copiedCard looks for a copy when the home does not answer: at our own key server, and at
// those of some peers, in a turn of the asker's. What is found was signed by its owner, whom the home
// certified, and is verified as such. The newest is hers: while her home is away she may have
// published where she is.
func (n *Node) copiedCard(ctx context.Context, who asker, home pki.SignedDescriptor, name pki.Name) (pki.SignedCard, error) {
	newest := n.heldCard(ctx, home.CA, name)
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	leave, err := n.copies.enter(ctx, who, name.Domain())
	if err != nil {
		cancel()
		return pki.SignedCard{}, tooMany(name)
	}
	defer leave()
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	found := make(chan pki.SignedCard, copiesAsked)
	asked := 0
	for domain := range n.peers.known() { // in no order, so not always the same ones are asked
		peer, err := n.directory.descriptor(ctx, domain)
		if err != nil || domain == name.Domain() || asked == copiesAsked {
			continue
		}
		asked++
		asking.Go(func() {
			card, _ := n.foreignCard(ctx, home, peer, name)
			found <- card // none, if it failed
		})
	}
	if newest = newestCard(newest, found, asked); len(newest.Raw()) > 0 {
		return newest, nil
	}
	return pki.SignedCard{}, session.Errorf(session.Unavailable, "%s's key server does not answer, and no peer has a copy", name.Domain())
}

// heldCard is the copy at our own key server, fetched or given by her home; none if it has none that is good.
func (n *Node) heldCard(ctx context.Context, home pki.CACert, name pki.Name) pki.SignedCard {
	var card pki.SignedCard
	if row, err := n.store.User(ctx, name.String()); err == nil {
		if good, err := n.vouched(n.issuers(ctx, home), row.Card); err == nil {
			card = good
		}
	}
	given, err := n.copiedUser(ctx, keyserver.Subject{Name: name})
	if err == nil && (len(card.Raw()) == 0 || given.Card.Serial > card.Serial) {
		card = given.Card
	}
	return card
}

// newestCard is the one with the greatest serial of those that come, up to so many; when there is
// one, the others are not waited for long.
func newestCard(newest pki.SignedCard, found <-chan pki.SignedCard, most int) pki.SignedCard {
	var late <-chan time.Time
	for range most {
		if late == nil && len(newest.Raw()) > 0 {
			late = time.After(newerTime)
		}
		select {
		case card := <-found:
			if len(card.Raw()) > 0 && (len(newest.Raw()) == 0 || card.Serial > newest.Serial) {
				newest = card
			}
		case <-late:
			return newest
		}
	}
	return newest
}

// A badCardError says that a key server answered with a card that its home did not sign, or that
// has run out. Whoever asked gets the card all the same: she judges for herself, and may know who
// signed it.
type badCardError struct {
	card []byte
	why  error
}

func (e *badCardError) Error() string {
	return "node: a card that its home does not vouch for now: " + e.why.Error()
}

func (e *badCardError) Unwrap() error { return e.why }

// foreignCard asks the key servers of at for a user of home, and verifies what they say.
func (n *Node) foreignCard(ctx context.Context, home, at pki.SignedDescriptor, name pki.Name) (pki.SignedCard, error) {
	var failed error
	issuers := n.issuers(ctx, home.CA)
	for _, address := range at.KeyServers {
		unvouched, err := n.client.User(ctx, keyserver.Endpoint{Address: address, CA: at.CA.Fingerprint(), Former: issuers.former()}, name)
		var card pki.SignedCard
		switch raw := unvouched.Raw(); {
		case err == nil:
			card, err = n.vouched(issuers, raw)
		case len(raw) > 0:
			err = &badCardError{raw, err}
		}
		if err == nil {
			return card, nil
		}
		failed = errors.Join(failed, err)
	}
	return pki.SignedCard{}, failed
}

// vouched verifies a card under its home's keys. One that they do not vouch for, or not now, is a
// *badCardError; one whose key was revoked is none, whoever still has it.
func (n *Node) vouched(home issuers, raw []byte) (pki.SignedCard, error) {
	card, err := home.verifyCard(raw, time.Now())
	switch {
	case err != nil:
		return card, &badCardError{raw, err}
	case n.revoked(card.Certificate.Name(), card.Certificate.Key().Fingerprint()):
		return pki.SignedCard{}, fmt.Errorf("%w: its key was revoked", keyserver.ErrNotFound)
	case err == nil && n.endUnlisted(card) > 0:
		n.log.Info("a device was removed by its user: its links were ended")
	}
	return card, nil
}

func (n *Node) ownCard(ctx context.Context, name pki.Name) (pki.SignedCard, error) {
	row, err := n.store.User(ctx, name.String())
	if errors.Is(err, store.ErrNotFound) || err == nil && len(row.Card) == 0 { // certified, but without a card yet
		return pki.SignedCard{}, notFound(keyserver.ErrNotFound, name)
	}
	if err != nil {
		return pki.SignedCard{}, err
	}
	if n.revoked(name, row.Fingerprint) { // and about to be dropped
		return pki.SignedCard{}, notFound(keyserver.ErrNotFound, name)
	}
	if card, err := n.ownIssuers(ctx).verifyCard(row.Card, time.Now()); !errors.Is(err, pki.ErrTime) {
		return card, err
	}
	return pki.SignedCard{}, &badCardError{row.Card, pki.ErrTime}
}

func notFound(err error, name pki.Name) error {
	if errors.Is(err, keyserver.ErrNotFound) {
		return session.Errorf(session.NotFound, "there is no %s", name)
	}
	return err
}
