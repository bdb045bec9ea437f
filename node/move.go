package node

import (
	"context"
	"errors"
	"math"
	"net"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// maxMoves is how many moves there are to the names of one domain, one from each name for each key
// that had it. They are counted for the new home: the old one, which may make names without end,
// would stop all that leave it; the new one stops those at most who come to it. A newer move takes
// the place of the older one from that name, wherever it leads, and always has room.
const maxMoves = 4096

// movePace is the least time between two moves of a key from one name, outside of a lab; and how often
// room is made for moves to one domain.
const movePace = time.Minute

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
	if err := n.checkMove(ctx, m); err != nil {
		return false, err
	}
	if left := n.moved.take(m.Leaves(), time.Now(), n.cfg.movePace()); left > 0 {
		return false, &tooSoonError{"a move from " + m.From().Domain().String(), left}
	}
	return n.keepMove(ctx, m)
}

// keepMove keeps a move that is true; where there is no room, it makes some, but not too often.
func (n *Node) keepMove(ctx context.Context, m pki.Move) (fresh bool, err error) {
	to := m.To().Domain()
	fresh, err = n.store.AddStatement(ctx, moveRow(m), n.room(to, maxMoves, maxMoveBytes))
	if errors.Is(err, store.ErrFull) && n.swept.take(to, time.Now(), movePace) == 0 {
		if err = n.dropMoves(ctx, to); err == nil {
			fresh, err = n.store.AddStatement(ctx, moveRow(m), n.room(to, maxMoves, maxMoveBytes))
		}
	}
	return fresh, err
}

// left tells whether who has a key has left a name, and the last of the moves by which she did; by
// the rules of [pki.Follow].
func (n *Node) left(ctx context.Context, name pki.Name, key pki.IdentityPublic) (last pki.Move, left bool, err error) {
	at := name
	for range pki.MaxMoves {
		row, err := n.store.StatementByID(ctx, uint8(pki.StatementMove), pki.Leaving(at, key))
		if err != nil || row.Serial <= last.Serial {
			return last, at != name, notFoundIsNil(err)
		}
		if last, err = pki.ParseMove(row.Raw); err != nil {
			return last, false, err
		}
		at = last.To()
	}
	return last, at != name, nil
}

// dropMoves makes room: it forgets the moves of keys that were revoked, and those to names that their
// home has ended, unless the key went on from there.
func (n *Node) dropMoves(ctx context.Context, to pki.Domain) error {
	rows, err := n.store.StatementsOf(ctx, uint8(pki.StatementMove), to.String())
	for _, row := range rows {
		m, err := pki.ParseMove(row.Raw)
		if err != nil {
			return err
		}
		if idle, err := n.idle(ctx, m); err != nil {
			return err
		} else if !idle {
			continue
		}
		if err := n.store.DropStatement(ctx, row.Kind, row.Issuer, row.ID); err != nil {
			return err
		}
	}
	return err
}

// idle tells whether a move is of no use any more.
func (n *Node) idle(ctx context.Context, m pki.Move) (bool, error) {
	key := m.Key().Fingerprint()
	if n.beliefs.keyRevoked(key) || !n.revoked(m.To(), key) {
		return n.beliefs.keyRevoked(key), nil
	}
	_, err := n.store.StatementByID(ctx, uint8(pki.StatementMove), pki.Leaving(m.To(), m.Key()))
	return errors.Is(err, store.ErrNotFound), notFoundIsNil(err)
}

func moveRow(m pki.Move) store.Statement {
	return store.Statement{
		Kind: uint8(pki.StatementMove), Issuer: m.To().Domain().String(), ID: m.Leaves(), Serial: m.Serial, Raw: m.Raw(), Once: true,
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
	if !n.movings.take(from, m.From(), time.Now()) {
		return session.Errorf(session.Unavailable, "%s was handed many moves just now; try another server", n.cfg.Domain)
	}
	_, err = n.accept(ctx, m.Statement().Marshal())
	var soon *tooSoonError
	switch {
	case errors.Is(err, store.ErrFull):
		return session.Errorf(session.Full, "%s has no room for more moves to %s", n.cfg.Domain, m.To().Domain())
	case errors.As(err, &soon):
		return session.Errorf(session.Unavailable, "%s moved just now; wait %d s", m.From(), int(math.Ceil(soon.left.Seconds())))
	}
	return err
}

// holdsMove tells whether that move, or a newer one from that name, is known.
func (n *Node) holdsMove(ctx context.Context, m pki.Move) (bool, error) {
	held, err := n.store.StatementByID(ctx, uint8(pki.StatementMove), m.Leaves())
	return err == nil && held.Serial >= m.Serial, notFoundIsNil(err)
}
