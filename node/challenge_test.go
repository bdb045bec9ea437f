package node

import (
	"crypto/rand"
	"errors"
	"fmt"
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
		held, err := m.nodes["a.test"].node.store.StatementByID(t.Context(), uint8(pki.StatementChallenge), c.Says())
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
}

// What comes through the mesh is judged as what comes over a session, and answered by the challenge that is held
// then; who sends what does not hold is told nothing.
func TestChallengeThroughTheMesh(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, bob, now := m.user("ann@a.test"), m.user("bob@a.test"), time.Now()
	b := m.nodes["b.test"].node
	hand := func(raw []byte, want []byte) {
		t.Helper()
		if held, err := b.objected(t.Context(), raw); err != nil || string(held) != string(want) {
			t.Errorf("%d bytes are held, want %d: %v", len(held), len(want), err)
		}
	}
	first := ann.object(now.Add(-time.Hour))
	hand(first.Raw(), first.Raw())
	hand(ann.object(now).Raw(), first.Raw()) // within a day
	hand([]byte("none"), nil)
	hand(bob.object(now.Add(time.Hour)).Raw(), nil)
	m.everywhere(pki.StatementChallenge, 1, "a.test", "b.test")
}

// The rooms of a domain, and of a name, are for those of whom a card is known here: names and keys that were made
// up for it take no place from them, and a name that has many gives way to one that has none.
func TestChallengeRooms(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, bob, now := m.user("ann@a.test"), m.user("bob@a.test"), time.Now()
	b := m.nodes["b.test"].node
	eve := m.stranger("nobody@b.test", "b.test")
	m.copiedAt(ann, "b.test") // so that it knows her
	made := 0
	fill := func(c pki.Challenge, known bool, n int) (err error) {
		account, room := b.challengeRoom(c, known)
		for range n {
			made++
			_, err = b.store.AddStatement(t.Context(), store.Statement{
				Kind: uint8(pki.StatementChallenge), Issuer: account + fmt.Sprint(made/maxChallengesOf), Once: true,
				ID: [32]byte{byte(made), byte(made >> 8), 1}, Serial: 1, Ends: now.Add(time.Hour), Raw: []byte("one"),
			}, room)
		}
		return err
	}
	must(t, fill(ann.object(now), false, maxChallenges))
	if err := fill(ann.object(now), false, 1); !errors.Is(err, store.ErrFull) {
		t.Errorf("more of those that are made up: %v", err)
	}
	wantCode(t, eve.client.Challenge(t.Context(), m.madeUp(ann, "eve@a.test").Raw()), session.Full, "")
	must(t, eve.client.Challenge(t.Context(), ann.object(now).Raw()))
	must(t, fill(ann.object(now), true, maxChallenges))
	m.copiedAt(bob, "b.test")
	must(t, eve.client.Challenge(t.Context(), bob.object(now).Raw())) // of eight of a name one gives way
	n := 0
	all, err := b.store.Statements(t.Context(), uint8(pki.StatementChallenge))
	must(t, err)
	for _, s := range all {
		if c, err := pki.ParseChallenge(s.Raw); err == nil && (c.Name() == ann.name || c.Name() == bob.name) {
			n++
		}
	}
	if n != 2 || len(all) != maxChallenges {
		t.Errorf("%d of theirs, of %d", n, len(all))
	}
}

// madeUp is a challenge under a name of u's domain that nobody has, by a key that the domain has certified.
func (m *mesh) madeUp(u *user, text string) pki.Challenge {
	m.t.Helper()
	name := parse(m.t, pki.ParseName, text)
	key, err := pki.NewIdentityKey(rand.Reader)
	must(m.t, err)
	request, err := pki.NewUserRequest(rand.Reader, key, name)
	must(m.t, err)
	cert, err := m.nodes[name.Domain().String()].node.authority().SignUser(rand.Reader, time.Now(), request, pki.UserLifetime)
	must(m.t, err)
	c, err := key.Challenge(cert.DER(), [32]byte{}, time.Now())
	must(m.t, err)
	return c
}

// A challenge by a key that has ended is forgotten in the next round, at every node; others stay.
func TestEndedChallengesAreSwept(t *testing.T) {
	domains := []string{"a.test", "b.test"}
	m := newMesh(t, domains...)
	m.federate(domains...)
	ann, bob, now := m.user("ann@a.test"), m.user("bob@a.test"), time.Now()
	must(t, ann.client.Challenge(t.Context(), ann.object(now).Raw()))
	must(t, bob.client.Challenge(t.Context(), bob.object(now).Raw()))
	m.everywhere(pki.StatementChallenge, 2, domains...)
	_, err := m.nodes["a.test"].control.RevokeUser(t.Context(), "bob@a.test")
	must(t, err)
	m.everywhere(pki.StatementRevocation, 1, domains...)
	for _, domain := range domains {
		n := m.nodes[domain].node
		must(t, n.sweepChallenges(t.Context()))
		left, err := n.store.Statements(t.Context(), uint8(pki.StatementChallenge))
		must(t, err)
		if len(left) != 1 || left[0].ID != ann.object(now).Says() {
			t.Errorf("%s has %d", domain, len(left))
		}
	}
}
