package agent

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Our own name is looked at now and then, and there is nothing wrong with it.
func TestWatchesOwnName(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	must(t, ann.Fetch(t.Context()))
	look := func() (seen watched) {
		must(t, ann.vault.View(func(tx *vault.Tx) (err error) {
			seen, _, err = load[watched](tx, keyWatched)
			return err
		}))
		return seen
	}
	first := look()
	if first.At.IsZero() || !first.Shown.IsZero() || len(ann.Warnings()) > 0 {
		t.Errorf("looked: %+v", first)
	}
	must(t, ann.Fetch(t.Context()))
	if !look().At.Equal(first.At) {
		t.Error("looked again at once")
	}
	other := watched{At: first.At, Shown: pki.Fingerprint{1}}
	must(t, ann.vault.Update(func(tx *vault.Tx) error { return save(tx, keyWatched, other) }))
	must(t, ann.Fetch(t.Context()))
	var wrong *OwnKeyError
	summary, err := ann.Summary()
	must(t, err)
	if warnings := ann.Warnings(); len(warnings) != 1 || !errors.As(warnings[0], &wrong) || summary.Own != wrong.Error() {
		t.Errorf("warned of %v", warnings)
	}
	must(t, ann.vault.Update(func(tx *vault.Tx) error { tx.Delete(keyWatched); return nil }))
	must(t, ann.Fetch(t.Context()))
	if warnings := ann.Warnings(); len(warnings) > 0 {
		t.Errorf("still warned of %v", warnings)
	}
}

// Somebody is checked, and accepted by her words.
func TestCheckAndAccept(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	subject := Subject{bob.self.name, bob.self.name.Domain()}
	r, err := ann.Check(t.Context(), subject)
	must(t, err)
	key := bob.self.key.Fingerprint()
	if r.Trust != Vouched || r.Key != key || r.Problem() != nil || r.Home.DNS != "agrees" || len(r.Home.Confirmed) != 2 {
		t.Errorf("%+v, %+v", r, r.Home)
	}
	owns, err := words.Fingerprint(words.Of(key))
	must(t, err)
	r, err = ann.Accept(t.Context(), subject, owns)
	must(t, err)
	if s, err := ann.Standing(bob.self.name); r.Trust != Verified || s.Trust != Verified || err != nil {
		t.Errorf("accepted: %s, %s, %v", r.Trust, s.Trust, err)
	}
	send(t, ann, bob.self.name, "hello", mor.StoredThere)
	var nobody *NoUserError
	name := m.name(t, "b.test")
	if _, err := ann.Check(t.Context(), Subject{name, name.Domain()}); !errors.As(err, &nobody) {
		t.Errorf("nobody: %v", err)
	}
	if r, err = ann.Check(t.Context(), Subject{Domain: ann.self.name.Domain()}); err != nil || r.Trust != Vouched {
		t.Errorf("the home: %s, %v", r.Trust, err)
	}
}
