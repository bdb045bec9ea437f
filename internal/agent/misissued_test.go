package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// posing is an authority that says it is of a domain, and has the key of another one.
func (w *world) posing(as, by string) *pki.Authority {
	w.t.Helper()
	seed := w.domains[by].Marshal()[1 : 1+ed25519.SeedSize]
	a, err := pki.NewAuthority(io.MultiReader(bytes.NewReader(seed), rand.Reader), domainOf(w.t, as), w.now)
	must(w.t, err)
	return a
}

// What a domain has certified of another's names is told of, and thrown away; what anybody can
// make that says the same is counted, and no more.
func TestMisissued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	forged, bad := w.user(w.posing("c.test", "b.test")), w.key("b.test")
	good := w.user(w.domains["c.test"])
	invented := bytes.Clone(forged.cert)
	invented[len(invented)-1] ^= 1 // of the signature
	for name, c := range map[string]struct {
		issuer pki.Fingerprint
		cert   []byte
		wrong  bool
	}{
		"by b.test":      {bad, forged.cert, true},
		"by nobody":      {bad, invented, false},
		"by its home":    {w.key("c.test"), good.cert, false},
		"by a stranger":  {pki.Fingerprint{1}, forged.cert, false},
		"no certificate": {bad, []byte{1}, false},
	} {
		wrong, err := w.a.forged(forged.name, c.issuer, c.cert)
		if err != nil || (wrong != nil) != c.wrong || wrong != nil && wrong.By != domainOf(t, "b.test") {
			t.Errorf("%s: %v, %v", name, wrong, err)
		}
	}

	wrong, err := w.a.forged(forged.name, bad, forged.cert)
	must(t, err)
	drop, err := w.a.held(session.Item{}, message.Content{Name: forged.name, Certificate: forged.cert, At: w.now}, wrong)
	if trouble := w.a.Trouble(); err != nil || !drop || len(trouble) != 1 || !errors.As(trouble[0], &wrong) {
		t.Errorf("dropped %v: %v, %v", drop, trouble, err)
	}

	refused := session.Errorf(session.WrongKey, "no")
	refused.Shown = bad
	var card *CardError
	if err := w.a.answered(good.name, false, refused); !errors.As(err, &card) { // our node's word alone
		t.Errorf("a look-up: %v", err)
	}
	unvouched, err := pki.ParseCard(forged.card.Raw())
	must(t, err)
	if err := w.a.certifiedBy(unvouched, true); !errors.As(err, &wrong) || err.Error() != "b.test may not sign for c.test" {
		t.Errorf("a card: %v", err)
	}
	if s := w.standing("c.test"); s.held() {
		t.Error("c.test is held for what b.test did")
	}
}

// A domain's key that was accepted before our node took it: nothing is sent until that has, and
// the old one can be accepted again.
func TestAcceptAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob, fresh, old := w.user(w.domains["b.test"]), w.authority("b.test"), w.key("b.test")
	is := fresh.CA().Fingerprint()
	w.met(bob)
	var trust *TrustError
	if err := w.a.showsOther(bob.name.Domain(), is); !errors.As(err, &trust) {
		t.Fatal(err)
	}
	accept := func(key pki.Fingerprint, held bool) {
		t.Helper()
		owns, err := words.Fingerprint(words.Of(key))
		must(t, err)
		must(t, w.a.acceptKey(Subject{Domain: bob.name.Domain()}, pki.Fingerprint{}, owns))
		if s := w.standing("b.test"); s.pin.Key != key || s.pin.Trust != pki.Verified || s.held() != held {
			t.Errorf("accepted: %+v", s.pin)
		}
	}
	accept(is, true)
	if err := w.write(bob); !errors.As(err, &trust) {
		t.Errorf("then: %v", err)
	}
	if err := w.a.showsOther(bob.name.Domain(), is); !errors.As(err, &trust) { // our node says so again
		t.Errorf("looked up: %v", err)
	}
	must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(w.domains["b.test"])}))
	accept(old, false)
	if err := w.a.showsOther(bob.name.Domain(), is); !errors.As(err, &trust) {
		t.Fatal(err)
	}
	accept(is, true)

	w.domains["b.test"] = fresh
	w.now = w.now.Add(1)
	w.agree(nil)
	w.directory()
	if s := w.standing("b.test"); !s.confirmed() || s.pin.Key != is {
		t.Errorf("when all have it: row %d", s.verdict.Row)
	}
}
