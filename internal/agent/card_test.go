package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// What the home looked up is used for a day, unless something is wrong with it. That it was
// is seen by a card that says something else than the published one.
func TestCardIsKept(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	s := send(t, ann, bob.self.name, "hello", mor.StoredThere)
	published, err := bob.look(t.Context(), bob.self.name)
	must(t, err)
	other := published.Card
	other.Requests[0] ^= 1
	expired := other
	expired.Issued, expired.Expires = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	now := time.Now()

	for name, c := range map[string]struct {
		row  looked
		used pki.Card
	}{
		"young":                {looked{sign(t, bob, other), now}, other},
		"almost a day old":     {looked{sign(t, bob, other), now.Add(time.Minute - cardKept)}, other},
		"a day old":            {looked{sign(t, bob, other), now.Add(-cardKept)}, published.Card},
		"of a clock gone back": {looked{sign(t, bob, other), now.Add(time.Hour)}, published.Card},
		"of a card that ended": {looked{sign(t, bob, expired), now}, published.Card},
		"of none":              {looked{[]byte("no card"), now}, published.Card},
	} {
		keepCard(t, ann, bob, c.row)
		to, err := ann.correspondent(t.Context(), bob.self.name)
		must(t, err)
		if to.address.Mailbox != c.used.Requests {
			t.Errorf("%s: the other card was used", name)
		}
		if row := keptCard(t, ann, bob); row.At.Equal(c.row.At) != (c.used.Requests == other.Requests) {
			t.Errorf("%s: looked up at %s, before at %s", name, row.At, c.row.At)
		}
	}

	// What he writes of himself later counts more.
	keepCard(t, ann, bob, looked{sign(t, bob, other), now.Add(-time.Hour)})
	read(t, bob)
	wait(t, ann, s, mor.Acknowledged)
	to, err := ann.correspondent(t.Context(), bob.self.name)
	must(t, err)
	if to.card != nil || to.address.Secret == [32]byte{} {
		t.Errorf("by an old card: %+v", to)
	}

	// A kept card does not hide that he is pinned to another key.
	undo := spoil(t, ann, prefixContact+bob.self.name.String())
	var changed *pki.KeyChangedError
	if _, err := ann.correspondent(t.Context(), bob.self.name); !errors.As(err, &changed) {
		t.Errorf("another pin: %v", err)
	}
	undo()
}

func sign(t *testing.T, by *Agent, card pki.Card) []byte {
	t.Helper()
	signed, err := pki.SignCard(by.self.key, card)
	must(t, err)
	return signed.Raw()
}

func keepCard(t *testing.T, a, of *Agent, row looked) {
	t.Helper()
	must(t, a.vault.Update(func(tx *vault.Tx) error { return save(tx, prefixCard+of.self.name.String(), row) }))
}

func keptCard(t *testing.T, a, of *Agent) (row looked) {
	t.Helper()
	must(t, a.vault.View(func(tx *vault.Tx) (err error) {
		row, _, err = load[looked](tx, prefixCard+of.self.name.String())
		return err
	}))
	return row
}
