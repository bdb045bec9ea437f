package node

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// object is a challenge by u's key.
func (u *user) object(at time.Time) pki.Challenge {
	u.mesh.t.Helper()
	c, err := u.key.Challenge(u.cert, [32]byte{9}, at)
	must(u.mesh.t, err)
	return c
}

// Whoever is connected may hand in a challenge, at any node, and it is told to all; it is a leaf of the
// home's log. Of one key under one name there is one, and another after a day.
func TestChallengeHandedIn(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test"}
	m := newMesh(t, domains...)
	m.line(domains...)
	m.confirmed(domains...)
	ann, now := m.user("ann@a.test"), time.Now()
	stranger := m.stranger("nobody@c.test", "c.test")
	c := ann.object(now.Add(-48 * time.Hour))
	must(t, stranger.client.Challenge(t.Context(), c.Raw()))
	must(t, stranger.client.Challenge(t.Context(), ann.object(now.Add(-25*time.Hour)).Raw())) // taken, and nothing new
	m.everywhere(pki.StatementChallenge, 1, domains...)
	is := func(of []byte) error {
		held, err := m.nodes["a.test"].node.store.Statement(t.Context(), uint8(pki.StatementChallenge), "a.test", c.Says())
		if err == nil && string(held.Raw) != string(of) {
			err = errors.New("it is another one")
		}
		return err
	}
	must(t, is(c.Raw()))
	newer := ann.object(now.Add(-time.Hour))
	must(t, stranger.client.Challenge(t.Context(), newer.Raw()))
	m.until("the newer one to take the place of the older", func() error { return is(newer.Raw()) })
	leaves := 0
	for _, leaf := range m.nodes["a.test"].leaves(t) {
		if leaf.Kind == keylog.Challenge {
			leaves++
		}
	}
	if leaves != 2 {
		t.Errorf("%d leaves", leaves)
	}
}

// Nobody objects for another one, or with a key that has ended, or in advance; of one domain there are
// so many, and whoever hands in many is told to wait.
func TestChallengeRefused(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, bob, now := m.user("ann@a.test"), m.user("bob@a.test"), time.Now()
	b := m.stranger("nobody@b.test", "b.test")
	hand := func(c pki.Challenge) error { return b.client.Challenge(t.Context(), c.Raw()) }
	wantCode(t, hand(ann.object(now.Add(time.Hour))), session.Refused, "")
	wantCode(t, hand(ann.object(now.Add(-pki.ChallengeLifetime-time.Hour))), session.Refused, "")
	wantCode(t, b.client.Challenge(t.Context(), ann.object(now).Raw()[1:]), session.BadRequest, "")
	forged, err := pki.NewAuthority(rand.Reader, ann.name.Domain(), now)
	must(t, err)
	request, err := pki.NewUserRequest(rand.Reader, bob.key, ann.name)
	must(t, err)
	cert, err := forged.SignUser(rand.Reader, now, request, pki.UserLifetime)
	must(t, err)
	wrong, err := bob.key.Challenge(cert.DER(), [32]byte{}, now)
	must(t, err)
	wantCode(t, hand(wrong), session.Refused, "")
	_, err = m.nodes["a.test"].control.RevokeUser(t.Context(), "bob@a.test")
	must(t, err)
	m.until("b.test to obey that the name has ended", func() error {
		if !m.nodes["b.test"].node.revoked(bob.name, bob.key.Fingerprint()) {
			return errors.New("it does not")
		}
		return nil
	})
	wantCode(t, hand(bob.object(now)), session.Refused, "")
	for i := range maxChallenges {
		_, err := m.nodes["b.test"].node.store.AddStatement(t.Context(), store.Statement{
			Kind: uint8(pki.StatementChallenge), Issuer: "a.test", ID: [32]byte{byte(i), byte(i >> 8), 1}, Serial: 1, Ends: now.Add(time.Hour), Raw: []byte("one"),
		}, store.Room{Each: maxChallenges})
		must(t, err)
	}
	wantCode(t, hand(ann.object(now)), session.Full, "")
}
