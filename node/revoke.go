package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// handedIn takes a revocation from whoever is connected, logged in or not, by the same rules as
// from a peer: it says itself who may make it. What is known already is taken again. New ones
// are bounded by [intake].
func (n *Node) handedIn(ctx context.Context, from net.Addr, raw []byte) error {
	r, err := pki.ParseRevocation(raw)
	if err != nil {
		return session.Errorf(session.BadRequest, "the revocation is malformed: %v", err)
	}
	known, err := n.known(ctx, r.Domain())
	if errors.Is(err, errUnknownDomain) {
		return session.Errorf(session.NotFound, "no server of %s is known here", r.Domain())
	}
	if err != nil {
		return err
	}
	if err := r.Check(known); err != nil {
		return session.Errorf(session.Refused, "the revocation does not hold here: %v", err)
	}
	if held, err := n.holds(ctx, r); held || err != nil {
		return err
	}
	if !n.endings.take(from, r.Name(), time.Now()) {
		return session.Errorf(session.Unavailable, "%s was handed many revocations just now; try another server", n.cfg.Domain)
	}
	_, err = n.spreadIf(n.acceptRevocation(ctx, raw, true))
	if errors.Is(err, store.ErrFull) {
		return session.Errorf(session.Full, "%s has no room for more revocations of %s", n.cfg.Domain, r.Domain())
	}
	return err
}

// holds tells whether what r ends has ended here already.
func (n *Node) holds(ctx context.Context, r pki.Revocation) (bool, error) {
	_, err := n.store.Statement(ctx, uint8(pki.StatementRevocation), r.Domain().String(), r.Ends())
	return err == nil, notFoundIsNil(err)
}

// ended says why a key is of no use any more under a name; nothing if it is.
func (n *Node) ended(name pki.Name, key pki.Fingerprint) string {
	switch {
	case n.beliefs.keyRevoked(key):
		return fmt.Sprintf("the key of %s was revoked", name)
	case n.revoked(name, key):
		return fmt.Sprintf("%s has ended the name %s", name.Domain(), name)
	}
	return ""
}

// roomFor is how many revocations of a domain there may be for one more to be kept. Keys that users
// end, and names that the domain does, have room of their own: neither takes from the other's. A
// domain can make up users, and end their keys: so those who are known here, by a record that she
// published or that somebody asked for, have room beyond that; those of our own always.
func (n *Node) roomFor(ctx context.Context, r pki.Revocation) (int, error) {
	keys, names := n.beliefs.ends(r.Domain())
	if r.Scope == pki.NameRevoked {
		return maxRevocations + keys, nil
	}
	known, err := n.store.User(ctx, r.Name().String())
	switch {
	case err != nil || known.Fingerprint != r.Key().Fingerprint():
		return maxRevocations + names, notFoundIsNil(err)
	case r.Domain() == n.cfg.Domain:
		return math.MaxInt, nil
	}
	return 2*maxRevocations + names, nil
}

// statementLeaf is what our log is told of a revocation or a challenge: those of our own users, and
// those of others' that were handed in here while their home is not linked with us, so that they have a
// place in the open though it is dead. There are no more of these than of the statements themselves.
func (n *Node) statementLeaf(ctx context.Context, kind keylog.Kind, name pki.Name, raw []byte, handed bool) (*store.Entry, error) {
	if name.Domain() == n.cfg.Domain {
		return n.ledger.Said(kind, name, raw), nil
	}
	if !handed {
		return nil, nil
	}
	linked, err := n.linked(ctx)
	if err != nil || linked[name.Domain()] {
		return nil, err
	}
	return n.ledger.Said(kind, name, raw), nil
}

// noteLeaf has a leaf sealed, and tells the operator of one for another domain.
func (n *Node) noteLeaf(ctx context.Context, of pki.Domain, e *store.Entry) {
	if e == nil {
		return
	}
	n.ledger.Again()
	if of != n.cfg.Domain {
		n.note(ctx, of, EventStandIn, fmt.Sprintf("its server is not there: a %s of one of its users was handed in here, and is in our key log", keylog.Kind(e.Kind)))
	}
}

// spreadIf tells all peers of what was accepted, if it is new.
func (n *Node) spreadIf(fresh bool, err error) (bool, error) {
	if fresh {
		n.tell()
	}
	return fresh, err
}

// drop takes out of the store what is of no use any more. With a key go its mailboxes, and what
// waits in them: nobody can fetch it. With a name go its card and certificate; what waits is the
// key's, which may have another name or get one.
func (n *Node) drop(ctx context.Context, r pki.Revocation) error {
	key := r.Key().Fingerprint()
	if err := n.dropCopies(ctx, r); err != nil {
		return err
	}
	if r.Scope == pki.NameRevoked {
		_, err := n.store.DropKey(ctx, r.Name().String(), key, n.ledger.Ended)
		return err
	}
	_, err := n.store.DropKey(ctx, "", key, n.ledger.Ended)
	if err == nil {
		_, err = n.store.CloseMailboxes(ctx, key)
	}
	return err
}

// dropCopies drops the copies of a peer's user whose key, or name, has ended.
func (n *Node) dropCopies(ctx context.Context, r pki.Revocation) error {
	key := keyserver.CopyID(keyserver.Subject{Key: r.Key().Fingerprint()})
	if r.Scope == pki.NameRevoked {
		name := keyserver.CopyID(keyserver.Subject{Name: r.Name()})
		return n.store.DropCopies(ctx, key, &name)
	}
	return n.store.DropCopies(ctx, key, nil)
}

// inherit gives a name, whose key was revoked or which has ended for it, to the key of request;
// its operator has agreed to that. A name whose key is good stays that key's. It returns whose
// the name is.
func (n *Node) inherit(ctx context.Context, request pki.UserRequest, from [32]byte) ([32]byte, error) {
	key := request.Key().Fingerprint()
	if key == from || !n.revoked(request.Name(), from) {
		return from, nil
	}
	return key, n.store.SetPin(ctx, from, store.Pin{Kind: pinUser, Subject: request.Name().String(), Key: key})
}

// invitedFor tells whether an invitation is for that very name, and not for any that is free.
func (n *Node) invitedFor(ctx context.Context, name pki.Name, invite []byte) bool {
	if len(invite) != invitation.TokenSize {
		return false
	}
	i, err := n.store.Invitation(ctx, sha256.Sum256(invite))
	return err == nil && i.Name == name.String()
}
