package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	cryptorand "crypto/rand"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// pinUser is the kind of a pin of one of our users' identity keys: a name is taken by the
// first key that asked for it.
const pinUser = "user"

// desk is what we do for whoever is at the other end of a user link.
func (n *Node) desk(conn *link.Conn) *session.Desk {
	register := func(ctx context.Context, request, invite []byte) ([]byte, error) {
		return n.register(ctx, conn.RemoteAddr(), request, invite)
	}
	var home foreignHome // of the visitor who is logged in; logins, and what is done by it, come one by one
	authenticate := func(ctx context.Context, l session.Login, exported [pki.ExporterSize]byte) (pki.UserCert, session.HomeView, error) {
		if l.Name.Domain() == n.cfg.Domain {
			user, known, err := n.authenticate(ctx, l, exported)
			return n.welcome(ctx, conn, user, known, session.HomeView{Domain: n.cfg.Domain, Path: session.PathHome, Online: true}, err)
		}
		user, known, foreign, err := n.visit(ctx, conn.RemoteAddr(), l, exported)
		if err != nil {
			return user, session.HomeView{}, err
		}
		home = foreign
		return n.welcome(ctx, conn, user, known, n.view(ctx, guest(user.Key().Fingerprint(), conn.RemoteAddr()), user, foreign), nil)
	}
	publish := func(ctx context.Context, user pki.UserCert, card []byte) error {
		if user.Name().Domain() != n.cfg.Domain {
			return n.publishVisitor(ctx, home.ca, user, card)
		}
		return n.publish(ctx, user, card)
	}
	lookup := func(ctx context.Context, name pki.Name) (session.Found, error) {
		return n.lookup(ctx, n.askerOn(conn), name)
	}
	items := func(ctx context.Context, user pki.UserCert, want session.Items) ([]session.Item, error) {
		reader, err := n.readerOn(conn)
		if err != nil {
			return nil, err
		}
		return n.items(ctx, user, reader, want)
	}
	forget := func(ctx context.Context, user pki.UserCert, seqs []int64) error {
		reader, err := n.readerOn(conn)
		if err != nil {
			return err
		}
		return n.store.ForgetFor(ctx, user.Key().Fingerprint(), reader, seqs...)
	}
	return &session.Desk{
		Domain: n.cfg.Domain, Pace: n.cfg.Cover.shape().users, Register: register, Authenticate: authenticate, Publish: publish,
		Directory: n.directory.page, Lookup: lookup, Claim: n.claim, Items: items, Forget: forget,
		Submit: n.submit, Statements: n.statements,
		Revoke:    func(ctx context.Context, raw []byte) error { return n.handedIn(ctx, conn.RemoteAddr(), raw) },
		Entries:   n.entries,
		Challenge: func(ctx context.Context, raw []byte) error { return n.handedChallenge(ctx, conn.RemoteAddr(), raw) },
		Move:      func(ctx context.Context, raw []byte) error { return n.handedMove(ctx, conn.RemoteAddr(), raw) },
	}
}

// welcome makes conn a link of user.
func (n *Node) welcome(ctx context.Context, conn *link.Conn, user pki.UserCert, known onDevice, home session.HomeView, err error) (pki.UserCert, session.HomeView, error) {
	if err != nil {
		return pki.UserCert{}, session.HomeView{}, err
	}
	if gone := n.lobby.enter(conn, user.Key().Fingerprint(), home.Path != session.PathHome); gone != nil {
		gone.Close()
	}
	err = n.unrevoked(user) // since it was judged, and before we were in the lobby
	switch {
	case err == nil && known.none():
		err = n.noteHeld(ctx, user.Key())
	case err == nil:
		err = n.stillListed(ctx, conn, known)
	}
	if err == nil && home.Path == session.PathHome && known.none() {
		home.Devices, err = n.seenDevices(ctx, user.Key().Fingerprint())
	}
	if err != nil {
		conn.Close()
		return pki.UserCert{}, session.HomeView{}, err
	}
	return user, home, nil
}

// How many new names a node gives away while registration is open: that many at once, and
// one more each interval. It keeps a stranger from filling the key ring in an afternoon.
const (
	newcomersAtOnce = 100
	newcomerEvery   = 10 * time.Second
)

// A bucket holds what may be taken at once, and is filled by time. It begins full.
type bucket struct {
	atOnce int
	every  time.Duration // one more

	mu    sync.Mutex // guards empty
	empty time.Time  // when it was, counted back from now
}

// take is false if the bucket is empty, or too little is in it, or also says no: then nothing
// is taken.
func (b *bucket) take(now time.Time, also func() bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-time.Duration(b.atOnce) * b.every); b.empty.Before(full) {
		b.empty = full
	}
	if now.Sub(b.empty) < b.every || !also() {
		return false
	}
	b.empty = b.empty.Add(b.every)
	return true
}

// full tells whether all that there may be is in it.
func (b *bucket) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.empty) >= time.Duration(b.atOnce)*b.every
}

// statements is a page of what we hold.
func (n *Node) statements(ctx context.Context, since int64) (session.Stated, error) {
	raws, last, more, err := n.statementsAfter(ctx, since, session.MaxStatements)
	return session.Stated{Statements: raws, Last: last, More: more}, err
}

// register signs the key of a new user, or of a known one anew.
func (n *Node) register(ctx context.Context, from net.Addr, raw, invite []byte) ([]byte, error) {
	request, err := pki.ParseUserRequest(raw)
	switch {
	case err != nil:
		return nil, session.Errorf(session.BadRequest, "the request is malformed: %v", err)
	case request.Name().Domain() != n.cfg.Domain:
		return nil, session.Errorf(session.Refused, "%s may not sign for %s", n.cfg.Domain, request.Name().Domain())
	}
	if err := n.reserve(ctx, from, request, invite); err != nil {
		return nil, err
	}
	cert, err := n.authority().SignUser(cryptorand.Reader, time.Now(), request, n.cfg.certify())
	if err != nil {
		return nil, fmt.Errorf("node: signing a user's key: %w", err)
	}
	return cert.DER(), n.published.PublishCertificate(ctx, cert)
}

// reserve gives a name to the key that asks for it first. While registration is closed,
// only keys that have their name already are signed again, and who shows an invitation.
func (n *Node) reserve(ctx context.Context, from net.Addr, request pki.UserRequest, invite []byte) error {
	name, shown := request.Name().String(), request.Key().Fingerprint()
	if why := n.ended(request.Name(), shown); why != "" {
		return session.Errorf(session.Refused, "%s", why)
	}
	pinned, err := n.store.Pinned(ctx, pinUser, name)
	if errors.Is(err, store.ErrNotFound) {
		if err := n.admitUser(ctx, invite, request); err != nil {
			return err
		}
		if now := time.Now(); len(invite) == 0 && !n.mayTake(from, now) {
			return session.Errorf(session.Unavailable, "%s has had many new users just now; try again later", n.cfg.Domain)
		}
		pinned, _, err = n.store.Pin(ctx, pinUser, name, shown)
	} else if err == nil && n.revoked(request.Name(), pinned) && n.invitedFor(ctx, request.Name(), invite) {
		if err := n.admitUser(ctx, invite, request); err != nil {
			return err
		}
		pinned, err = n.inherit(ctx, request, pinned)
	}
	switch {
	case errors.Is(err, store.ErrFull):
		return session.Errorf(session.Full, "%s has no room for more users", n.cfg.Domain)
	case err != nil:
		return err
	case pki.CheckPin(pinned, shown, name) != nil && pki.Fingerprint(pinned) != (pki.Fingerprint{}):
		return session.Errorf(session.Refused, "the name %s is taken", name)
	}
	return nil
}

// authenticate judges a login: a certificate of ours, and a proof over this very link.
func (n *Node) authenticate(ctx context.Context, l session.Login, exported [pki.ExporterSize]byte) (pki.UserCert, onDevice, error) {
	known, err := n.ownListing(ctx, &l, exported)
	if err != nil {
		return pki.UserCert{}, onDevice{}, err
	}
	cert, err := n.ownIssuers(ctx).verifyUser(l.Certificate, time.Now())
	switch {
	case err != nil && n.misissued(l) != nil:
		return pki.UserCert{}, onDevice{}, n.misissued(l)
	case err != nil:
		return pki.UserCert{}, onDevice{}, session.Errorf(session.Refused, "the certificate is not good here: %v", err)
	case cert.Name() != l.Name || !proven(l, cert.Key(), exported):
		return pki.UserCert{}, onDevice{}, session.Errorf(session.Refused, "the proof is not good on this link")
	}
	return cert, known, n.unrevoked(cert)
}

// unrevoked refuses a certificate whose name or key was revoked.
func (n *Node) unrevoked(cert pki.UserCert) error {
	if why := n.ended(cert.Name(), cert.Key().Fingerprint()); why != "" {
		return session.Errorf(session.Refused, "%s", why)
	}
	return nil
}

// publish takes a user's own card: into the key ring and onto the key server at once.
func (n *Node) publish(ctx context.Context, user pki.UserCert, raw []byte) error {
	card, err := n.ownIssuers(ctx).verifyCard(raw, time.Now())
	switch {
	case err != nil:
		return session.Errorf(session.BadRequest, "the card is not good: %v", err)
	case card.Certificate.Name() != user.Name() || card.Certificate.Key() != user.Key():
		return session.Errorf(session.Refused, "the card is somebody else's")
	}
	if err := n.mayPublish(ctx, card); err != nil {
		return err
	}
	err = n.published.PublishCard(ctx, card)
	switch {
	case errors.Is(err, store.ErrOldSerial):
		return session.Errorf(session.Refused, "a newer card of yours is published already")
	case err != nil:
		return err
	}
	return n.noteDevices(ctx, card)
}

func (n *Node) lookup(ctx context.Context, who asker, name pki.Name) (session.Found, error) {
	card, copied, err := n.card(ctx, who, name)
	var bad *badCardError
	if errors.As(err, &bad) {
		return session.Found{Card: bad.card}, nil
	}
	if err != nil || copied { // what we can prove ourselves, since her home gave us a copy
		var proof []byte
		if err == nil {
			proof = n.published.HeldProof(ctx, name, pki.Fingerprint{}, card.Raw(), keylog.MaxProofSize)
		}
		return session.Found{Card: card.Raw(), Proof: proof, Away: copied}, err
	}
	return session.Found{Card: card.Raw(), Proof: n.shownProof(ctx, who, card)}, nil
}

func (n *Node) claim(ctx context.Context, user pki.UserCert, mailboxes []session.Mailbox) error {
	addresses := make([]store.Address, len(mailboxes))
	for i, m := range mailboxes {
		switch m.Kind {
		case session.Requests, session.Contact, session.Replies, session.Invitation:
		default:
			return session.Errorf(session.BadRequest, "a mailbox of kind %q", m.Kind)
		}
		addresses[i] = store.Address{Mailbox: m.Address, Kind: store.MailboxKind(m.Kind), UntilDay: m.Until}
	}
	err := n.claimFor(ctx, user, addresses)
	switch {
	case err == nil: // she may have had nothing here before
		return n.noteHeld(ctx, user.Key())
	case errors.Is(err, store.ErrOwned):
		return session.Errorf(session.Refused, "a mailbox address is somebody else's")
	case errors.Is(err, store.ErrFull) && user.Name().Domain() != n.cfg.Domain:
		return session.Errorf(session.Full, "%s has no room for more users of other servers", n.cfg.Domain)
	case errors.Is(err, store.ErrFull):
		return session.Errorf(session.Full, "too many mailbox addresses")
	}
	return err
}

// claimFor bounds what users of other homes claim together.
func (n *Node) claimFor(ctx context.Context, user pki.UserCert, addresses []store.Address) error {
	owner, home := user.Key().Fingerprint(), user.Name().Domain()
	if home == n.cfg.Domain {
		return n.store.Claim(ctx, owner, addresses)
	}
	return n.store.ClaimAsVisitor(ctx, owner, home.String(), addresses)
}

// items returns what waits for a reader of a user's mail; if nothing does, it waits for something.
func (n *Node) items(ctx context.Context, user pki.UserCert, reader pki.Fingerprint, want session.Items) ([]session.Item, error) {
	owner := user.Key().Fingerprint()
	timeout := time.NewTimer(want.Wait)
	defer timeout.Stop()
	for {
		rang := n.bells.listen(owner) // before looking, so that nothing comes unheard between
		waiting, err := n.store.ItemsFor(ctx, owner, reader, want.After, session.MaxItems)
		if err != nil || len(waiting) > 0 {
			return itemsOf(waiting), err
		}
		select {
		case <-rang:
		case <-timeout.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func itemsOf(waiting []store.Waiting) []session.Item {
	items := make([]session.Item, len(waiting))
	for i, w := range waiting {
		items[i] = session.Item{Seq: w.Seq, Body: w.Body}
		if w.Kind == itemReply {
			items[i].Reply, items[i].SURB = true, onion.SURBID(w.ID)
		} else {
			items[i].Body = mor.Letter{ID: w.ID, Sealed: [mor.SealedSize]byte(w.Body)}.Marshal()
		}
	}
	return items
}

// submit sends a user's packet on its first leg.
func (n *Node) submit(ctx context.Context, user pki.UserCert, entry onion.Entry) error {
	if err := n.meter(ctx, user); err != nil {
		return err
	}
	err := n.loop.submit(ctx, entry)
	var leg *mor.LegError
	switch {
	case errors.As(err, &leg) && leg.Reason == mor.DropNoRoute:
		return session.Errorf(session.Unavailable, "no way to the first server of the route is known yet")
	case errors.As(err, &leg):
		return session.Errorf(session.Unavailable, "the node is busy")
	}
	return err
}
