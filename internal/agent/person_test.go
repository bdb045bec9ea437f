package agent

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// A contact's pin stays, whatever her home shows; she is not written to while it shows another.
func TestAnotherKeyOfAContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	w.met(bob)
	other, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	err = w.write(w.certified(w.domains["b.test"], bob.name, other))
	var trust *TrustError
	if !errors.As(err, &trust) || trust.Subject != bob.name.String() || trust.Pinned != bob.key.Fingerprint() || trust.Shown != other.Fingerprint() {
		t.Errorf("another key: %v", err)
	}
	must(t, w.write(bob))
}

// Words that an owner has told pin a key for good: that of a name, although nobody confirms her
// home, and that of a domain in place of another one. Others pin nothing.
func TestAccept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(func(_ string, s *pki.Sighting) {
		if s.Domain == domainOf(t, "b.test") {
			*s = pki.Sighting{Domain: s.Domain, DNS: s.DNS}
		}
	})
	w.directory()
	bob := w.user(w.domains["b.test"])
	w.met(bob)
	if err := w.write(bob); err == nil {
		t.Error("wrote to somebody whom nobody confirms")
	}
	accept := func(s Subject, key pki.Fingerprint) error {
		owns, err := words.Fingerprint(words.Of(key))
		must(t, err)
		return w.a.acceptKey(s, bob.key.Fingerprint(), owns)
	}
	if err := accept(Subject{bob.name, bob.name.Domain()}, pki.Fingerprint{1}); !errors.Is(err, ErrWords) {
		t.Errorf("other words: %v", err)
	}
	must(t, accept(Subject{bob.name, bob.name.Domain()}, bob.key.Fingerprint()))
	must(t, w.write(bob))
	if s := w.trust(bob); s.Trust != Verified {
		t.Error(s)
	}
	must(t, accept(Subject{Domain: bob.name.Domain()}, w.key("b.test")))
	if s := w.standing("b.test"); s.pin.Trust != pki.Verified || s.pin.Key != w.key("b.test") {
		t.Errorf("the domain: %s", s.pin.Trust)
	}
	other := w.authority("b.test")
	must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(other)}))
	if err := w.write(bob); err == nil {
		t.Error("wrote to a home that shows another key")
	}
	must(t, accept(Subject{bob.name, bob.name.Domain()}, other.CA().Fingerprint()))
	if s := w.standing("b.test"); s.pin.Trust != pki.Verified || s.pin.Key != other.CA().Fingerprint() || len(s.pin.Former) > 0 {
		t.Errorf("the domain's other key: %+v", s.pin)
	}
}

// A home whose key server does not answer is marked as offline until it does, for a day at most.
func TestOfflineHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	for _, c := range []struct {
		err     error
		later   time.Duration
		offline bool
	}{
		{nil, 0, false},
		{session.Errorf(session.Unavailable, "no"), 0, true},
		{errors.New("the link has ended"), 0, true}, // that says nothing of b.test
		{errors.New("the link has ended"), cardKept, false},
		{session.Errorf(session.Unavailable, "no"), 0, true},
		{session.Errorf(session.NotFound, "nobody"), 0, false},
	} {
		w.now = w.now.Add(c.later)
		must(t, w.a.answered(bob.name, false, c.err))
		if s := w.trust(bob); s.Offline != c.offline || c.offline && s.String() != "home offline, key confirmed by c.test, d.test" {
			t.Errorf("%v: %s", c.err, s)
		}
	}
}

// What a node says of another key that is shown counts, whether or not it says which.
func TestWrongKeyIsEvidence(t *testing.T) {
	t.Parallel()
	for _, shown := range []pki.Fingerprint{{}, {7}} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
		w.agree(nil)
		w.directory()
		bob := w.user(w.domains["b.test"])
		refused := session.Errorf(session.WrongKey, "no")
		refused.Shown = shown
		var trust *TrustError
		if err := w.a.answered(bob.name, false, refused); !errors.As(err, &trust) || trust.Verdict.Row != pki.RowHomeAltered {
			t.Errorf("%s: %v", shown, err)
		}
		if err := w.write(bob); !errors.As(err, &trust) {
			t.Errorf("%s, then: %v", shown, err)
		}
	}
}
