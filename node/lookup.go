package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// card finds the card of a user: our own from the store, anybody else's at the key server
// of her home, or, if that does not answer, at those of our peers, which may hold a copy
// (row K4). Nothing of what was asked for is written down here. It is one of user's turns,
// and one of its own to look for a copy.
func (n *Node) card(ctx context.Context, user pki.Fingerprint, name pki.Name) (pki.SignedCard, error) {
	if name.Domain() == n.cfg.Domain {
		return n.ownCard(ctx, name)
	}
	home, err := n.directory.descriptor(ctx, name.Domain())
	if errors.Is(err, store.ErrNotFound) {
		return pki.SignedCard{}, session.Errorf(session.NotFound, "no server of %s is known here", name.Domain())
	}
	if err != nil {
		return pki.SignedCard{}, err
	}
	card, err := n.askedCard(ctx, user, home, name)
	var told *session.Error
	if errors.As(err, &told) {
		return pki.SignedCard{}, told
	}
	if err == nil || errors.Is(err, keyserver.ErrNotFound) {
		return card, notFound(err, name)
	}
	var changed *pki.KeyChangedError
	switch {
	case errors.As(err, &changed):
		return pki.SignedCard{}, session.Errorf(session.WrongKey, "%s's key server shows another key than the one that is known", name.Domain())
	case errors.Is(err, errForged): // and not "does not answer": a sender would go on with older keys
		return pki.SignedCard{}, session.Errorf(session.WrongKey, "%s's key server shows a card that %s did not sign", name.Domain(), name.Domain())
	}
	return n.copiedCard(ctx, user, home, name)
}

// askedCard asks the home itself, in user's turn. That ends with it: to wait for copies takes
// longer than anybody would wait for a turn.
func (n *Node) askedCard(ctx context.Context, user pki.Fingerprint, home pki.SignedDescriptor, name pki.Name) (pki.SignedCard, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	leave, err := n.lookups.enter(ctx, user, name.Domain())
	if err != nil {
		return pki.SignedCard{}, tooMany(name)
	}
	defer leave()
	return n.foreignCard(ctx, home, home, name)
}

func tooMany(name pki.Name) error {
	return session.Errorf(session.Unavailable, "too many are asking for users of %s; try again", name.Domain())
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
)

// copiedCard looks for a copy when the home does not answer: at our own key server, then
// at those of some peers, in a turn of user's. What is found was signed by the home, and is
// verified as such.
func (n *Node) copiedCard(ctx context.Context, user pki.Fingerprint, home pki.SignedDescriptor, name pki.Name) (pki.SignedCard, error) {
	if row, err := n.store.User(ctx, name.String()); err == nil {
		if card, err := home.CA.VerifyCard(row.Card, time.Now()); err == nil {
			return card, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	leave, err := n.copies.enter(ctx, user, name.Domain())
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
	for range asked {
		if card := <-found; len(card.Raw()) > 0 {
			return card, nil
		}
	}
	return pki.SignedCard{}, session.Errorf(session.Unavailable, "%s's key server does not answer, and no peer has a copy", name.Domain())
}

// errForged says that a key server answered with a card that its home did not sign.
var errForged = errors.New("node: card not signed by its home")

// foreignCard asks the key servers of at for a user of home, and verifies what they say.
func (n *Node) foreignCard(ctx context.Context, home, at pki.SignedDescriptor, name pki.Name) (pki.SignedCard, error) {
	var failed error
	for _, address := range at.KeyServers {
		unvouched, err := n.client.User(ctx, keyserver.Endpoint{Address: address, CA: at.CA.Fingerprint()}, name)
		var card pki.SignedCard
		if err == nil {
			card, err = vouched(home.CA, unvouched)
		}
		if err == nil {
			return card, nil
		}
		failed = errors.Join(failed, err)
	}
	return pki.SignedCard{}, failed
}

// vouched verifies a card under its home's key. A card that has only run out is no forgery.
func vouched(home pki.CACert, card pki.UnvouchedCard) (pki.SignedCard, error) {
	signed, err := home.VerifyCard(card.Raw(), time.Now())
	if err != nil && !errors.Is(err, pki.ErrTime) {
		err = fmt.Errorf("%w: %w", errForged, err)
	}
	return signed, err
}

func (n *Node) ownCard(ctx context.Context, name pki.Name) (pki.SignedCard, error) {
	row, err := n.store.User(ctx, name.String())
	if errors.Is(err, store.ErrNotFound) || err == nil && len(row.Card) == 0 { // certified, but without a card yet
		return pki.SignedCard{}, notFound(keyserver.ErrNotFound, name)
	}
	if err != nil {
		return pki.SignedCard{}, err
	}
	return n.authority.CA().VerifyCard(row.Card, time.Now())
}

func notFound(err error, name pki.Name) error {
	if errors.Is(err, keyserver.ErrNotFound) {
		return session.Errorf(session.NotFound, "there is no %s", name)
	}
	return err
}
