package node

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// copiedAt waits until nodes have a copy of a user whose place in her home's log they can prove, and
// returns the proofs of each.
func (m *mesh) copiedAt(u *user, at ...string) {
	m.t.Helper()
	for _, domain := range at {
		m.until(domain+" to have a copy of "+u.name.String(), func() error {
			n := m.nodes[domain].node
			if _, err := n.copiedUser(m.t.Context(), keyserver.Subject{Name: u.name}); err != nil {
				return err
			}
			_, cosigned, _ := m.nodes[u.name.Domain().String()].node.ledger.Published()
			same, err := n.cosignCopy(m.t.Context(), u.name.Domain(), cosigned)
			if err == nil && !same {
				err = errors.New("its copy of the log is not cosigned")
			}
			return err
		})
	}
}

// shownAt verifies, with nothing but fingerprints, what a key server shows of a user.
func (m *mesh) shownAt(domain string, of keyserver.Subject, home string, witnesses ...string) (keyserver.Shown, keyserver.Logged, error) {
	m.t.Helper()
	by := keyserver.Trusted{CA: m.authority(home).CA().Fingerprint(), Quorum: min(len(witnesses), enoughPeers)}
	for _, w := range witnesses {
		by.Witnesses = append(by.Witnesses, keyserver.TrustedWitness{Domain: m.nodes[w].domain, CA: m.authority(w).CA().Fingerprint()})
	}
	at := keyserver.Endpoint{Address: m.nodes[domain].running.KeyServer, CA: m.authority(domain).CA().Fingerprint()}
	shown, err := (keyserver.Client{Dial: dial.Direct()}).Show(m.t.Context(), at, of, by)
	if err != nil {
		return shown, keyserver.Logged{}, err
	}
	l, err := shown.Verify(of, by, time.Now())
	return shown, l, err
}

// When a home is dead, each of its peers shows the card of its user, whom nobody had asked for
// before, by name and by key, with a proof that needs no word of that peer.
func TestPeersShowADeadHomesUsers(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test", "d.test")
	m.federate("a.test", "b.test", "c.test", "d.test")
	bob := m.user("bob@b.test")
	m.copiedAt(bob, "a.test", "c.test", "d.test")
	must(t, m.nodes["b.test"].end())
	for _, at := range []string{"a.test", "c.test", "d.test"} { // others cannot take its place
		row, err := m.nodes[at].node.store.CopyOfName(t.Context(), "b.test", keyserver.CopyID(keyserver.Subject{Name: bob.name}))
		must(t, err)
		row.Number += 1000
		for _, domain := range []string{"a.test", "c.test", "d.test"} {
			if domain != at {
				must(t, m.nodes[at].node.store.PutCopies(t.Context(), domain, []store.Copy{row}))
			}
		}
	}
	for _, at := range []string{"a.test", "c.test", "d.test"} {
		for _, of := range []keyserver.Subject{{Name: bob.name}, {Key: bob.key.Fingerprint()}} {
			shown, l, err := m.shownAt(at, of, "b.test", "a.test", "c.test", "d.test")
			if err != nil || l.Subject != "bob@b.test" || l.Cosigned() < 2 || len(shown.Proof) == 0 {
				t.Errorf("%s shows %+v, %v", at, l, err)
			}
		}
		n := m.nodes[at].node
		card, err := n.published.HeldCard(t.Context(), bob.name) // what the mesh is answered by
		must(t, err)
		if proof := n.published.HeldProof(t.Context(), bob.name, pki.Fingerprint{}, card, 2048); len(proof) == 0 {
			t.Errorf("%s answers without proof", at)
		}
		nobody, err := pki.ParseName("bobby@b.test")
		must(t, err)
		if _, _, err := m.shownAt(at, keyserver.Subject{Name: nobody}, "b.test"); !errors.Is(err, keyserver.ErrNotFound) {
			t.Errorf("%s shows nobody: %v", at, err)
		}
		rows, err := n.store.CopiesOfKey(t.Context(), keyserver.CopyID(keyserver.Subject{Key: bob.key.Fingerprint()}))
		must(t, err)
		if len(rows) != 3 || bytes.Contains(rows[0].Sealed, []byte("bob")) || bytes.Contains(rows[0].Sealed, card[:32]) {
			t.Errorf("what %s has tells whose it is", at)
		}
	}
}

// A card that is replaced or taken away at home goes from its peers; one that has ended is shown by nobody who
// kept it all the same, by the log or by the revocation, also after the home is dead.
func TestCopiesGoWithTheCard(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	bob, eve := m.user("bob@b.test"), m.user("eve@b.test")
	m.copiedAt(bob, "a.test", "c.test")
	m.copiedAt(eve, "a.test", "c.test")
	a, b, c := m.nodes["a.test"].node, m.nodes["b.test"], m.nodes["c.test"].node
	id := keyserver.CopyID(keyserver.Subject{Name: bob.name})
	old, err := a.store.CopyOfName(t.Context(), "b.test", id)
	must(t, err)
	_, err = b.control.RevokeUser(t.Context(), "bob@b.test")
	must(t, err)
	for _, n := range []*Node{a, c} {
		m.until("the copy to go", func() error {
			_, err := n.store.CopyOfName(t.Context(), "b.test", id)
			if err == nil {
				return errors.New("it is there")
			}
			return notFoundIsNil(err)
		})
	}
	m.until("the end to be in the copy of the log", func() error {
		h, _, err := a.store.Mirror(t.Context(), "b.test/p3do/log")
		if size, _ := b.node.store.LogSize(t.Context()); err == nil && h.Size < size {
			err = fmt.Errorf("%d leaves of %d", h.Size, size)
		}
		return err
	})
	must(t, b.end())
	must(t, a.store.PutCopies(t.Context(), "b.test", []store.Copy{old})) // as if it had come back
	d, err := a.directory.descriptor(t.Context(), b.domain)
	must(t, err)
	opened, err := keyserver.SealedCopy(old.Sealed).Open(keyserver.Subject{Name: bob.name})
	must(t, err)
	if _, err := a.proveCopy(t.Context(), d, old.Number, bob.name, opened); !errors.Is(err, keyserver.ErrOldCopy) {
		t.Errorf("proven after its end: %v", err)
	}
	hers, err := a.store.CopyOfName(t.Context(), "b.test", keyserver.CopyID(keyserver.Subject{Name: eve.name}))
	must(t, err)
	sealed, err := keyserver.SealedCopy(hers.Sealed).Open(keyserver.Subject{Name: eve.name})
	must(t, err)
	_, err = a.proveCopy(t.Context(), d, hers.Number, eve.name, sealed)
	must(t, err)
	if _, err := a.published.HeldCard(t.Context(), bob.name); !errors.Is(err, keyserver.ErrNotFound) {
		t.Errorf("a revoked key came back: %v", err)
	}
	if _, err := a.published.HeldCard(t.Context(), eve.name); err != nil {
		t.Error(err)
	}
}

// A home that comes back without its users takes nobody's card away from its peers: only what its log says has ended goes.
func TestEmptyHomeTakesNothingAway(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	bob := m.user("bob@b.test")
	m.copiedAt(bob, "a.test")
	b := m.nodes["b.test"]
	b.byHand("DELETE FROM users", "DELETE FROM logged WHERE kind = 1")
	m.copiedAt(m.user("eve@b.test"), "a.test") // so a.test has heard what b.test has now
	_, err := m.nodes["a.test"].node.store.CopyOfName(t.Context(), "b.test", keyserver.CopyID(keyserver.Subject{Name: bob.name}))
	must(t, err)
}
