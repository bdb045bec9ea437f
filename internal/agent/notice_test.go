package agent

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/pki"
)

// again is another program on the same folder.
func (w *world) again(tell func(error)) *Agent {
	w.t.Helper()
	cfg := w.a.cfg
	cfg.Tell = tell
	a, err := openFolder(cfg)
	must(w.t, err)
	a.self = w.a.self
	return a
}

// That a contact has ended her key is told once: by the next program that tells anything, whichever
// has heard of it, and when that ends at the latest. Who died while telling has told nobody.
func TestRevocationIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	revoked := func() somebody {
		s := w.user(w.domains["b.test"])
		w.met(s)
		r, err := s.key.RevokeKey(s.cert, w.now)
		must(t, err)
		w.feed = append(w.feed, r.Statement().Marshal(), r.Statement().Marshal())
		w.learn()
		return s
	}
	var told []error
	tell := func(err error) { told = append(told, err) }
	is := func(who somebody, all []error) {
		t.Helper()
		var trust *TrustError
		if len(all) != 1 || !errors.As(all[0], &trust) || trust.Name != who.name || trust.Verdict.Row != pki.RowRevoked {
			t.Errorf("told %v", all)
		}
	}

	bob := revoked() // heard by a program that says nothing
	dies := w.again(nil)
	is(bob, dies.Warnings())
	must(t, dies.vault.Close())
	next := w.again(tell)
	is(bob, next.Warnings())
	if again := next.Warnings(); len(again) > 0 {
		t.Errorf("told again: %v", again)
	}
	if other := w.again(nil); len(other.Warnings()) > 0 { // while next goes on
		t.Error("told by another program, too")
	} else {
		must(t, other.Close())
	}
	must(t, next.Close())
	if len(told) > 0 {
		t.Errorf("told again at the end: %v", told)
	}

	carol := revoked()
	must(t, w.again(tell).Close()) // a command that asks for no warnings
	is(carol, told)
	must(t, w.again(tell).Close())
	if len(told) != 1 {
		t.Errorf("told again: %v", told)
	}
	for _, who := range []somebody{bob, carol} {
		r, err := w.a.report(Subject{Name: who.name, Domain: who.name.Domain()}, pki.Fingerprint{})
		must(t, err)
		if r.Trust != Revoked || r.Problem() == nil {
			t.Errorf("a check says %+v", r)
		}
	}
}
