package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// byRevoker is the end of a key by the revocation key that it was bound to.
func (u *user) byRevoker() pki.Revocation {
	u.mesh.t.Helper()
	key, err := pki.NewRevocationKey(rand.Reader)
	must(u.mesh.t, err)
	r, err := key.RevokeKey(u.cert, u.key.BindRevoker(key.Public()), time.Now())
	must(u.mesh.t, err)
	return r
}

// obeyed waits until a node has heard of the end of u's name, and refuses her login.
func (u *user) obeyed(home *pki.Authority, domains ...string) {
	u.mesh.t.Helper()
	for _, at := range domains {
		u.mesh.until(at+" to hear that "+u.name.String()+" has ended", func() error {
			if !u.mesh.nodes[at].node.revoked(u.name, u.key.Fingerprint()) {
				return errors.New("it has not")
			}
			return nil
		})
		_, err := u.visit(at, home)
		wantCode(u.mesh.t, err, session.Refused, u.mesh.nodes[at].node.ended(u.name, u.key.Fingerprint()))
	}
}

// Whoever is connected may hand in a revocation, of each kind, with the home dead; it is told to
// all, and a node that joins later hears of it. It lets nobody in any more.
func TestHandedIn(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.line(domains...)
	m.confirmed(domains...)
	users := []*user{m.user("ann@a.test"), m.user("amy@a.test"), m.user("ada@a.test"), m.user("art@a.test")}
	home, root, now := m.authority("a.test"), m.nodes["a.test"].kept.Root, time.Now()
	identity, err := users[0].key.RevokeKey(users[0].cert, now)
	must(t, err)
	offline, err := root.RevokeName(users[2].cert, now)
	must(t, err)
	authority, err := home.RevokeName(users[3].cert, now)
	must(t, err)
	must(t, m.nodes["a.test"].end())
	stranger := m.stranger("nobody@d.test", "d.test")
	for _, r := range []pki.Revocation{identity, users[1].byRevoker(), offline, authority} {
		must(t, stranger.client.Revoke(t.Context(), r.Raw()))
		must(t, stranger.client.Revoke(t.Context(), r.Raw())) // again: nothing more
	}
	for _, u := range users {
		u.obeyed(home, domains[1:]...)
	}
	m.everywhere(pki.StatementRevocation, len(users), domains[1:]...)

	m.add("e.test", nil).start()
	m.peer("e.test", "b.test")
	m.peer("b.test", "e.test")
	for _, u := range users {
		u.obeyed(home, "e.test")
	}
}

// What does not hold is refused, and of new ones only so many are taken.
func TestHandedInRefused(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, amy := m.user("ann@a.test"), m.user("amy@a.test")
	b, now := m.stranger("nobody@b.test", "b.test"), time.Now()
	namesake, err := pki.NewAuthority(rand.Reader, ann.name.Domain(), now)
	must(t, err)
	ends := func(by *pki.Authority, cert []byte) []byte {
		r, err := by.RevokeName(cert, now)
		must(t, err)
		return r.Raw()
	}
	strange, err := pki.NewAuthority(rand.Reader, parse(t, pki.ParseDomain, "x.test"), now)
	must(t, err)
	eve := &user{mesh: m, name: parse(t, pki.ParseName, "eve@x.test"), key: ann.key}
	unknown := ends(strange, certify(t, strange, eve))
	otherRoot, err := m.nodes["b.test"].kept.Root.RevokeName(ann.cert, now)
	must(t, err)
	for _, x := range []struct {
		what string
		raw  []byte
		code session.Code
		text string
	}{
		{"nothing", nil, session.BadRequest, "malformed"},
		{"garbage", bytes.Repeat([]byte{1}, 300), session.BadRequest, "malformed"},
		{"a view", m.held("b.test", pki.StatementView)[0].Raw, session.BadRequest, "malformed"},
		{"by a namesake of the authority", ends(namesake, ann.cert), session.Refused, "does not hold here"},
		{"of a certificate by a namesake", ends(m.authority("a.test"), certify(t, namesake, ann)), session.Refused, "does not hold here"},
		{"by another domain's root", otherRoot.Raw(), session.Refused, "not its offline root"},
		{"of a domain that nobody knows", unknown, session.NotFound, "no server of x.test is known here"},
	} {
		t.Run(x.what, func(t *testing.T) { wantCode(t, b.client.Revoke(t.Context(), x.raw), x.code, x.text) })
	}
	if held := m.held("b.test", pki.StatementRevocation); len(held) > 0 {
		t.Errorf("%d are held", len(held))
	}

	first := ends(m.authority("a.test"), ann.cert)
	must(t, b.client.Revoke(t.Context(), first))
	n := m.nodes["b.test"].node
	_, of := n.endings.buckets(ann.name)
	of.mu.Lock()
	of.empty = time.Now()
	of.mu.Unlock()
	wantCode(t, b.client.Revoke(t.Context(), ends(m.authority("a.test"), amy.cert)), session.Unavailable, "try another server")
	must(t, b.client.Revoke(t.Context(), first)) // which costs nothing
}

// A key that was revoked has no links, no card, no mailboxes and nothing that waits; a name
// that has ended has no card, and what waits stays the key's. Nothing comes back by an old copy,
// by whoever had it, or by a restart.
func TestRevokedHasNothing(t *testing.T) {
	m, ann, home := visiting(t)
	c := m.nodes["c.test"]
	for i, r := range []func() pki.Revocation{
		ann.byRevoker,
		func() pki.Revocation {
			r, err := home.RevokeName(ann.cert, time.Now())
			must(t, err)
			return r
		},
	} {
		scope := pki.Scope(i + 1)
		t.Run(fmt.Sprint(scope), func(t *testing.T) {
			ann.key, _ = pki.NewIdentityKey(rand.Reader) // as if she were somebody else each time
			ann.cert = certify(t, home, ann)
			_, err := ann.visit("c.test", home)
			must(t, err)
			rand.Read(ann.requests[:])
			fp := ann.key.Fingerprint()
			must(t, c.node.store.Claim(t.Context(), fp, []store.Address{{Mailbox: ann.requests, Kind: store.Requests, UntilDay: store.Day(time.Now()) + 1}}))
			deposit := func(id byte) error {
				_, err := c.node.store.Deposit(t.Context(), store.Item{Mailbox: ann.requests, Kind: itemLetter, ID: [16]byte{id}, Body: []byte("letter"), At: time.Now()})
				return err
			}
			must(t, deposit(1))
			card := ann.cardAt(home, 7, "c.test")
			must(t, ann.client.Publish(t.Context(), card.Raw()))
			copied, err := c.node.store.User(t.Context(), ann.name.String())
			must(t, err)

			stranger := m.stranger("nobody@c.test", "c.test")
			must(t, stranger.client.Revoke(t.Context(), r().Raw()))
			<-ann.client.Done()
			look := func() {
				t.Helper()
				ann.obeyed(home, "c.test")
				_, err := (keyserver.Client{Dial: c.node.dial}).User(t.Context(), m.endpoint("c.test"), ann.name)
				wantErr(t, err, keyserver.ErrNotFound)
				_, err = (keyserver.Client{Dial: c.node.dial}).UserByKey(t.Context(), m.endpoint("c.test"), fp)
				wantErr(t, err, keyserver.ErrNotFound)
			}
			look()
			must(t, c.node.store.PutCachedUser(t.Context(), copied)) // by a look-up that was on its way
			look()
			items, err := c.node.store.Items(t.Context(), fp, 0, 10)
			must(t, err)
			if gone := scope == pki.KeyRevoked; gone != (len(items) == 0) || gone != errors.Is(deposit(2), store.ErrNoMailbox) {
				t.Errorf("%d items wait", len(items))
			}
			must(t, c.end())
			c.start()
			look()
			if _, err := c.node.store.User(t.Context(), ann.name.String()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the copy: %v", err)
			}
		})
	}
}

// A node that was killed between keeping a revocation and obeying it obeys when it is back.
func TestKilledBeforeItObeyed(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, a := m.user("ann@a.test"), m.nodes["a.test"]
	r := ann.byRevoker()
	_, err := a.node.store.AddStatement(t.Context(), store.Statement{
		Kind: uint8(pki.StatementRevocation), Issuer: "a.test", ID: r.Ends(), Serial: 1, Raw: r.Raw(),
	}, store.Room{Each: maxRevocations})
	must(t, err)
	must(t, a.end())
	a.start()
	ann.connect("a.test")
	_, err = ann.client.Login(t.Context(), ann.name, ann.cert, ann.key, nil)
	wantCode(t, err, session.Refused, "was revoked")
	if _, err := a.node.store.User(t.Context(), "ann@a.test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("her record: %v", err)
	}
	if _, _, err := a.node.store.Mailbox(t.Context(), ann.requests); !errors.Is(err, store.ErrNoMailbox) {
		t.Errorf("her mailbox: %v", err)
	}
	wantCode(t, ann.register(), session.Refused, "was revoked")
}

// A name whose key was revoked is nobody's until the operator invites somebody for it, or signs
// her key; one whose key is good stays that key's.
func TestNameAfterRevocation(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	invite := func(text string) []byte {
		i, err := a.control.Invite(t.Context(), text, time.Hour)
		must(t, err)
		code, err := invitation.Parse(i.Code)
		must(t, err)
		return code.Token[:]
	}
	ann := m.user("ann@a.test")
	next := m.stranger("ann@a.test", "a.test")
	register := func(invite []byte) error {
		_, err := next.client.Register(t.Context(), requestOf(t, next).DER(), invite)
		return err
	}
	mine := invite("ann")
	wantCode(t, register(mine), session.Refused, "the name ann@a.test is taken")
	r, err := ann.key.RevokeKey(ann.cert, time.Now())
	must(t, err)
	must(t, next.client.Revoke(t.Context(), r.Raw()))
	wantCode(t, register(nil), session.Refused, "the name ann@a.test is taken")
	wantCode(t, register(invite("")), session.Refused, "the name ann@a.test is taken")
	must(t, register(mine))
	must(t, register(nil)) // it is hers now
	ann.connect("a.test")
	wantCode(t, ann.register(), session.Refused, "the key of ann@a.test was revoked")

	other := m.stranger("ann@a.test", "a.test")
	_, err = a.control.SignUser(t.Context(), requestOf(t, other).DER())
	wantText(t, err, "the name ann@a.test is taken by another key")
	_, err = a.control.RevokeUser(t.Context(), "ann@a.test")
	must(t, err)
	_, err = a.control.SignUser(t.Context(), requestOf(t, other).DER())
	must(t, err)
}

// Names that a domain ends and keys that its users end have room of their own, whichever of them are
// many; a user who is known here has room beyond it, and one of our own always.
func TestRoomForRevocations(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann := m.user("ann@a.test")
	name, err := m.authority("a.test").RevokeName(ann.cert, time.Now())
	must(t, err)
	of := func(at string, r pki.Revocation) int {
		t.Helper()
		each, err := m.nodes[at].node.roomFor(t.Context(), r)
		must(t, err)
		return each
	}
	want := func(at string, r pki.Revocation, each int) {
		t.Helper()
		if got := of(at, r); got != each {
			t.Errorf("%s: room for %d, want %d", at, got, each)
		}
	}
	b := m.nodes["b.test"].node.beliefs
	b.mu.Lock()
	b.ended[ann.name.Domain()] = endings{keys: 5, names: 7}
	b.mu.Unlock()
	want("b.test", name, maxRevocations+5)
	want("b.test", ann.byRevoker(), maxRevocations+7)
	want("a.test", ann.byRevoker(), math.MaxInt)
	_, err = (keyserver.Client{Dial: m.nodes["b.test"].node.dial}).User(t.Context(), m.endpoint("b.test"), ann.name)
	must(t, err) // which keeps a copy
	want("b.test", ann.byRevoker(), 2*maxRevocations+7)
	puppet := m.stranger("ann@a.test", "a.test")
	puppet.cert = puppet.certified(m.authority("a.test"), "ann@a.test")
	r, err := puppet.key.RevokeKey(puppet.cert, time.Now())
	must(t, err)
	want("b.test", r, maxRevocations+7)

	b = &beliefs{keys: make(map[pki.Fingerprint]bool), names: make(map[revokedName]bool), ended: make(map[pki.Domain]endings)}
	b.revoke(name)
	b.revoke(r)
	if keys, names := b.ends(ann.name.Domain()); keys != 1 || names != 1 {
		t.Errorf("%d keys and %d names", keys, names)
	}
}
