package node

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// Of a domain that nobody here knows a user is told the key that DNS names, as one that nobody
// confirms, and it does not come into the directory by that. Where DNS names none there is nobody.
func TestLookUpAtStrangeDomain(t *testing.T) {
	m := newMesh(t, "a.test")
	ann := m.user("ann@a.test")
	strange, err := pki.ParseDomain("f.test")
	must(t, err)
	must(t, m.dns.Set(strange, dnstxt.Record{Fingerprint: pki.Fingerprint{7}, KeyServers: []string{"127.0.0.1:1"}}))
	for text, code := range map[string]session.Code{"fay@f.test": session.WrongKey, "gus@g.test": session.NotFound} {
		name, err := pki.ParseName(text)
		must(t, err)
		_, err = ann.client.Lookup(t.Context(), name)
		wantCode(t, err, code, "")
		var told *session.Error
		if want := code == session.WrongKey; !errors.As(err, &told) || want != (told.Shown == pki.Fingerprint{7}) {
			t.Errorf("%s: %+v", text, told)
		}
	}
	all, _, err := ann.client.Directory(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("%d servers in the directory, %v", len(all), err)
	}
}
