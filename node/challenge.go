package node

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

const (
	// maxChallenges is how many challenges there may be of the users of one domain, and maxChallengesOf of
	// one name: of each key, under each of its names, one.
	maxChallenges   = 1024
	maxChallengesOf = 8
	// challengePace is how much later than the one whose place it takes a challenge must be issued.
	// So a user, or who has stolen her key, makes one leaf a day of them.
	challengePace = 24 * time.Hour
	// sweptAtOnce is how many challenges are looked at in each round of what a node tends to.
	sweptAtOnce = 512
)

// objections are what bounds challenges that are handed in: under names that we know, and under others.
type objections struct {
	known, others *intake
	swept         store.Statement // that was looked at last by sweepChallenges; tend's alone
}

func newObjections(own pki.Domain) objections {
	return objections{known: newIntake(own), others: newIntake(own)}
}

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
	heard, err := n.meets(ctx, c)
	if err != nil {
		return false, err
	}
	account, room := n.challengeRoom(c, heard)
	fresh, err = n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementChallenge), Issuer: account, ID: c.Says(), Serial: uint64(c.Issued.Unix()), Ends: c.Ends(),
		Raw: body, Entry: leaf, Once: true,
	}, room)
	if fresh {
		n.noteLeaf(ctx, c.Domain(), leaf)
	}
	if fresh && c.Domain() == n.cfg.Domain {
		n.note(ctx, c.Domain(), EventObject, "one of its users says that an entry of the key log for her name is not by her; end her name if it is another's now")
	}
	return fresh, err
}

// meets tells whether there is somebody of the name: we have a card of it, or who objects is logged in here.
func (n *Node) meets(ctx context.Context, c pki.Challenge) (bool, error) {
	if len(n.lobby.linksOf(c.Key().Fingerprint())) > 0 {
		return true, nil
	}
	_, err := n.store.User(ctx, c.Name().String())
	if errors.Is(err, store.ErrNotFound) {
		_, err = n.copiesOf(ctx, keyserver.Subject{Name: c.Name()})
	}
	return err == nil, notFoundIsNil(err)
}

// challengeRoom is on whose account a challenge is kept, its name's, and how much room there is: those
// of names that we know have that of the domain before all others.
func (n *Node) challengeRoom(c pki.Challenge, known bool) (account string, room store.Room) {
	const ofKnown, ofOthers, beyond = "!", "\"", "#" // in this order, and in no domain
	domain := c.Domain().String()
	room = n.room(c.Domain(), maxChallengesOf, maxChallengeBytes)
	room.Shared = &store.Shared{First: domain + ofKnown, Lesser: domain + ofOthers, Last: domain + beyond, Most: maxChallenges}
	local, _, _ := strings.Cut(c.Name().String(), "@")
	if known {
		return domain + ofKnown + local, room
	}
	return domain + ofOthers + local, room
}

// holdsChallenge tells whether one that says the same is known, and not old enough to give way.
func (n *Node) holdsChallenge(ctx context.Context, c pki.Challenge) (bool, error) {
	held, err := n.store.StatementByID(ctx, uint8(pki.StatementChallenge), c.Says())
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
	heard, err := n.meets(ctx, c)
	if err != nil {
		return err
	}
	intake := n.objecting.known
	if !heard {
		intake = n.objecting.others
	}
	if !intake.take(from, c.Name(), time.Now()) {
		return session.Errorf(session.Unavailable, "%s was handed many challenges just now; try another server", n.cfg.Domain)
	}
	_, err = n.spreadIf(n.acceptChallenge(ctx, raw, true))
	if errors.Is(err, store.ErrFull) {
		return session.Errorf(session.Full, "%s has no room for more challenges of %s", n.cfg.Domain, c.Domain())
	}
	return err
}

// objected takes a challenge that came through the mesh, and returns the one that is held then of its key
// under its name; none if that is none.
func (n *Node) objected(ctx context.Context, raw []byte) ([]byte, error) {
	c, err := pki.ParseChallenge(raw)
	if err != nil {
		return nil, nil
	}
	var refused *session.Error
	if err := n.handedChallenge(ctx, nil, raw); err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	held, err := n.store.StatementByID(ctx, uint8(pki.StatementChallenge), c.Says())
	return held.Raw, notFoundIsNil(err)
}

// sweepChallenges forgets some of those whose key, or the name for it, has ended: those of the round before are
// not looked at again before all others were. What has run out goes with all else that has.
func (n *Node) sweepChallenges(ctx context.Context) error {
	some, err := n.store.StatementsFrom(ctx, uint8(pki.StatementChallenge), n.objecting.swept, sweptAtOnce)
	if err != nil {
		return err
	}
	for _, s := range some {
		c, err := pki.ParseChallenge(s.Raw)
		if err == nil && n.ended(c.Name(), c.Key().Fingerprint()) != "" {
			if err := n.store.DropStatement(ctx, s.Kind, s.Issuer, s.ID); err != nil {
				return err
			}
		}
	}
	if n.objecting.swept = (store.Statement{}); len(some) == sweptAtOnce {
		n.objecting.swept = some[len(some)-1]
	}
	return nil
}
