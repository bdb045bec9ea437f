package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// hear takes in statements as from the feed.
func (w *world) hear(all ...pki.Statement) {
	w.t.Helper()
	for _, s := range all {
		w.feed = append(w.feed, s.Marshal())
	}
	w.learn()
}

// The home of bob certifies another key under his name. He objects: who meets that key now is not to
// write to it, and who knows bob knows him as before. The home can only answer by ending the name for
// his key, in the open.
func TestChallengedKeyIsNotMet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	other, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	thief := w.certified(w.domains["b.test"], bob.name, other)
	must(t, w.write(thief)) // nobody objects
	c, err := bob.key.Challenge(bob.cert, [32]byte{7}, w.a.now())
	must(t, err)
	stranger, err := other.Challenge(w.certified(w.domains["c.test"], parsedName(t, "bob@c.test"), other).cert, [32]byte{}, w.a.now())
	must(t, err)
	w.hear(c.Statement(), stranger.Statement())
	var trust *TrustError
	if err := w.write(thief); !errors.As(err, &trust) || trust.Verdict.Row != pki.RowChallenged {
		t.Fatalf("wrote to a key that bob says is not his: %v", err)
	}
	r, err := w.a.report(Subject{bob.name, bob.name.Domain()}, other.Fingerprint())
	must(t, err)
	if len(r.Challenges) != 1 || r.Challenges[0].Key != bob.key.Fingerprint() || r.Challenges[0].Record == "" || r.Trust != Unconfirmed {
		t.Errorf("%+v", r)
	}
	must(t, w.write(bob)) // his own key is not held up by his word
	w.met(bob)
	r2, err := w.a.report(Subject{bob.name, bob.name.Domain()}, other.Fingerprint())
	must(t, err)
	if r2.Trust != Changed || len(r2.Challenges) != 1 {
		t.Errorf("the other key is now %s", r2.Trust)
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { tx.Delete(prefixContact + bob.name.String()); return nil }))
	ended, err := w.domains["b.test"].RevokeName(bob.cert, w.a.now())
	must(t, err)
	w.hear(ended.Statement())
	must(t, w.write(thief)) // the name is somebody else's, and everybody knows
}

// A challenge counts for 90 days; of a key the newest is kept, of a name no more than a few.
func TestChallengesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	now := w.a.now()
	object := func(key pki.IdentityKey, cert []byte, at time.Time) {
		c, err := key.Challenge(cert, [32]byte{}, at)
		must(t, err)
		w.hear(c.Statement())
	}
	object(bob.key, bob.cert, now.Add(-pki.ChallengeLifetime))
	object(bob.key, bob.cert, now.Add(-time.Hour))
	object(bob.key, bob.cert, now.Add(-2*time.Hour))
	for range 2 * maxObjectionsOf {
		key, err := pki.NewIdentityKey(rand.Reader)
		must(t, err)
		object(key, w.certified(w.domains["b.test"], bob.name, key).cert, now)
	}
	must(t, w.a.vault.View(func(tx *vault.Tx) error {
		all, err := w.a.objections(tx, bob.name)
		if len(all) != maxObjectionsOf {
			t.Errorf("%d are kept", len(all))
		}
		for _, c := range all {
			if c.Key().Fingerprint() == bob.key.Fingerprint() && !c.Issued.Equal(now.Add(-time.Hour).Truncate(time.Second)) {
				t.Errorf("of bob's the one of %s is kept", c.Issued)
			}
		}
		return err
	}))
}

// Those that a home has made up fill the room of its own names at most; one under the name of somebody else has a
// place, of a contact too, and by the key that is known for her before all others.
func TestChallengeRoomsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test")
	w.agree(nil)
	w.directory()
	ann, bob, carol := w.user(w.domains["b.test"]), w.user(w.domains["b.test"]), w.user(w.domains["c.test"])
	made := func(tx *vault.Tx, name string, n int) {
		for i := range n {
			tx.Put(fmt.Sprintf("%s%s/%064d", prefixObject, name, i), []byte("one"))
		}
	}
	w.met(ann)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		for i := range maxObjectionsFrom / maxObjectionsOf {
			made(tx, fmt.Sprintf("x%d@b.test", i), maxObjectionsOf)
		}
		for i := range maxObjections - maxObjectionsFrom {
			made(tx, fmt.Sprintf("x%d@y%d.test", i, i%8), 1)
		}
		made(tx, ann.name.String(), maxObjectionsOf)
		return nil
	}))
	object := func(s somebody, want bool) {
		t.Helper()
		c, err := s.key.Challenge(s.cert, [32]byte{}, w.a.now())
		must(t, err)
		var held bool
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			err := w.a.keepChallenge(tx, c.Raw())
			held = has(tx, prefixObject+s.name.String()+"/"+s.key.Fingerprint().String())
			return err
		}))
		if held != want {
			t.Errorf("%s: held %t", s.name, held)
		}
	}
	other, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	object(w.certified(w.domains["b.test"], ann.name, other), false)
	object(ann, true)
	object(bob, true)
	object(carol, true)
	must(t, w.a.vault.View(func(tx *vault.Tx) error {
		all, of, names, err := objectionsOfOthers(tx)
		if all != maxObjections || of["b.test"] > maxObjectionsFrom || names[bob.name.String()] != 1 {
			t.Errorf("%d in all, %d of b.test", all, of["b.test"])
		}
		return err
	}))
}

// A revocation ends what its key has objected to, also if there is no room for it beside those of others; what
// has ended, or ran out long ago, goes when the feed is read again.
func TestEndedObjectionsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	w.agree(nil)
	w.directory()
	bob, carol := w.user(w.domains["b.test"]), w.user(w.domains["b.test"])
	c, err := bob.key.Challenge(bob.cert, [32]byte{}, w.a.now())
	must(t, err)
	old, err := carol.key.Challenge(carol.cert, [32]byte{}, w.a.now().Add(-pki.ChallengeLifetime+time.Minute))
	must(t, err)
	w.hear(c.Statement(), old.Statement())
	if n := len(keysOf(t, w.a, prefixObject)); n != 2 {
		t.Fatalf("%d are kept", n)
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, prefixTally+prefixEnded, maxEnded) }))
	ended, err := w.domains["b.test"].RevokeName(bob.cert, w.a.now())
	must(t, err)
	w.hear(ended.Statement(), c.Statement())
	if n := len(keysOf(t, w.a, prefixObject)); n != 1 {
		t.Errorf("%d are kept after one has ended", n)
	}
	w.now = w.now.Add(pki.LogPatience + time.Hour)
	must(t, w.a.vault.Update(w.a.sweepObjections))
	if n := len(keysOf(t, w.a, prefixObject)); n != 0 {
		t.Errorf("%d are kept", n)
	}
}

func parsedName(t *testing.T, text string) pki.Name {
	t.Helper()
	n, err := pki.ParseName(text)
	must(t, err)
	return n
}
