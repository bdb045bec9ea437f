package node

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A user reads the whole log of her home there, and at a peer that has copied it when the home is dead.
func TestUserReadsTheLog(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	ann := m.user("ann@a.test")
	head := m.nodes["a.test"].node.ownHead(m.cosignedBy("a.test", 2, 2))
	m.mirrored("a.test", head.Size, "b.test", "c.test")
	var want []byte
	for _, leaf := range m.nodes["a.test"].leaves(t) {
		want = append(want, leaf.Bytes()...)
	}
	check := func(u *user, home bool) {
		t.Helper()
		m.until("the whole log", func() error {
			p, err := u.client.Entries(t.Context(), 0)
			if err == nil && (!bytes.Equal(p.Entries, want) || (len(p.Label) == keylog.LabelProofSize) != home) {
				err = errors.New("it is another")
			}
			return err
		})
		p, err := u.client.Entries(t.Context(), 1)
		if err != nil || !bytes.Equal(p.Entries, want[keylog.LeafSize:]) {
			t.Errorf("from the second on: %v", err)
		}
		if p, err := u.client.Entries(t.Context(), 1000); err != nil || len(p.Entries) > 0 {
			t.Errorf("beyond its end: %v", err)
		}
	}
	check(ann, true)
	authority := m.authority("a.test")
	must(t, m.nodes["a.test"].end())
	_, err := ann.visit("b.test", authority)
	must(t, err)
	check(ann, false)
}

// A user is given so many parts of a key log in an hour, at home and elsewhere, and then no more; others are.
func TestLogReadersHaveAPace(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	as := func(name string) pki.UserCert {
		cert, err := m.nodes["a.test"].node.authority().CA().VerifyUser(m.user(name).cert, time.Now())
		must(t, err)
		return cert
	}
	ann, bob := as("ann@a.test"), as("bob@a.test")
	for _, at := range []string{"a.test", "b.test"} {
		n := m.nodes[at].node
		now := time.Now()
		read := func(user pki.UserCert) error { return n.readingLog(user, now) }
		for i := range logPagesAnHour {
			if err := read(ann); err != nil {
				t.Fatalf("at %s, part %d: %v", at, i, err)
			}
		}
		var refused *session.Error
		if err := read(ann); !errors.As(err, &refused) || refused.Code != session.Full {
			t.Errorf("at %s, one too many: %v", at, err)
		}
		if err := read(bob); err != nil {
			t.Errorf("at %s, another user: %v", at, err)
		}
		if now = now.Add(quotaTime); read(ann) != nil {
			t.Errorf("at %s, an hour later: refused", at)
		}
	}
	n := m.nodes["a.test"].node
	for n.readingLog(ann, time.Now().Add(2*quotaTime)) == nil {
	}
	var refused *session.Error
	if _, err := n.entries(t.Context(), ann, 0); !errors.As(err, &refused) || refused.Code != session.Full {
		t.Errorf("asked for: %v", err)
	}
}
