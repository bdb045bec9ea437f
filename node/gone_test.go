package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// aged is the authority of a domain as it would be had it been made two years ago: what it has
// signed since is what a home leaves behind.
func aged(t *testing.T, a *pki.Authority) *pki.Authority {
	t.Helper()
	return authorityOf(t, a.Domain(), a.Marshal()[1:1+ed25519.SeedSize])
}

// lastWord makes the descriptor that a node has of a domain as old as that, as if nothing had
// come since.
func (m *mesh) lastWord(at string, by *pki.Authority, ago time.Duration) {
	m.t.Helper()
	d := m.nodes[at].node.directory
	known, err := d.descriptor(m.t.Context(), by.Domain())
	must(m.t, err)
	old := known.Descriptor
	old.CA, old.Serial = by.CA(), known.Serial+1
	old.Issued = time.Now().Add(-ago)
	old.Expires = old.Issued.Add(pki.DescriptorLifetime)
	signed, err := by.SignDescriptor(old)
	must(m.t, err)
	fresh, err := d.n.store.PutServer(m.t.Context(), serverOf(signed))
	if must(m.t, err); !fresh {
		m.t.Fatal("the last word was not taken")
	}
}

// ranOut is a certificate of u that ended so long ago.
func (u *user) ranOut(by *pki.Authority, ago time.Duration) []byte {
	u.mesh.t.Helper()
	cert, err := by.SignUser(rand.Reader, time.Now().Add(-ago-pki.UserLifetime), requestOf(u.mesh.t, u), pki.UserLifetime)
	must(u.mesh.t, err)
	return cert.DER()
}

// A home has died and nobody will renew what it certified. For a week its users can do no more
// than wait; then its peers take the last certificates, and say so, for a year after their end,
// and no longer; not of a key that was revoked. Who comes so gets her letters.
func TestHomeGone(t *testing.T) {
	t.Parallel()
	m, ann, home := visiting(t, "e.test") // two relays without b.test and c.test
	was := aged(t, home)
	const day = 24 * time.Hour
	for _, x := range []struct {
		what          string
		silent, ended time.Duration
		good          bool
	}{
		{"silent for six days", 6 * day, time.Hour, false},
		{"silent for eight days", 8 * day, time.Hour, true},
		{"silent and ended for eleven months", 330 * day, 329 * day, true},
		{"ended for over a year", 380 * day, 366 * day, false},
	} {
		t.Run(x.what, func(t *testing.T) {
			m.lastWord("c.test", was, x.silent)
			ann.cert = ann.ranOut(was, x.ended)
			welcome, err := ann.visit("c.test", home)
			if !x.good {
				wantCode(t, err, session.Refused, "outside its time of validity")
				return
			}
			must(t, err)
			if v := welcome.Home; !v.Gone || v.Online || v.Path != session.PathCache || v.Domain != home.Domain() {
				t.Errorf("%+v", v)
			}
		})
	}

	m.lastWord("c.test", was, 100*day)
	ann.cert = ann.ranOut(was, 95*day)
	_, err := ann.visit("c.test", home)
	must(t, err)
	until := uint32(mor.DayAt(time.Now())) + 7
	must(t, ann.client.Claim(t.Context(), []session.Mailbox{
		{Address: ann.requests, Kind: session.Requests, Until: until}, {Address: ann.replies, Kind: session.Replies, Until: until},
	}))
	bob := m.user("bob@b.test")
	bob.sender.SetServers(bob.serversBut("a.test"))
	id, frame := bob.frame(mor.Address{Mailbox: ann.requests, Identity: ann.key.Fingerprint(), Spools: domainsOf(t, "c.test")})
	must(t, bob.client.Submit(t.Context(), frame))
	letter, err := mor.ParseLetter(ann.items()[0].Body)
	if must(t, err); letter.ID != id {
		t.Error("another letter")
	}

	end, err := ann.key.RevokeKey(ann.cert, time.Now())
	must(t, err)
	must(t, bob.client.Revoke(t.Context(), end.Raw()))
	ann.obeyed(home, "c.test")
}

func domainsOf(t *testing.T, names ...string) (all []pki.Domain) {
	t.Helper()
	for _, name := range names {
		all = append(all, parse(t, pki.ParseDomain, name))
	}
	return all
}
