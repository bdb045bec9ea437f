package node

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// maxMoves is how many moves there are for one domain: from its names, one of each for each key
// that had it. What is more is refused. A move is kept for ever, or until a newer one from that
// name.
const maxMoves = 4096

// acceptMove keeps that a user has another name, the newest from each name that she had. Of a key
// that was revoked it takes none; those that it has are held against that revocation by whoever
// reads them.
func (n *Node) acceptMove(ctx context.Context, body []byte) (fresh bool, err error) {
	m, err := pki.ParseMove(body)
	if err != nil || n.beliefs.keyRevoked(m.Key().Fingerprint()) {
		return false, err
	}
	if held, err := n.holdsMove(ctx, m); held || err != nil {
		return false, err
	}
	if held, err := n.holdsMove(ctx, m); held || err != nil {
		return false, err
	}
	if err := n.checkMove(ctx, m); err != nil {
		return false, err
	}
	return n.store.AddStatement(ctx, moveRow(m), n.room(m.From().Domain(), maxMoves, maxMoveBytes))
}

func moveRow(m pki.Move) store.Statement {
	return store.Statement{
		Kind: uint8(pki.StatementMove), Issuer: m.From().Domain().String(), ID: m.Leaves(), Serial: m.Serial, Raw: m.Raw(),
	}
}

// checkMove holds a move against the authorities of both homes. Neither is asked: one may be gone,
// and the other has nothing to say about whom it has certified.
func (n *Node) checkMove(ctx context.Context, m pki.Move) error {
	from, err := n.known(ctx, m.From().Domain())
	if err != nil {
		return err
	}
	to, err := n.known(ctx, m.To().Domain())
	if err != nil {
		return err
	}
	err = m.Check(from, to)
	for _, domain := range []pki.Domain{m.From().Domain(), m.To().Domain()} {
		if err != nil && domain != n.cfg.Domain && !errors.Is(err, errUnknownDomain) {
			err = n.otherKey(domain, err)
		}
	}
	return err
}

// handedMove takes a move from whoever is connected, logged in or not, as handedIn takes a
// revocation: so an old home that is dead, or will not let her go, stops nobody.
func (n *Node) handedMove(ctx context.Context, from net.Addr, raw []byte) error {
	m, err := pki.ParseMove(raw)
	if err != nil {
		return session.Errorf(session.BadRequest, "the move is malformed: %v", err)
	}
	if n.beliefs.keyRevoked(m.Key().Fingerprint()) {
		return session.Errorf(session.Refused, "the key of %s was revoked", m.From())
	}
	if held, err := n.holdsMove(ctx, m); held || err != nil {
		return err
	}
	if err := n.checkMove(ctx, m); errors.Is(err, errUnknownDomain) {
		return session.Errorf(session.NotFound, "%s does not know the servers of %s and %s", n.cfg.Domain, m.From().Domain(), m.To().Domain())
	} else if err != nil {
		return session.Errorf(session.Refused, "the move does not hold here: %v", err)
	}
	if !n.movings.take(from, m.From().Domain(), time.Now()) {
		return session.Errorf(session.Unavailable, "%s was handed many moves just now; try another server", n.cfg.Domain)
	}
	_, err = n.accept(ctx, m.Statement().Marshal())
	if errors.Is(err, store.ErrFull) {
		return session.Errorf(session.Full, "%s has no room for more moves from %s", n.cfg.Domain, m.From().Domain())
	}
	return err
}

// holdsMove tells whether that move, or a newer one from that name, is known.
func (n *Node) holdsMove(ctx context.Context, m pki.Move) (bool, error) {
	row := moveRow(m)
	held, err := n.store.Statement(ctx, row.Kind, row.Issuer, row.ID)
	return err == nil && held.Serial >= m.Serial, notFoundIsNil(err)
}
