package agent

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// vouchers are those whose view, as it is kept, speaks for that key of a domain.
func (w *world) vouchers(of string, key pki.Fingerprint) (all []pki.Domain) {
	w.t.Helper()
	must(w.t, w.a.vault.View(func(tx *vault.Tx) error {
		b, err := w.a.bench(tx)
		for _, v := range b.vouches(domainOf(w.t, of)) {
			if v.Key == key {
				all = append(all, v.Peer)
			}
		}
		return err
	}))
	return all
}

// A key that the offline root took away signs nothing any more, and a key that handed over of itself
// signs no views, and nobody's certificate that could not have been signed before.
func TestFormerKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		byRoot, atOnce, later bool // whether what it certifies is good at once, and later
	}{"by the root": {true, false, false}, "of itself": {false, true, false}} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
		root, err := pki.NewOfflineRoot(rand.Reader)
		must(t, err)
		old, err := w.domains["b.test"].Commit(pki.Fingerprint{}, root.Fingerprint())
		must(t, err)
		w.domains["b.test"] = old
		w.agree(nil)
		w.directory()
		w.now = w.now.Add(time.Hour)
		fresh, s := w.succeeds(old)
		if c.byRoot {
			next, err := pki.NewSuccessor(rand.Reader)
			must(t, err)
			fresh, s, err = next.SucceedByRoot(rand.Reader, w.now, old.Commitment(), pki.Fingerprint{}, root)
			must(t, err)
		}
		w.feed = append(w.feed, s.Statement().Marshal())
		w.domains["b.test"] = fresh
		w.agree(nil)
		w.directory()
		is := w.standing("b.test")
		if is.pin.Key != fresh.CA().Fingerprint() || len(is.pin.Former) != 1 || is.evidence.Pin.Former[0] != old.CA().Fingerprint() {
			t.Fatalf("%s: pinned %+v", name, is.pin)
		}
		takes := func() bool {
			t.Helper()
			bob := w.user(old)
			_, err := signed(w.standing("b.test"), old.CA().Fingerprint(), func(ca pki.CACert) (pki.SignedCard, error) {
				return ca.VerifyCard(bob.card.Raw(), w.now)
			})
			if err != nil && !errors.Is(err, errAuthority) {
				t.Errorf("%s: %v", name, err)
			}
			return err == nil
		}
		if takes() != c.atOnce {
			t.Errorf("%s: at once %v", name, !c.atOnce)
		}
		evil := pki.Fingerprint{66}
		w.domains["b.test"] = old
		w.serial += 1 << 40
		w.says("b.test", w.sees("c.test", evil, time.Hour))
		w.domains["b.test"] = fresh
		w.learn()
		if by := w.vouchers("c.test", evil); len(by) > 0 {
			t.Errorf("%s: %s speaks by a former key", name, by)
		}
		w.now = w.now.Add(pki.UserLifetime)
		w.agree(nil)
		w.directory()
		if takes() != c.later {
			t.Errorf("%s: later %v", name, !c.later)
		}
	}
}

// Successions that lead nowhere do not keep those out that count: neither where a key is pinned, nor
// if they came before it was.
func TestFullOfHeirs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	domain := domainOf(t, "b.test")
	var junk [][]byte
	for range maxSuccessions {
		evil, err := pki.NewSuccessor(rand.Reader)
		must(t, err)
		_, s, err := evil.SucceedAlone(rand.Reader, w.now, pki.Commitment{Domain: domain, Key: pki.Fingerprint{9}}, pki.Fingerprint{})
		must(t, err)
		junk = append(junk, s.Statement().Marshal())
	}
	keep := func() {
		t.Helper()
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return w.a.keepStatements(tx, session.Stated{Statements: junk}) }))
	}
	must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(w.domains["b.test"])}))
	keep()
	if n := len(keysOf(t, w.a, prefixHeir)); n != maxStrays {
		t.Fatalf("%d were kept of a domain that is not pinned", n)
	}
	w.agree(nil)
	w.directory()
	keep()
	fresh, s := w.succeeds(w.domains["b.test"])
	w.feed = append(w.feed, s.Statement().Marshal())
	w.domains["b.test"] = fresh
	w.now = w.now.Add(time.Minute)
	w.agree(nil)
	w.directory()
	if is := w.standing("b.test"); is.pin.Key != fresh.CA().Fingerprint() || is.held() {
		t.Errorf("the heir is not pinned: row %d", is.verdict.Row)
	}
	keep()
	if n := len(keysOf(t, w.a, prefixHeir)); n != 1 {
		t.Errorf("%d are kept", n)
	}
}

// Strays of domains that are not pinned take no place of those that are, and what of them was left out
// is read again as soon as one is.
func TestFullOfStrays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	keep := func(statement []byte) {
		t.Helper()
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			return w.a.keepStatements(tx, session.Stated{Statements: [][]byte{statement}})
		}))
	}
	kept := func() int { return len(keysOf(t, w.a, prefixHeir)) }
	w.agree(func(_ string, s *pki.Sighting) {
		if s.Domain == domainOf(t, "d.test") {
			*s = pki.Sighting{Domain: s.Domain, DNS: s.DNS} // nobody confirms it yet
		}
	})
	w.directory()
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		return errors.Join(save(tx, keyStrays, maxStraysInAll), save(tx, prefixFeed+"a.test", feed{Since: 9, Began: w.now}))
	}))
	_, stray := w.succeeds(w.domains["d.test"])
	_, heir := w.succeeds(w.domains["b.test"])
	if keep(stray.Statement().Marshal()); kept() != 0 {
		t.Error("there was no room")
	}
	if keep(heir.Statement().Marshal()); kept() != 1 {
		t.Error("strays keep out what matters")
	}
	w.agree(nil)
	w.learn()
	if s := w.standing("d.test"); !s.pinned {
		t.Fatal("d.test is not pinned")
	}
	if left := keysOf(t, w.a, prefixFeed); len(left) > 0 {
		t.Error("what was left out is not read again")
	}
	if keep(stray.Statement().Marshal()); kept() != 2 {
		t.Error("what was left out is not taken in")
	}
	must(t, w.a.vault.View(func(tx *vault.Tx) error {
		if n, err := strays(tx); n != 0 || err != nil {
			t.Errorf("%d strays are counted, %v", n, err)
		}
		return nil
	}))
}

// No domain can fill up the place of all with its revocations; those of contacts are always taken in.
func TestEndedIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	revoked := func(by string, met bool) bool {
		t.Helper()
		s := w.user(w.domains[by])
		if met {
			w.met(s)
		}
		r, err := s.key.RevokeKey(s.cert, w.now)
		must(t, err)
		before := len(keysOf(t, w.a, prefixRevoked))
		w.feed = append(w.feed, r.Statement().Marshal(), r.Statement().Marshal())
		w.learn()
		return len(keysOf(t, w.a, prefixRevoked)) > before
	}
	tally := func(key string, n int) {
		t.Helper()
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, prefixTally+prefixRevoked+key, n) }))
	}
	tally("b.test", maxEndedOf-1)
	for i, c := range []struct {
		by        string
		met, want bool
	}{{"b.test", false, true}, {"b.test", false, false}, {"b.test", true, true}, {"c.test", false, true}} {
		if got := revoked(c.by, c.met); got != c.want {
			t.Errorf("%d: of %s: %t", i, c.by, got)
		}
	}
	tally("", maxEnded)
	if revoked("d.test", false) || !revoked("d.test", true) {
		t.Error("over all")
	}
}
