package keyserver

import (
	"bytes"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// tell has the server tell of hand-overs.
func (w *logged) tell(t *testing.T, all ...pki.SignedSuccession) {
	t.Helper()
	for _, s := range all {
		_, err := w.store.AddStatement(t.Context(), store.Statement{
			Kind: uint8(pki.StatementSuccession), Issuer: s.Domain.String(), ID: s.Says(), Serial: 1, Raw: s.Raw(),
		}, store.Room{Each: MaxSuccessions})
		must(t, err)
	}
}

// rotate puts another authority into office, to whose word the server answers from then on.
func (w *logged) rotate(t *testing.T) pki.SignedSuccession {
	t.Helper()
	next, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	fresh, said, err := next.Succeed(rand.Reader, time.Now(), w.authority, pki.Fingerprint{})
	must(t, err)
	w.server.SetAuthorities(fresh.CA(), w.authority.CA())
	w.authority = fresh
	must(t, w.server.PublishDescriptor(t.Context(), w.descriptorWithLog(t)))
	w.endpoint = Endpoint{serve(t, w.server, certificate(t, fresh, time.Now())), fresh.CA().Fingerprint(), nil}
	return said
}

// Who trusts a former key goes on under the one in office, by the word of each between, and takes
// what the former ones certified; also from files.
func TestOutsiderFollows(t *testing.T) {
	w, by := outside(t)
	ann, of := w.publish(t, "ann@a.test"), Subject{Name: name(t, "ann@a.test")}
	first := w.rotate(t)
	second := w.rotate(t)
	w.tell(t, second, first)
	w.sealed(t)
	at := Endpoint{Address: w.endpoint.Address, CA: by.CA}
	for steps, c := range map[int]struct {
		at Endpoint
		ca pki.Fingerprint
		of Subject
	}{
		2: {at, by.CA, of},                                                                             // both by the former key
		3: {w.endpoint, w.endpoint.CA, Subject{Key: ann.key.Fingerprint()}},                            // only she is: two steps
		1: {Endpoint{at.Address, first.New(), nil}, first.New(), Subject{Domain: domain(t, "a.test")}}, // only one
	} {
		trusted := Trusted{c.ca, by.Witnesses, 2}
		s, err := w.client.Show(t.Context(), c.at, c.of, trusted)
		must(t, err)
		kept, err := ParseSuccessions(MarshalSuccessions(s.Successions))
		must(t, err)
		s.Successions = kept
		l, err := s.Verify(c.of, trusted, time.Now())
		must(t, err)
		if want := min(steps, 2); len(l.Handed) != want || len(kept) != want || l.Handed[want-1].Is != w.endpoint.CA || l.Cosigned() != 2 {
			t.Errorf("%+v, of %d", l, len(kept))
		}
		s.Successions = kept[1:]
		_, err = s.Verify(c.of, trusted, time.Now())
		wantErr(t, err, ErrWrongKey)
	}
}

// A key that nobody handed over to, or only by a word that is forged, broken off or the offline
// root's, is another key.
func TestOutsiderFollowsNoForgery(t *testing.T) {
	newSuccessor := func() pki.Successor {
		s, err := pki.NewSuccessor(rand.Reader)
		must(t, err)
		return s
	}
	now := time.Now()
	for what, forge := range map[string]func(was *pki.Authority, good pki.SignedSuccession) []pki.SignedSuccession{
		"nothing": func(*pki.Authority, pki.SignedSuccession) []pki.SignedSuccession { return nil },
		"by a namesake": func(*pki.Authority, pki.SignedSuccession) []pki.SignedSuccession {
			_, s, err := newSuccessor().Succeed(rand.Reader, now, authority(t, "a.test"), pki.Fingerprint{})
			must(t, err)
			return []pki.SignedSuccession{s}
		},
		"by the new key alone": func(was *pki.Authority, _ pki.SignedSuccession) []pki.SignedSuccession {
			_, s, err := newSuccessor().SucceedAlone(rand.Reader, now, was.Commitment(), pki.Fingerprint{})
			must(t, err)
			return []pki.SignedSuccession{s}
		},
		"two": func(was *pki.Authority, good pki.SignedSuccession) []pki.SignedSuccession {
			_, s, err := newSuccessor().Succeed(rand.Reader, now, was, pki.Fingerprint{})
			must(t, err)
			return []pki.SignedSuccession{good, s}
		},
		"and a root": func(was *pki.Authority, good pki.SignedSuccession) []pki.SignedSuccession {
			root, err := pki.NewOfflineRoot(rand.Reader)
			must(t, err)
			_, s, err := newSuccessor().SucceedByRoot(rand.Reader, now, was.Commitment(), pki.Fingerprint{}, root)
			must(t, err)
			return []pki.SignedSuccession{good, s}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w, by := outside(t)
			w.publish(t, "ann@a.test")
			was := w.authority
			good := w.rotate(t)
			w.tell(t, forge(was, good)...)
			w.sealed(t)
			for _, trusted := range []Trusted{by, {CA: w.endpoint.CA}} { // the former key, and a card by it
				_, err := w.client.Show(t.Context(), Endpoint{Address: w.endpoint.Address, CA: trusted.CA}, Subject{Name: name(t, "ann@a.test")}, trusted)
				var changed *pki.KeyChangedError
				var broken *pki.NotHandedError
				if !errors.Is(err, ErrWrongKey) || !errors.As(err, &broken) || !errors.As(err, &changed) || changed.Shown != w.endpoint.CA && changed.Pinned != w.endpoint.CA {
					t.Error(err)
				}
			}
		})
	}
}

func FuzzSuccessions(f *testing.F) {
	r, now := mathrand.NewChaCha8([32]byte{1}), time.Unix(1_800_000_000, 0) // the same seeds in every process
	a, err := pki.NewAuthority(r, domain(f, "a.test"), now)
	must(f, err)
	next, err := pki.NewSuccessor(r)
	must(f, err)
	_, s, err := next.Succeed(r, now, a, pki.Fingerprint{})
	must(f, err)
	f.Add(MarshalSuccessions([]pki.SignedSuccession{s, s}))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := ParseSuccessions(raw)
		if err == nil && !bytes.Equal(MarshalSuccessions(all), raw) {
			t.Error("another way to write it")
		}
	})
}
