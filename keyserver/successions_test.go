package keyserver

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// A key server tells the hand-overs of a domain's keys that it knows, whoever asks, and by
// whichever key; those of another domain are refused.
func TestSuccessions(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	_, err := w.client.Successions(t.Context(), w.endpoint, w.authority.Domain())
	wantErr(t, err, ErrNotFound)
	next, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	_, s, err := next.Succeed(rand.Reader, time.Now(), w.authority, pki.Fingerprint{})
	must(t, err)
	_, err = w.store.AddStatement(t.Context(), store.Statement{
		Kind: uint8(pki.StatementSuccession), Issuer: "a.test", ID: s.Says(), Serial: 1, Raw: s.Raw(),
	}, store.Room{Each: MaxSuccessions})
	must(t, err)
	all, err := w.client.Successions(t.Context(), w.endpoint, w.authority.Domain())
	must(t, err)
	if len(all) != 1 || all[0].Says() != s.Says() {
		t.Errorf("%d successions", len(all))
	}
	raw, err := w.server.successions(t.Context(), w.authority.Domain())
	must(t, err)
	for _, bad := range [][]byte{raw.body[:len(raw.body)-1], append(raw.body, 0), {0, 0}} {
		if _, err := decodeSuccessions(bad, w.authority.Domain()); err == nil {
			t.Errorf("%x is taken", bad)
		}
	}
	if _, err := decodeSuccessions(raw.body, domain(t, "b.test")); err == nil {
		t.Error("of another domain")
	}
}

// What users publish under the former authority is taken while it is named, and the descriptor
// of the new one takes the place of the old one's.
func TestSetAuthorities(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	next, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	fresh, _, err := next.Succeed(rand.Reader, time.Now(), w.authority, pki.Fingerprint{})
	must(t, err)
	ann := newPerson(t, w.authority, "ann@a.test")
	must(t, w.server.PublishDescriptor(t.Context(), descriptor(t, w.authority, 7)))
	w.server.SetAuthorities(fresh.CA())
	must(t, w.server.PublishDescriptor(t.Context(), descriptor(t, fresh, 3)))
	if diff, err := w.store.CompareRing(t.Context()); err != nil || !diff.Same() {
		t.Errorf("%+v, %v", diff, err)
	}
	wantErr(t, w.server.PublishCertificate(t.Context(), ann.cert), ErrNotOurs)
	w.server.SetAuthorities(fresh.CA(), w.authority.CA())
	must(t, w.server.PublishCertificate(t.Context(), ann.cert))
}
