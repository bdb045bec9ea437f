package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

func takes(t *testing.T, a *Agent, i invitation.Personal) (Added, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return a.Take(ctx, i)
}

// Who takes an invitation is a contact at once, and knows by it who invited her; nobody takes it
// a second time, she neither (row Y12).
func TestInvitePerson(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	ann, anns := m.user(t, "a.test")
	eve, _ := m.user(t, "c.test")
	i, err := bob.Invite(t.Context(), time.Hour)
	must(t, err)
	if i, err = invitation.ParsePersonal(i.String()); err != nil || i.Name != bob.self.name || len(i.Others) == 0 {
		t.Fatalf("%+v, %v", i, err)
	}
	added, err := takes(t, ann, i)
	if must(t, err); added.Name != bob.self.name || added.Trust != Verified {
		t.Errorf("added %+v", added)
	}
	must(t, bob.Fetch(t.Context()))
	boxes(t, bob, 1, 0)
	send(t, bob, ann.self.name, "welcome", mor.StoredThere)
	must(t, ann.Fetch(t.Context()))
	boxes(t, ann, 1, 0)

	for name, a := range map[string]*Agent{"another": eve, "the same": open(t, anns)} {
		var used *InvitedError
		if _, err := takes(t, a, i); !errors.As(err, &used) || !used.Used || used.By != bob.self.name {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, bob.Fetch(t.Context()))
	boxes(t, bob, 1, 0)
}

// What an invitation says must agree with what is known; nothing is sent or noted if it does not.
func TestInvitationContradicts(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	ann, _ := m.user(t, "a.test")
	good, err := bob.Invite(t.Context(), time.Hour)
	must(t, err)
	must(t, ann.refreshDirectory(t.Context(), 0))
	other := pki.Fingerprint{1}
	for name, change := range map[string]func(*invitation.Personal){
		"of a home":      func(i *invitation.Personal) { i.Home = other },
		"of another":     func(i *invitation.Personal) { i.Others[0].Key = other },
		"of the inviter": func(i *invitation.Personal) { i.Identity = other },
	} {
		i, err := invitation.ParsePersonal(good.String())
		must(t, err)
		change(&i)
		var changed *pki.KeyChangedError
		if _, err := takes(t, ann, i); !errors.As(err, &changed) {
			t.Errorf("another key %s: %v", name, err)
		}
		if n := len(keysOf(t, ann, prefixSent)) + len(keysOf(t, ann, prefixTaken)); n != 0 {
			t.Errorf("another key %s: %d things are noted", name, n)
		}
		must(t, ann.vault.Update(func(tx *vault.Tx) error { return ann.disown(tx, bob.self.name, bob.self.key.Fingerprint()) }))
	}
	_, err = takes(t, ann, good)
	must(t, err)
}

// Invitations are bounded in number and time.
func TestInvitationsAreBounded(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	ann, _ := m.user(t, "a.test")
	now := time.Now()
	bob.cfg.Now = func() time.Time { return now }
	var last invitation.Personal
	for range maxInvited {
		i, err := bob.Invite(t.Context(), 100*24*time.Hour)
		must(t, err)
		if i.Expires.Sub(now) > longestInvited {
			t.Fatalf("good until %s", i.Expires)
		}
		last = i
	}
	if _, err := bob.Invite(t.Context(), time.Hour); !errors.Is(err, ErrInvitations) {
		t.Errorf("one more: %v", err)
	}
	last.Expires = now.Add(-time.Minute)
	var old *InvitedError
	_, err := takes(t, ann, last)
	if !errors.As(err, &old) || old.Used {
		t.Errorf("an old one: %v", err)
	}
	now = now.Add(longestInvited + longestWait + time.Minute)
	must(t, bob.vault.Update(func(tx *vault.Tx) error {
		open, err := bob.openInvited(tx)
		if len(open) > 0 {
			t.Errorf("%d are open", len(open))
		}
		return err
	}))
	if n := len(keysOf(t, bob, prefixInvited)); n != 0 {
		t.Errorf("%d are kept", n)
	}
}

// A hello that shows no invitation, or one that was used, is a request like any text of a stranger.
func TestHelloWithoutInvitation(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	eve, _ := m.user(t, "c.test")
	i, err := bob.Invite(t.Context(), time.Hour)
	must(t, err)
	for _, about := range [][16]byte{{1}, i.Proof(bob.self.key.Fingerprint())} {
		item := letterOf(t, eve, bob, func(c *message.Content) { c.Kind, c.About = message.Hello, about })
		if done, err := bob.take(t.Context(), item); err != nil || !done {
			t.Fatalf("taken: %t, %v", done, err)
		}
	}
	boxes(t, bob, 0, 2)
	item := letterOf(t, eve, bob, func(c *message.Content) {
		c.Kind, c.About = message.Hello, i.Proof(eve.self.key.Fingerprint())
	})
	_, err = bob.take(t.Context(), item)
	must(t, err)
	boxes(t, bob, 3, 0)
}
