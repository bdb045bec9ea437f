package agent

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// Who was met while her home showed a thief's key, and nobody confirmed it, is not written to by
// what she said then, nor trusted for it, when the home's own key is confirmed.
func TestMetWhileUnconfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	real, fake := w.domains["b.test"], w.authority("b.test")
	w.agree(func(_ string, s *pki.Sighting) {
		if s.Domain == real.Domain() {
			*s = pki.Sighting{Domain: s.Domain, DNS: fake.CA().Fingerprint()}
		}
	})
	w.domains["b.test"] = fake
	w.directory()
	bob := w.user(fake)
	w.met(bob)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		c, _, err := load[contact](tx, prefixContact+bob.name.String())
		c.Seal, c.Auth, c.Theirs = make([]byte, pki.SealSize), make([]byte, message.AuthSize), make([]byte, 32)
		c.Spools, c.Stated = []pki.Domain{fake.Domain()}, w.now
		return errors.Join(err, save(tx, prefixContact+bob.name.String(), c))
	}))
	w.domains["b.test"] = real
	w.now = w.now.Add(time.Minute)
	for range 2 {
		w.agree(nil)
		w.directory()
	}
	if !w.standing("b.test").confirmed() {
		t.Fatal("the home is not confirmed")
	}
	if to, err := w.a.unlooked(bob.name, session.Errorf(session.Unavailable, "no")); err == nil {
		t.Errorf("written to by key %s", to.id)
	}
	w.met(bob) // by a certificate of the thief's
	if known, err := w.a.pinned(bob.name, bob.key.Fingerprint()); known || err != nil {
		t.Errorf("pinned: %v, %v", known, err)
	}
	hers := w.certified(real, bob.name, w.user(real).key)
	must(t, w.write(hers))
	w.met(hers)
	if known, err := w.a.pinned(hers.name, hers.key.Fingerprint()); !known || err != nil {
		t.Errorf("her own key is not pinned: %v", err)
	}
}

// What a contact states by a clock that is ahead counts as stated now.
func TestStatedAhead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var c contact
	c.stated(message.Content{At: now.Add(24 * time.Hour)}, now)
	c.stated(message.Content{At: now.Add(time.Second), Spools: []pki.Domain{domainOf(t, "b.test")}}, now.Add(time.Second))
	if len(c.Spools) != 1 || c.Stated.After(now.Add(time.Second)) {
		t.Errorf("%+v", c)
	}
}

// Of two programs that restore into one folder at once, one is told that it is taken, if both
// are not, and what the other said to have restored is there.
func TestRestoreAtOnce(t *testing.T) {
	t.Parallel()
	a := keyonly(t)
	text, err := a.BackupWords()
	must(t, err)
	var file bytes.Buffer
	must(t, a.backup(&file, []byte("paper"), 10))
	for name, restore := range map[string]func(Config) (*Agent, error){
		"words": func(cfg Config) (*Agent, error) { return RestoreWords(cfg, text, pki.Name{}) },
		"file":  func(cfg Config) (*Agent, error) { return Restore(cfg, bytes.NewReader(file.Bytes()), []byte("paper")) },
	} {
		cfg := fresh(t)
		var all sync.WaitGroup
		var done [2]*Agent
		var failed [2]error
		for i := range done {
			all.Go(func() { done[i], failed[i] = restore(cfg) })
		}
		all.Wait()
		won := 0
		for i, b := range done {
			if b != nil {
				won++
				must(t, b.Close())
			} else if failed[i] == nil {
				t.Errorf("%s: neither", name)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d have restored: %v", name, won, failed)
		}
		again, err := Open(t.Context(), cfg)
		must(t, err)
		must(t, again.Close())
	}
}
