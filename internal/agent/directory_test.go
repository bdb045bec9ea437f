package agent

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A copy that is built from an old directory is lost if the relays have other keys by now. The
// next one is built from a fresh one.
func TestKeysThatWereLost(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	m.fallBehind(t, ann, "c.test", "d.test") // there are no other relays
	s, err := ann.Send(t.Context(), bob.self.name, "hello", Way{})
	must(t, err)
	due(t, ann, s)
	wait(t, ann, s, mor.StoredThere)
}

// A directory that cannot be had keeps no copy back, and is not asked for again at once.
func TestNoFreshDirectory(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	s, err := ann.Send(t.Context(), bob.self.name, "hello", Way{})
	must(t, err)
	m.fallBehind(t, ann, "c.test", "d.test")
	due(t, ann, s)
	none, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, ann.freshen(none))
	asked := ann.fresh
	must(t, ann.freshen(t.Context()))
	if asked.IsZero() || !ann.fresh.Equal(asked) {
		t.Errorf("asked at %s and %s", asked, ann.fresh)
	}
	copies, _, err := ann.tick()
	must(t, err)
	if len(copies) != 1 {
		t.Errorf("%d copies", len(copies))
	}
}

// due makes a message due for its next copy.
func due(t *testing.T, a *Agent, s Status) {
	t.Helper()
	must(t, a.vault.Update(func(tx *vault.Tx) error {
		r, _, err := load[outgoing](tx, prefixOutbox+s.ID)
		r.Next = time.Time{}
		must(t, err)
		return save(tx, prefixOutbox+s.ID, r)
	}))
}

// fallBehind gives an agent descriptors of two minutes ago, from before the servers lost
// their keys.
func (m *mesh) fallBehind(t *testing.T, a *Agent, domains ...string) {
	t.Helper()
	must(t, a.vault.Update(func(tx *vault.Tx) error {
		for _, domain := range domains {
			raw, ok := tx.Get(prefixServer + domain)
			if !ok {
				t.Fatalf("%s is not in the directory", domain)
			}
			now, err := pki.ParseDescriptor(raw)
			must(t, err)
			tx.Put(prefixServer+domain, m.before(t, now).Raw())
		}
		return save(tx, keyFetched, a.now().Add(-2*time.Minute))
	}))
}

// before is a descriptor that d replaced, with other keys.
func (m *mesh) before(t *testing.T, d pki.SignedDescriptor) pki.SignedDescriptor {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(m.dir, d.Domain.String(), "keys", "authority"))
	must(t, err)
	authority, err := pki.ParseAuthority(secret)
	must(t, err)
	old := d.Descriptor
	old.Serial--
	old.ServerKeys = nil
	for _, k := range d.ServerKeys {
		other, err := onion.NewServerKey(rand.Reader)
		must(t, err)
		k.Public = [pki.ServerKeySize]byte(other.Public().Bytes())
		old.ServerKeys = append(old.ServerKeys, k)
	}
	signed, err := authority.SignDescriptor(old)
	must(t, err)
	return signed
}
