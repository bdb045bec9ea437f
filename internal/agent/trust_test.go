package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// Another key than the pinned one: nothing is sent, and the pin stays.
func TestChangedKeys(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, anns := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	s := send(t, ann, bob.self.name, "hello", mor.StoredThere)
	read(t, bob)
	wait(t, ann, s, mor.Acknowledged)

	for _, key := range []string{prefixContact + bob.self.name.String(), prefixPin + "b.test", prefixPin + "a.test"} {
		undo := spoil(t, ann, key)
		again, err := Open(t.Context(), anns)
		must(t, err)
		must(t, again.vault.Update(func(tx *vault.Tx) error { tx.Delete(keyFetched); return nil }))
		_, err = again.Send(t.Context(), bob.self.name, "hello?", Way{})
		var changed *pki.KeyChangedError
		if !errors.As(err, &changed) {
			t.Errorf("%s: %v", key, err)
		}
		if left := keysOf(t, again, prefixOutbox); len(left) > 0 {
			t.Errorf("%s: something is on its way", key)
		}
		must(t, again.Close())
		undo()
	}
}

// spoil changes the first key in a record, and returns what undoes it.
func spoil(t *testing.T, a *Agent, key string) (undo func()) {
	t.Helper()
	var before []byte
	must(t, a.vault.Update(func(tx *vault.Tx) error {
		before, _ = tx.Get(key)
		if c, ok, err := load[contact](tx, key); err == nil && ok {
			c.Identity[0] ^= 1
			return save(tx, key, c)
		}
		p, _, err := load[pin](tx, key)
		p.Key[0] ^= 1
		return errors.Join(err, save(tx, key, p))
	}))
	return func() {
		must(t, a.vault.Update(func(tx *vault.Tx) error {
			tx.Put(key, before)
			must(t, tx.Range(prefixShown, func(key string, _ []byte) error { tx.Delete(key); return nil }))
			tx.Delete(keyFetched)
			return nil
		}))
	}
}

// A message under another key than the pinned one is not taken; it waits at the home.
func TestChangedSender(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	s := send(t, ann, bob.self.name, "first", mor.StoredThere)
	read(t, bob)
	wait(t, ann, s, mor.Acknowledged)
	undo := spoil(t, bob, prefixContact+ann.self.name.String())
	s = send(t, ann, bob.self.name, "second", mor.StoredThere)
	if texts := read(t, bob); len(texts) > 0 {
		t.Errorf("read %q", texts)
	}
	if trouble := bob.Trouble(); len(trouble) != 1 || len(bob.Trouble()) != 0 {
		t.Errorf("trouble %v", trouble)
	}
	undo()
	bob.disconnect() // on a new link the home is asked for everything
	if texts := read(t, bob); !slices.Equal(texts, []string{"second"}) {
		t.Errorf("read %q", texts)
	}
	wait(t, ann, s, mor.Acknowledged)
}

// DNS and key server must agree on the home's key.
func TestForgedHome(t *testing.T) {
	t.Parallel()
	m := here(t)
	name := m.name(t, "a.test")
	forger, err := dnstxt.Listen("127.0.0.1:0", "test")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); forger.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	domain, record, err := node.Record(filepath.Join(m.dir, "a.test"))
	must(t, err)
	record.Fingerprint[0] ^= 1
	must(t, forger.Set(domain, record))

	cfg := m.config(t)
	cfg.DNS = forger.Addr()
	var changed *pki.KeyChangedError
	if _, err := New(t.Context(), cfg, name); !errors.As(err, &changed) || changed.Pinned != record.Fingerprint {
		t.Errorf("forged record: %v", err)
	}
	cfg.DNS = m.dns
	a, err := New(t.Context(), cfg, name) // nothing was pinned by it
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	a.cfg.DNS = forger.Addr()
	if _, err := a.findHome(t.Context(), domain); !errors.As(err, &changed) || changed.Shown != record.Fingerprint {
		t.Errorf("forged record against the pin: %v", err)
	}
}

// A letter under another authority than the pinned one of its writer's home waits at our
// home. It is told of if she wrote it whom we know, for then it is her home's key that has
// changed; what anybody could have made up is not, and what is certainly made up is dropped.
func TestChangedHomeOfSender(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	eve, _ := m.user(t, "a.test")
	other, err := pki.NewAuthority(rand.Reader, ann.self.name.Domain(), time.Now())
	must(t, err)
	annsNew, evesNew := certify(t, other, ann.self.name, ann.self.key), certify(t, other, ann.self.name, eve.self.key)
	anns, _, err := ann.identity()
	must(t, err)

	bob, _ := m.user(t, "b.test")
	s := send(t, ann, bob.self.name, "hello", mor.StoredThere)
	read(t, bob)
	wait(t, ann, s, mor.Acknowledged)
	pinContact(t, bob, ann)

	left := 0
	for name, c := range map[string]struct {
		from    *Agent
		change  func(*message.Content)
		trouble bool // is told of
		stays   bool // at the home
	}{
		"her key, her home's new key": {ann, func(c *message.Content) { c.Certificate = annsNew }, true, true},
		"another key, some other authority": {eve, func(c *message.Content) {
			c.Name, c.Certificate = ann.self.name, evesNew
		}, false, true},
		"her name, the writer's certificate": {eve, func(c *message.Content) { c.Name = ann.self.name }, false, false},
		"her certificate, another's keys": {eve, func(c *message.Content) {
			c.Name, c.Certificate = ann.self.name, anns.Certificate
		}, false, false},
		"her new certificate, another's keys": {eve, func(c *message.Content) {
			c.Name, c.Certificate = ann.self.name, annsNew
		}, false, false},
	} {
		must(t, bob.Fetch(t.Context())) // again what was left there
		bob.Trouble()
		bob.counts = Counts{}
		submit(t, c.from, bob, c.change)
		eventually(t, bob, func() bool { return bob.counts.Unknown+len(bob.trouble) > 0 })
		trouble := bob.Trouble()
		if (len(trouble) > 0) != c.trouble || len(trouble) > 1 {
			t.Errorf("%s: told of %v", name, trouble)
		}
		for _, err := range trouble {
			var letter *CertifiedError // for nobody but she has shown it
			if !errors.As(err, &letter) || letter.Name != ann.self.name {
				t.Errorf("%s: told of %v", name, err)
			}
			var changed *pki.KeyChangedError
			if !errors.As(err, &changed) || changed.Subject != "a.test" || changed.Shown != other.CA().Fingerprint() {
				t.Errorf("%s: told of %v", name, err)
			}
		}
		before := left
		if left = letters(t, bob); left == before+1 != c.stays || left < before {
			t.Errorf("%s: %d letters are left at the home, before %d", name, left, before)
		}
	}
	if texts := read(t, bob); len(texts) > 0 {
		t.Errorf("read %q", texts)
	}
}

// letters counts what a new link finds at the home.
func letters(t *testing.T, a *Agent) (n int) {
	t.Helper()
	a.disconnect()
	must(t, a.Connect(t.Context()))
	items, err := a.items(t.Context(), 0)
	must(t, err)
	for _, item := range items {
		if !item.Reply {
			n++
		}
	}
	return n
}

// certify has an authority certify a key under a name.
func certify(t *testing.T, by *pki.Authority, name pki.Name, key pki.IdentityKey) []byte {
	t.Helper()
	request, err := pki.NewUserRequest(rand.Reader, key, name)
	must(t, err)
	certificate, err := by.SignUser(rand.Reader, time.Now(), request, pki.UserLifetime)
	must(t, err)
	return certificate.DER()
}
