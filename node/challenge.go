package node

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

const (
	// maxChallenges is how many challenges there may be of the users of one domain: of each key, under
	// each of its names, one.
	maxChallenges = 1024
	// challengePace is how much later than the one whose place it takes a challenge must be issued.
	// So a user, or who has stolen her key, makes one leaf a day of them.
	challengePace = 24 * time.Hour
)

// acceptChallenge keeps that the owner of a name objects to other keys for it. Of a key or a name
// that has ended it is refused: that is how a domain answers one that is wrong.
func (n *Node) acceptChallenge(ctx context.Context, body []byte, handed bool) (fresh bool, err error) {
	c, err := pki.ParseChallenge(body)
	if err != nil || n.revoked(c.Name(), c.Key().Fingerprint()) {
		return false, err
	}
	if held, err := n.holdsChallenge(ctx, c); held || err != nil {
		return false, err
	}
	known, err := n.known(ctx, c.Domain())
	if err != nil {
		return false, err
	}
	if err := c.Check(known, time.Now()); err != nil {
		return false, n.otherKey(c.Domain(), err)
	}
	leaf, err := n.statementLeaf(ctx, keylog.Challenge, c.Name(), body, handed)
	if err != nil {
		return false, err
	}
	fresh, err = n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementChallenge), Issuer: c.Domain().String(), ID: c.Says(), Serial: uint64(c.Issued.Unix()), Ends: c.Ends(),
		Raw: body, Entry: leaf,
	}, n.room(c.Domain(), maxChallenges, maxChallengeBytes))
	if fresh {
		n.noteLeaf(ctx, c.Domain(), leaf)
	}
	if fresh && c.Domain() == n.cfg.Domain {
		n.note(ctx, c.Domain(), EventObject, "one of its users says that an entry of the key log for her name is not by her; end her name if it is another's now")
	}
	return fresh, err
}

// holdsChallenge tells whether one that says the same is known, and not old enough to give way.
func (n *Node) holdsChallenge(ctx context.Context, c pki.Challenge) (bool, error) {
	held, err := n.store.Statement(ctx, uint8(pki.StatementChallenge), c.Domain().String(), c.Says())
	return err == nil && c.Issued.Unix() < int64(held.Serial)+int64(challengePace/time.Second), notFoundIsNil(err)
}

// handedChallenge takes a challenge from whoever is connected, as handedIn takes a revocation.
func (n *Node) handedChallenge(ctx context.Context, from net.Addr, raw []byte) error {
	c, err := pki.ParseChallenge(raw)
	if err != nil {
		return session.Errorf(session.BadRequest, "the challenge is malformed: %v", err)
	}
	known, err := n.known(ctx, c.Domain())
	if errors.Is(err, errUnknownDomain) {
		return session.Errorf(session.NotFound, "no server of %s is known here", c.Domain())
	}
	if err != nil {
		return err
	}
	if why := n.ended(c.Name(), c.Key().Fingerprint()); why != "" {
		return session.Errorf(session.Refused, "%s", why)
	}
	if err := c.Check(known, time.Now()); err != nil {
		return session.Errorf(session.Refused, "the challenge does not hold here: %v", err)
	}
	if held, err := n.holdsChallenge(ctx, c); held || err != nil {
		return err
	}
	if !n.objecting.take(from, c.Name(), time.Now()) {
		return session.Errorf(session.Unavailable, "%s was handed many challenges just now; try another server", n.cfg.Domain)
	}
	_, err = n.spreadIf(n.acceptChallenge(ctx, raw, true))
	if errors.Is(err, store.ErrFull) {
		return session.Errorf(session.Full, "%s has no room for more challenges of %s", n.cfg.Domain, c.Domain())
	}
	return err
}
