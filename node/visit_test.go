package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// visiting is a mesh of four with ann of a.test, of whom the others know what they will; a.test
// is dead.
func visiting(t *testing.T, more ...string) (*mesh, *user, *pki.Authority) {
	t.Helper()
	all := append([]string{"a.test", "b.test", "c.test", "d.test"}, more...)
	m := newMesh(t, all...)
	m.federate(all...)
	ann, home := m.user("ann@a.test"), m.authority("a.test")
	for _, at := range []string{"b.test", "c.test", "d.test"} {
		m.until(at+" to hear from two that they know a.test", func() error {
			if e := m.nodes[at].node.evidence(t.Context(), home.Domain()); len(e.Vouches) < 2 {
				return fmt.Errorf("vouches %v", e.Vouches)
			}
			return nil
		})
	}
	must(t, m.nodes["a.test"].end())
	for _, at := range all[1:] {
		m.linked(at, len(all)-2) // or packets would go over a.test
	}
	return m, ann, home
}

// visit logs in at another node than home.
func (u *user) visit(at string, home *pki.Authority) (session.Welcome, error) {
	u.mesh.t.Helper()
	u.connect(at)
	return u.client.Login(u.mesh.t.Context(), u.name, u.cert, u.key, home.CA().DER())
}

// The home is dead, and each source by itself, the two others being cut off, is enough to let its
// user in; without any, nobody is let in (row P2).
func TestVisit(t *testing.T) {
	m, ann, home := visiting(t)
	a := home.Domain()
	for path, cut := range map[session.Path]Cut{
		session.PathCache:     {DNS: true, KeyServers: true},
		session.PathDNS:       {Directory: a, KeyServers: true},
		session.PathKeyServer: {Directory: a, DNS: true},
		"":                    {Directory: a, DNS: true, KeyServers: true},
	} {
		t.Run("by "+string(path), func(t *testing.T) {
			must(t, m.nodes["c.test"].control.Cut(t.Context(), cut))
			welcome, err := ann.visit("c.test", home)
			if path == "" {
				wantCode(t, err, session.Unavailable, "c.test")
				return
			}
			must(t, err)
			v := welcome.Home
			if v.Domain != a || v.Path != path || v.Online || v.Gone || fmt.Sprint(v.Confirmed) != "[b.test d.test]" {
				t.Errorf("%+v", v)
			}
		})
	}
	must(t, m.nodes["c.test"].control.Cut(t.Context(), Cut{}))
	must(t, m.dns.Set(a, dnstxt.Record{Fingerprint: m.authority("b.test").CA().Fingerprint(), KeyServers: []string{"127.0.0.1:1"}}))
	_, err := ann.visit("c.test", home) // DNS alone does not take her home from her
	must(t, err)
}

// A home that is there is said to be.
func TestVisitWhileHomeIsThere(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	ann := m.user("ann@a.test")
	welcome, err := ann.visit("c.test", m.authority("a.test"))
	must(t, err)
	if !welcome.Home.Online || welcome.Home.Path != session.PathCache || welcome.Domain.String() != "c.test" {
		t.Errorf("%+v", welcome)
	}
}

// What another domain signed for a name of a.test lets nobody in anywhere, whoever it says has
// signed it (row K1); nor does what a made-up authority of a.test signed.
func TestVisitRefusesAnothersSignature(t *testing.T) {
	m, ann, home := visiting(t)
	b := m.authority("b.test")
	seed := b.Marshal()[1 : 1+ed25519.SeedSize]
	posing := authorityOf(t, home.Domain(), seed) // of a.test, by the key of b.test
	made := authorityOf(t, home.Domain(), bytes.Repeat([]byte{7}, ed25519.SeedSize))
	for what, x := range map[string]struct {
		cert []byte
		by   *pki.Authority
		text string
	}{
		"by b.test":                       {signedBy(t, b, seed, ann), b, "b.test may not sign for a.test"},
		"by b.test, and a.test's to show": {signedBy(t, b, seed, ann), home, "b.test may not sign for a.test"},
		"by b.test, as a.test":            {certify(t, posing, ann), posing, "b.test may not sign for a.test"},
		"by nobody, as a.test":            {certify(t, made, ann), made, "a.test did not sign this certificate"},
	} {
		for _, at := range []string{"b.test", "c.test", "d.test"} {
			t.Run(what+" at "+at, func(t *testing.T) {
				ann.connect(at)
				_, err := ann.client.Login(t.Context(), ann.name, x.cert, ann.key, x.by.CA().DER())
				wantCode(t, err, session.WrongKey, x.text)
				_, err = ann.client.Items(t.Context(), session.Items{})
				wantCode(t, err, session.NotLoggedIn, "")
			})
		}
	}
}

// Whose a key is that a certificate names is known as long as it is in office, without a look at
// all others.
func TestSigner(t *testing.T) {
	m := newMesh(t, "a.test")
	n := m.nodes["a.test"].node
	own, x := n.authority(), parse(t, pki.ParseDomain, "x.test")
	d := &directory{n: n, known: make(map[pki.Domain]known), signers: make(map[pki.Fingerprint]pki.Domain)}
	want := func(key pki.Fingerprint, domain string) {
		t.Helper()
		if got, ok := d.signer(key); got.String() != domain || ok != (domain != "") {
			t.Errorf("%s: %s", key, got)
		}
	}
	first, second := authorityOf(t, x, bytes.Repeat([]byte{1}, ed25519.SeedSize)), authorityOf(t, x, bytes.Repeat([]byte{2}, ed25519.SeedSize))
	for i, by := range []*pki.Authority{own, first, second, second} {
		d.know(pki.SignedDescriptor{Descriptor: pki.Descriptor{Domain: by.Domain(), CA: by.CA(), Serial: uint64(i)}})
	}
	want(own.CA().Fingerprint(), "a.test")
	want(first.CA().Fingerprint(), "")
	want(second.CA().Fingerprint(), "x.test")
	if len(d.signers) != len(d.known) {
		t.Errorf("%d keys of %d domains", len(d.signers), len(d.known))
	}
}

// A proof that was recorded, or that an evil node relays to another one, is good nowhere (row
// Y15); a certificate that has run out is not good for a home that only is not there.
func TestVisitRefusesRelayedProofs(t *testing.T) {
	m, ann, home := visiting(t)
	dialled := func(at string) *link.Conn {
		ca := m.authority(at).CA()
		conn, err := link.Dial(t.Context(), link.Config{
			Judge: func(leaf *x509.Certificate) error { return ca.VerifyLink(leaf, time.Now()) }, Dial: dial.Direct(),
		}, m.nodes[at].running.Link)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	say := func(conn *link.Conn, request []byte) string {
		must(t, conn.SendControl(request))
		answer, err := conn.Receive()
		must(t, err)
		return string(answer.Control)
	}
	evil, again, next := dialled("c.test"), dialled("c.test"), dialled("d.test")
	exported, err := evil.Exporter(pki.ExporterLabel, pki.ExporterSize)
	must(t, err)
	body, err := json.Marshal(session.Login{
		Name: ann.name, Certificate: ann.cert, Proof: ann.key.SignLogin([pki.ExporterSize]byte(exported), ann.name), Authority: home.CA().DER(),
	})
	must(t, err)
	login := []byte(`{"seq":1,"op":"login","body":` + string(body) + `}`)
	for what, conn := range map[string]*link.Conn{"relayed to another node": next, "replayed": again} {
		if answer := say(conn, login); !strings.Contains(answer, `"code":"refused","text":"the proof is not good on this link"`) {
			t.Errorf("%s: %s", what, answer)
		}
	}
	if answer := say(evil, login); !strings.Contains(answer, `"path":"cache"`) {
		t.Errorf("on its own link: %s", answer)
	}

	old, err := home.SignUser(rand.Reader, time.Now().Add(-time.Hour), requestOf(t, ann), time.Minute)
	must(t, err)
	ann.cert = old.DER()
	_, err = ann.visit("c.test", home)
	wantCode(t, err, session.Refused, "outside its time of validity")
}

// A home that has said nothing for long is gone: what it certified is good for a year more, and
// no longer.
func TestVisitOfTheHomeless(t *testing.T) {
	m, ann, home := visiting(t)
	n := m.nodes["c.test"].node
	known, err := n.cachedHome(t.Context(), home.Domain())
	must(t, err)
	now := time.Now()
	for _, x := range []struct {
		word  time.Duration // how long ago
		ended time.Duration
		good  bool
	}{
		{silentAfter - time.Hour, time.Hour, false}, {silentAfter + time.Hour, time.Hour, true},
		{silentAfter + time.Hour, takenFor - time.Hour, true}, {silentAfter + time.Hour, takenFor + time.Hour, false},
	} {
		long := authorityOf(t, home.Domain(), home.Marshal()[1:1+ed25519.SeedSize]) // the same, and older
		cert, err := long.SignUser(rand.Reader, now.Add(-x.ended-time.Minute), requestOf(t, ann), time.Minute)
		must(t, err)
		known.ca, known.word = long.CA(), now.Add(-x.word)
		_, err = n.visitorCert(t.Context(), asker{}, session.Login{Name: ann.name, Certificate: cert.DER()}, known)
		if (err == nil) != x.good {
			t.Errorf("silent for %v, ended %v ago: %v", x.word, x.ended, err)
		}
	}
}

// A visitor claims mailboxes, publishes where she is, is found and gets letters; with her home
// dead and only the visited node knowing where she went.
func TestVisitorIsReached(t *testing.T) {
	m, ann, home := visiting(t, "e.test")
	_, err := ann.visit("c.test", home)
	must(t, err)
	ctx := t.Context()
	until := uint32(mor.DayAt(time.Now())) + 7
	must(t, ann.client.Claim(ctx, []session.Mailbox{
		{Address: ann.requests, Kind: session.Requests, Until: until}, {Address: ann.replies, Kind: session.Replies, Until: until},
	}))
	wantCode(t, ann.client.Publish(ctx, ann.cardAt(home, 2, "a.test").Raw()), session.Refused, "does not name c.test")
	must(t, ann.client.Publish(ctx, ann.cardAt(home, 3, "c.test", "a.test").Raw()))
	wantCode(t, ann.client.Publish(ctx, ann.cardAt(home, 2, "c.test").Raw()), session.Refused, "a newer card")
	_, err = ann.client.Register(ctx, requestOf(t, ann).DER(), nil)
	wantCode(t, err, session.Refused, "c.test may not sign for a.test")

	bob := m.user("bob@b.test")
	found, err := bob.client.Lookup(ctx, ann.name)
	must(t, err)
	if !found.Away {
		t.Error("her home is said to have answered")
	}
	card, err := home.CA().VerifyCard(found.Card, time.Now())
	must(t, err)
	if fmt.Sprint(card.Spools) != "[c.test a.test]" {
		t.Errorf("she is said to be at %v", card.Spools)
	}
	bob.sender.SetServers(bob.serversBut("a.test"))
	id, frame := bob.frame(mor.Address{Mailbox: card.Requests, Identity: ann.key.Fingerprint(), Spools: card.Spools})
	must(t, bob.client.Submit(ctx, frame))
	letter, err := mor.ParseLetter(ann.items()[0].Body)
	must(t, err)
	if letter.ID != id {
		t.Error("another letter")
	}
	if got := bob.receipt(); got.ID != id || got.Status != mor.Stored {
		t.Errorf("receipt %+v", got)
	}
	ann.sender = mor.NewSender(mor.SenderConfig{Rand: rand.Reader, Entry: m.nodes["c.test"].domain, Home: m.nodes["c.test"].domain})
	ann.sender.SetServers(ann.serversBut("a.test"))
	_, frame = ann.frame(mor.Address{Mailbox: bob.requests, Identity: bob.key.Fingerprint(), Spools: []pki.Domain{bob.name.Domain()}})
	must(t, ann.client.Submit(ctx, frame))
	if items := bob.items(); len(items) == 0 {
		t.Error("nothing came from her")
	}
}

// serversBut are those in the directory of u's node, but for one.
func (u *user) serversBut(domain string) []mor.Server {
	return slices.DeleteFunc(u.servers(), func(s mor.Server) bool { return s.Domain.String() == domain })
}

// cardAt is a card of u with these spools, under her home's authority, which may be dead.
func (u *user) cardAt(home *pki.Authority, serial uint64, spools ...string) pki.SignedCard {
	t := u.mesh.t
	t.Helper()
	cert, err := home.CA().VerifyUser(u.cert, time.Now())
	must(t, err)
	now := time.Now()
	c := pki.Card{Certificate: cert, Serial: serial, Issued: now, Expires: now.Add(pki.CardLifetime), Requests: u.requests}
	for _, s := range spools {
		c.Spools = append(c.Spools, parse(t, pki.ParseDomain, s))
	}
	card, err := pki.SignCard(u.key, c)
	must(t, err)
	return card
}

func requestOf(t testing.TB, u *user) pki.UserRequest {
	t.Helper()
	request, err := pki.NewUserRequest(rand.Reader, u.key, u.name)
	must(t, err)
	return request
}

// certify signs the key of u as an authority would.
func certify(t testing.TB, by *pki.Authority, u *user) []byte {
	t.Helper()
	cert, err := by.SignUser(rand.Reader, time.Now(), requestOf(t, u), pki.UserLifetime)
	must(t, err)
	return cert.DER()
}

// authorityOf is an authority of domain with a key of this seed, two years old.
func authorityOf(t *testing.T, domain pki.Domain, seed []byte) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority(io.MultiReader(bytes.NewReader(seed), rand.Reader), domain, time.Now().Add(-2*365*24*time.Hour))
	must(t, err)
	return a
}

// signedBy is a certificate for the name of u that by signed with its key, against its own rules.
func signedBy(t *testing.T, by *pki.Authority, seed []byte, u *user) []byte {
	t.Helper()
	parent, err := x509.ParseCertificate(by.CA().DER())
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, EmailAddresses: []string{u.name.String()},
	}, parent, ed25519.NewKeyFromSeed(u.key.Seed()).Public(), ed25519.NewKeyFromSeed(seed))
	must(t, err)
	return der
}
