package keyserver

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// descriptorOf is that of a witness: its log's keys do not matter here.
func descriptorOf(t *testing.T, a *pki.Authority, w keylog.Witness) pki.SignedDescriptor {
	t.Helper()
	log, err := pki.NewLogKey(rand.Reader)
	must(t, err)
	now := time.Now()
	d, err := a.SignDescriptor(pki.Descriptor{
		Serial: 1, Issued: now, Expires: now.Add(pki.DescriptorLifetime),
		ServerKeys: make([]pki.ServerKey, 1), Links: []string{"127.0.0.1:7001"}, KeyServers: []string{"127.0.0.1:7002"},
		Log: log.Public(), Witness: w.Key, Labels: labelKey(t).Public(),
	})
	must(t, err)
	return d
}

// outside is a world with three witnesses, of which the server knows the first two.
func outside(t *testing.T) (*logged, Trusted) {
	t.Helper()
	c := newCosigners(t, "b.test", "c.test", "d.test")
	w := newLogged(t, c)
	must(t, w.server.PublishDescriptor(t.Context(), w.descriptorWithLog(t)))
	by := Trusted{CA: w.endpoint.CA, Quorum: 2}
	for i, k := range c.known {
		a := authority(t, k.Domain.String())
		by.Witnesses = append(by.Witnesses, TrustedWitness{k.Domain, a.CA().Fingerprint()})
		if i < 2 {
			must(t, w.server.PublishDescriptor(t.Context(), descriptorOf(t, a, k)))
		}
	}
	return w, by
}

// Who has nothing but fingerprints verifies a user and a domain, by any of their names, and again
// without the server.
func TestOutsiderVerifies(t *testing.T) {
	w, by := outside(t)
	ann := w.publish(t, "ann@a.test")
	w.sealed(t)
	key := ann.key.Fingerprint()
	for want, of := range map[pki.Fingerprint][]Subject{
		key:   {{Name: name(t, "ann@a.test")}, {Key: key}},
		by.CA: {{Domain: domain(t, "a.test")}},
	} {
		for _, of := range of {
			shown, err := w.client.Show(t.Context(), w.endpoint, of, by)
			must(t, err)
			l, err := shown.Verify(of, by, time.Now())
			must(t, err)
			if l.Fingerprint != want || l.Log != "a.test/p3do/log" || l.Index >= l.Size || l.Cosigned() != 2 || l.Witnesses[2].Counts {
				t.Errorf("%+v", l)
			}
		}
	}
}

// What contradicts, what is silent and what is malformed are told apart.
func TestOutsiderIsNotFooled(t *testing.T) {
	w, by := outside(t)
	w.publish(t, "ann@a.test")
	w.publish(t, "bob@a.test")
	w.sealed(t)
	of := Subject{Name: name(t, "ann@a.test")}
	good, err := w.client.Show(t.Context(), w.endpoint, of, by)
	must(t, err)
	other, err := w.client.Show(t.Context(), w.endpoint, Subject{Name: name(t, "bob@a.test")}, by)
	must(t, err)
	never := newPerson(t, w.authority, "ann@a.test").card(t, 9).Raw()                                   // signed, and not in the log
	forged := newPerson(t, authority(t, "a.test"), "ann@a.test").card(t, 9).Raw()                       // by another key of that domain
	moot := descriptorOf(t, authority(t, "b.test"), w.cosigners.known[0])                               // of a witness
	noLog := Shown{good.Record, good.Proof, []pki.SignedDescriptor{descriptor(t, w.authority, 9)}, nil} // names none
	for what, c := range map[string]struct {
		shown Shown
		want  error
	}{
		"another proof":      {Shown{good.Record, other.Proof, good.Descriptors, nil}, keylog.ErrProof},
		"another's card":     {Shown{other.Record, other.Proof, good.Descriptors, nil}, ErrBadAnswer},
		"not in the log":     {Shown{never, good.Proof, good.Descriptors, nil}, keylog.ErrProof},
		"another authority":  {Shown{forged, good.Proof, good.Descriptors, nil}, ErrWrongKey},
		"no record":          {Shown{nil, good.Proof, good.Descriptors, nil}, ErrBadAnswer},
		"no proof":           {Shown{good.Record, nil, good.Descriptors, nil}, keylog.ErrProof},
		"no descriptor":      {Shown{good.Record, good.Proof, nil, nil}, ErrBadAnswer},
		"no log":             {noLog, ErrBadAnswer},
		"no witness":         {Shown{good.Record, good.Proof, good.Descriptors[:1], nil}, keylog.ErrQuorum},
		"a witness's rival":  {Shown{good.Record, good.Proof, append(good.Descriptors[:1:1], moot), nil}, ErrWrongKey},
		"another descriptor": {Shown{good.Record, good.Proof, []pki.SignedDescriptor{descriptor(t, authority(t, "a.test"), 9)}, nil}, ErrWrongKey},
	} {
		if _, err := c.shown.Verify(of, by, time.Now()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", what, err, c.want)
		}
	}
	if l, err := good.Verify(of, Trusted{CA: by.CA, Witnesses: by.Witnesses, Quorum: 3}, time.Now()); !errors.Is(err, keylog.ErrQuorum) || l.Cosigned() != 2 {
		t.Errorf("three of two: %+v, %v", l, err)
	}
	self := Trusted{CA: by.CA, Witnesses: []TrustedWitness{{domain(t, "a.test"), by.CA}}, Quorum: 1}
	if _, err := good.Verify(of, self, time.Now()); !errors.Is(err, keylog.ErrQuorum) {
		t.Errorf("a domain is its own witness: %v", err)
	}
	copycat := authority(t, "d.test") // names another witness's key as its own
	both := append(good.Descriptors[:len(good.Descriptors):len(good.Descriptors)], descriptorOf(t, copycat, keylog.Witness{Domain: domain(t, "d.test"), Key: w.cosigners.known[0].Key}))
	with := append(by.Witnesses[:2:2], TrustedWitness{domain(t, "d.test"), copycat.CA().Fingerprint()})
	if l, err := (Shown{good.Record, good.Proof, both, nil}).Verify(of, Trusted{by.CA, with, 2}, time.Now()); err != nil || l.Cosigned() != 2 || l.Witnesses[2].Counts {
		t.Errorf("beside a copycat: %+v, %v", l, err)
	}
	_, err = good.Verify(of, by, time.Now().Add(-48*time.Hour))
	wantErr(t, err, pki.ErrTime)
	_, err = w.client.Show(t.Context(), w.endpoint, Subject{Name: name(t, "eve@a.test")}, by)
	wantErr(t, err, ErrNotFound)
}

// Beside a card that is held there is its proof, if it is ours and fits.
func TestHeldProof(t *testing.T) {
	w, _ := outside(t)
	ann := w.publish(t, "ann@a.test")
	w.sealed(t)
	card, err := w.server.HeldCard(t.Context(), name(t, "ann@a.test"))
	must(t, err)
	key, nobody := ann.key.Fingerprint(), pki.Name{}
	held := func(n pki.Name, key pki.Fingerprint, card []byte, most int) int {
		return len(w.server.HeldProof(t.Context(), n, key, card, most))
	}
	proofs := func() (byName, byKey int) {
		return held(name(t, "ann@a.test"), pki.Fingerprint{}, card, 2048), held(nobody, key, card, 2048)
	}
	byName, byKey := proofs()
	for again, _ := proofs(); again != byName; again, _ = proofs() { // another cosignature came
		byName, byKey = proofs()
	}
	if byName == 0 || byKey != byName {
		t.Errorf("proofs of %d and %d bytes", byName, byKey)
	}
	if n := held(nobody, key, card, byKey-1); n == 0 || n >= byKey {
		t.Errorf("%d bytes, where %d are too many", n, byKey)
	}
	if held(nobody, key, card, 300)+held(nobody, key, nil, 2048)+held(nobody, pki.Fingerprint{1}, nil, 2048)+held(name(t, "bob@b.test"), pki.Fingerprint{}, nil, 2048) > 0 {
		t.Error("a proof that is too long, or of nothing")
	}
}

// A copy that was fetched for somebody is not told of; one of somebody who can be reached here is, and she
// says so herself.
func TestHeldCopies(t *testing.T) {
	w, _ := outside(t)
	other := authority(t, "b.test")
	for _, here := range []bool{false, true} {
		bob := newPerson(t, other, fmt.Sprintf("bob%t@b.test", here))
		spools := []pki.Domain{domain(t, "b.test")}
		if here {
			spools = append(spools, domain(t, "a.test"))
		}
		card, err := pki.SignCard(bob.key, pki.Card{
			Certificate: bob.cert, Serial: 1, Issued: time.Now(), Expires: time.Now().Add(pki.CardLifetime), Spools: spools,
		})
		must(t, err)
		must(t, w.store.PutCachedUser(t.Context(), store.User{
			Name: bob.cert.Name().String(), Fingerprint: bob.key.Fingerprint(), Certificate: bob.cert.DER(), Card: card.Raw(), Serial: 1,
			NotAfter: bob.cert.NotAfter(), StoredAt: time.Now(),
		}))
		byName, err := w.server.HeldCard(t.Context(), bob.cert.Name())
		byKey, failed := w.server.HeldCardOf(t.Context(), bob.key.Fingerprint())
		if held := err == nil && failed == nil && bytes.Equal(byName, card.Raw()) && bytes.Equal(byKey, byName); held != here || !here && (len(byName)+len(byKey) > 0 || !errors.Is(err, ErrNotFound) || !errors.Is(failed, ErrNotFound)) {
			t.Errorf("reached here %t: held %t: %v, %v", here, held, err, failed)
		}
	}
}
