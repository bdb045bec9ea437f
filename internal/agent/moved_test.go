package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// at is somebody under another name, by that authority: the same key, and a card there.
func (w *world) at(s somebody, by *pki.Authority, local string) somebody {
	w.t.Helper()
	name, err := pki.ParseName(local + "@" + by.Domain().String())
	must(w.t, err)
	return w.certified(by, name, s.key)
}

// moves puts a move of somebody into the feed.
func (w *world) moves(from, to somebody, serial uint64) {
	w.t.Helper()
	m, err := from.key.SignMove(from.cert, to.cert, serial, w.now)
	must(w.t, err)
	w.feed = append(w.feed, m.Statement().Marshal())
}

// nowOf is the name under which ann finds somebody whose card shows that key.
func (w *world) nowOf(s somebody) pki.Name {
	w.t.Helper()
	now, _, err := w.a.currently(s.name, s.key.Fingerprint())
	must(w.t, err)
	return now
}

// contact is what is kept of a name.
func (w *world) contact(name pki.Name) (c contact, ok bool) {
	w.t.Helper()
	must(w.t, w.a.vault.View(func(tx *vault.Tx) (err error) {
		c, ok, err = load[contact](tx, prefixContact+name.String())
		return err
	}))
	return c, ok
}

// knownWorld is a world of five domains that are all confirmed, in which ann knows somebody at b.test.
func knownWorld(t *testing.T) (*world, somebody) {
	t.Helper()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	w.met(bob)
	return w, bob
}

// A contact is the same person under her new name, by the same pin, before anything comes from there;
// whatever is shown under that name by another key is a change.
func TestMovedKeepsThePin(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return w.a.verify(tx, bob.name, bob.key.Fingerprint()) }))
	there := w.at(bob, w.domains["c.test"], "bob")
	w.moves(bob, there, 1)
	w.learn()
	c, ok := w.contact(there.name)
	old, _ := w.contact(bob.name)
	if !ok || c.Identity != bob.key.Fingerprint() || c.Trust != pki.Verified || c.Was != bob.name || !equal(c.Mine, old.Mine) || !c.Met.Equal(old.Met) {
		t.Errorf("%v, %+v", ok, c)
	}
	must(t, w.write(there))
	if s := w.trust(there); s.Trust != Verified || s.Was != bob.name {
		t.Errorf("he is %s", s)
	}
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	var changed *pki.KeyChangedError
	if err := w.write(w.certified(w.domains["c.test"], there.name, key)); !errors.As(err, &changed) {
		t.Errorf("his new home shows somebody else for him: %v", err)
	}
}

// writes puts a text of a stranger into requests: she is met, and it is shelved.
func (w *world) writes(s somebody) {
	w.t.Helper()
	must(w.t, w.a.vault.Update(func(tx *vault.Tx) error {
		c, err := w.a.meet(tx, s.name, s.key.Fingerprint(), s.card.Certificate.Issuer())
		if err != nil {
			return err
		}
		_, err = w.a.shelve(tx, message.Content{Name: s.name, Text: "I am here"}, c)
		return err
	}))
}

// What a contact writes from her new name before it is known that she has moved waits with what other
// contacts wrote as soon as it is known: however that comes.
func TestMovedTakesHerTextsAlong(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	there := w.at(bob, w.domains["c.test"], "bob")
	w.writes(there)
	boxes(t, w.a, 0, 1)
	w.moves(bob, there, 1)
	w.learn()
	boxes(t, w.a, 1, 0)

	next := w.at(bob, w.domains["d.test"], "bob") // and when she is met there after it is known
	w.writes(next)
	boxes(t, w.a, 1, 1)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { tx.Delete(prefixContact + next.name.String()); return nil }))
	m, err := there.key.SignMove(there.cert, next.cert, 2, w.now)
	must(t, err)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { tx.Put(movedKey(m), m.Raw()); return nil }))
	w.met(next)
	boxes(t, w.a, 2, 0)
}

// Nobody but the holder of the key moves a contact.
func TestMovedByOthers(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	eve := w.user(w.domains["c.test"])
	namesake := w.authority("b.test")
	// Eve has a key, and whatever her home c.test and a forger of b.test sign for her.
	for what, from := range map[string]somebody{
		"by a forged b.test":                            w.certified(namesake, bob.name, eve.key),
		"by b.test itself, who gave her the name again": w.certified(w.domains["b.test"], bob.name, eve.key),
	} {
		w.moves(from, eve, 5)
		w.learn()
		if now := w.nowOf(bob); now != bob.name {
			t.Errorf("%s: bob is %s", what, now)
		}
	}
	if _, ok := w.contact(eve.name); ok {
		t.Error("eve is known")
	}
	raw := func() []byte {
		m, err := bob.key.SignMove(bob.cert, w.at(bob, w.domains["c.test"], "bob").cert, 9, w.now)
		must(t, err)
		return m.Statement().Marshal()
	}()
	for i := 0; i < len(raw); i += 7 {
		bent := append([]byte(nil), raw...)
		bent[i] ^= 1
		w.feed = append(w.feed, bent)
	}
	w.learn()
	if now := w.nowOf(bob); now != bob.name {
		t.Errorf("by a bent statement bob is %s", now)
	}
}

// The old home gives the name to somebody else. Who knew bob finds bob; who did not finds whom the
// home shows.
func TestNameIsGivenAgain(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	there := w.at(bob, w.domains["c.test"], "bob")
	w.moves(bob, there, 1)
	w.learn()
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	heir := w.certified(w.domains["b.test"], bob.name, key)
	if now, pinned, err := w.a.currently(bob.name, key.Fingerprint()); err != nil || now != there.name || pinned != bob.key.Fingerprint() {
		t.Errorf("who knew bob is led to %s, %v", now, err)
	}
	var changed *pki.KeyChangedError
	if err := w.write(heir); !errors.As(err, &changed) {
		t.Errorf("the heir is taken for bob: %v", err)
	}
	other := newWorld(t, "a.test") // somebody who knew nobody
	for domain, by := range w.domains {
		if domain != "a.test" {
			other.domains[domain] = by
		}
	}
	other.agree(nil)
	other.directory()
	other.moves(bob, there, 1)
	other.learn()
	if now := other.nowOf(heir); now != heir.name {
		t.Errorf("a stranger is led from the heir to %s", now)
	}
	if now := other.nowOf(bob); now != there.name {
		t.Errorf("a stranger who is shown bob's key is led to %s", now)
	}
	must(t, other.write(heir))
}

// Of a new home that nobody confirms nothing is pinned, and nothing is sent there; as soon as it is
// confirmed it is. One that has not certified the name gets no pin by the word of the key alone.
func TestMovedToTheUnconfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	w.agree(func(_ string, s *pki.Sighting) {
		if s.Domain.String() == "e.test" {
			s.Key, s.Standing, s.Since = pki.Fingerprint{}, pki.Seen, time.Time{}
		}
	})
	w.directory()
	bob := w.user(w.domains["b.test"])
	w.met(bob)
	there := w.at(bob, w.domains["e.test"], "bob")
	w.moves(bob, there, 1)
	w.learn()
	if now := w.nowOf(bob); now != there.name {
		t.Errorf("he is %s", now)
	}
	var trust *TrustError
	if err := w.write(there); !errors.As(err, &trust) || !trust.Pinned.IsZero() {
		t.Errorf("written to at an unconfirmed home: %v", err)
	}
	if _, ok := w.contact(there.name); ok {
		t.Error("pinned by an unconfirmed home")
	}
	w.agree(nil)
	w.learn()
	if c, ok := w.contact(there.name); !ok || c.Identity != bob.key.Fingerprint() {
		t.Errorf("confirmed: %v, %+v", ok, c)
	}
	must(t, w.write(there))

	forged := w.at(bob, w.authority("c.test"), "victim")
	w.moves(there, forged, 2)
	w.learn()
	if _, ok := w.contact(forged.name); ok {
		t.Error("bob plants a pin under a name of c.test that he has not")
	}
}

// A name that is known as somebody else's stays hers.
func TestMovedToAKnownName(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	carl := w.user(w.domains["c.test"])
	w.met(carl)
	taken := w.certified(w.domains["c.test"], carl.name, bob.key)
	w.moves(bob, taken, 1)
	w.learn()
	if c, _ := w.contact(carl.name); c.Identity != carl.key.Fingerprint() || !c.Was.IsZero() {
		t.Errorf("carl is %+v", c)
	}
	must(t, w.write(carl))
	var changed *pki.KeyChangedError
	if err := w.write(taken); !errors.As(err, &changed) {
		t.Errorf("bob is taken for carl: %v", err)
	}
	if err := sameKey(correspondent{name: carl.name, id: carl.key.Fingerprint()}, bob.key.Fingerprint()); !errors.As(err, &changed) {
		t.Errorf("carl is taken for bob: %v", err)
	}
}

// A revoked key moves nowhere, whichever of the two comes first.
func TestRevokedDoesNotMove(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"move", "revocation"} {
		w, bob := knownWorld(t)
		there := w.at(bob, w.domains["c.test"], "bob")
		revoke := func() {
			r, err := bob.key.RevokeKey(bob.cert, w.now)
			must(t, err)
			w.feed = append(w.feed, r.Statement().Marshal())
			w.learn()
		}
		if first == "revocation" {
			revoke()
		}
		w.moves(bob, there, 1)
		w.learn()
		if first == "move" {
			revoke()
		}
		if now := w.nowOf(bob); now != bob.name {
			t.Errorf("%s first: he is %s", first, now)
		}
		if _, ok := w.contact(there.name); ok && first == "revocation" {
			t.Error("his new name is pinned")
		}
		if err := w.write(there); err == nil {
			t.Errorf("%s first: written to", first)
		}
	}
}

// A chain is followed in whatever order it came, and each name on it is his.
func TestMovedOnAndBack(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		w, bob := knownWorld(t)
		second, third := w.at(bob, w.domains["c.test"], "bob"), w.at(bob, w.domains["d.test"], "bob")
		ways := []func(){
			func() { w.moves(bob, second, 1) }, func() { w.moves(second, third, 2) }, func() { w.moves(third, bob, 3) },
		}
		for i, n := range order {
			ways[n]()
			if w.learn(); i < 2 {
				continue
			}
			for _, s := range []somebody{bob, second, third} {
				if now := w.nowOf(s); now != bob.name {
					t.Errorf("%v: %s is %s", order, s.name, now)
				}
				must(t, w.write(s))
			}
		}
	}
}

// Of one key sixteen moves are kept, the newest; of strangers so many in all, and of contacts all.
func TestMovesAreBounded(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	var there []somebody
	for i := range pki.MaxMoves + 4 {
		there = append(there, w.at(bob, w.domains["c.test"], fmt.Sprint("bob", i)))
	}
	for i := range there[1:] {
		w.moves(there[i], there[i+1], uint64(i+1))
	}
	w.learn()
	kept := func() (all []pki.Move) {
		must(t, w.a.vault.View(func(tx *vault.Tx) (err error) {
			all, err = movesOf(tx, bob.key.Fingerprint())
			return err
		}))
		return all
	}
	all := kept()
	for _, m := range all {
		if m.Serial <= uint64(len(there)-1-pki.MaxMoves) {
			t.Errorf("an old one is kept: %d", m.Serial)
		}
	}
	if len(all) != pki.MaxMoves {
		t.Errorf("%d are kept", len(all))
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		for i := range maxMoved {
			tx.Put(fmt.Sprintf("%sx/%d", prefixMoved, i), []byte("one of a stranger"))
		}
		return nil
	}))
	eve := w.user(w.domains["b.test"])
	w.moves(eve, w.at(eve, w.domains["c.test"], "eve"), 1)
	w.moves(bob, there[len(there)-1], 99)
	w.learn()
	if now := w.nowOf(eve); now != eve.name {
		t.Error("one too many is kept")
	}
	if now := w.nowOf(bob); now != there[len(there)-1].name {
		t.Error("that of a contact is not")
	}
}

// What is on its way to somebody goes on to where he is, once that is confirmed, and no sooner.
func TestOutboxFollows(t *testing.T) {
	t.Parallel()
	w, bob := knownWorld(t)
	put := func(id string, key pki.Fingerprint) {
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			return save(tx, prefixOutbox+id, outgoing{Kind: kindText, To: bob.name, Identity: key, Spools: domains(t, "b.test"), Next: w.now.Add(time.Hour)})
		}))
	}
	put("AAAAAAAAAAAAAAAAAAAAAA", bob.key.Fingerprint())
	put("BBBBBBBBBBBBBBBBBBBBBA", pki.Fingerprint{1})
	w.moves(bob, w.at(bob, w.domains["c.test"], "bob"), 1)
	w.learn()
	must(t, w.a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixOutbox, func(_ string, r outgoing) error {
			if ours := r.Identity == bob.key.Fingerprint(); ours != (r.Spools[0].String() == "c.test") || ours == r.Next.After(w.now) {
				t.Errorf("%+v", r)
			}
			return nil
		})
	}))
}
