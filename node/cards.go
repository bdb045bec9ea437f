package node

import (
	"bytes"
	"context"
	"math"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// cardsAnHour is how many new cards of one user are published in an hour: each is a leaf of the key log
// for good. Programs of users make one at a login if it is due, and when keys or devices change. It is
// counted in memory.
const cardsAnHour = 30

// mayPublish counts a card that is not the one on record.
func (n *Node) mayPublish(ctx context.Context, card pki.SignedCard) error {
	name := card.Certificate.Name()
	held, err := n.store.User(ctx, name.String())
	if notFoundIsNil(err) != nil || err == nil && bytes.Equal(held.Card, card.Raw()) {
		return notFoundIsNil(err)
	}
	left, ok := n.carded.take(card.Certificate.Key().Fingerprint(), name.Domain(), time.Now(), cardsAnHour)
	if !ok {
		return session.Errorf(session.Full, "%s publishes %d cards of a user in an hour; wait %d minutes", n.cfg.Domain, cardsAnHour, int(math.Ceil(left.Minutes())))
	}
	return nil
}
