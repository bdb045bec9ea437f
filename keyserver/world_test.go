package keyserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// world is one domain with its key server, listening on loopback.
type world struct {
	authority *pki.Authority
	store     *store.Store
	path      string // of its database
	server    *Server
	endpoint  Endpoint
	client    Client
	cert      *tls.Certificate
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func domain(t testing.TB, text string) pki.Domain {
	t.Helper()
	d, err := pki.ParseDomain(text)
	must(t, err)
	return d
}

func name(t testing.TB, text string) pki.Name {
	t.Helper()
	n, err := pki.ParseName(text)
	must(t, err)
	return n
}

func authority(t testing.TB, text string) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority(rand.Reader, domain(t, text), time.Now())
	must(t, err)
	return a
}

// newWorld serves a domain; change may alter the Config.
func newWorld(t testing.TB, text string, change func(*Config)) *world {
	t.Helper()
	w := &world{authority: authority(t, text), client: Client{Dial: new(net.Dialer).DialContext, Timeout: 20 * time.Second}}
	var err error
	w.path = filepath.Join(t.TempDir(), "node.db")
	w.store, err = store.Open(context.Background(), w.path)
	must(t, err)
	config := Config{Store: w.store, CA: w.authority.CA(), Rate: 1e6, Burst: 1e6}
	if change != nil {
		change(&config)
	}
	w.server = New(config)
	w.cert = certificate(t, w.authority, time.Now())
	w.endpoint = Endpoint{CA: w.authority.CA().Fingerprint()}
	w.endpoint.Address = serve(t, w.server, w.cert)
	t.Cleanup(func() { must(t, w.store.Close()) })
	return w
}

// serve runs a Server until the test ends, before what was set up earlier ends.
func serve(t testing.TB, s *Server, cert *tls.Certificate) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln, func() (*tls.Certificate, error) { return cert, nil }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func certificate(t testing.TB, a *pki.Authority, now time.Time) *tls.Certificate {
	t.Helper()
	key, err := pki.NewLinkKey(rand.Reader)
	must(t, err)
	link, err := a.SignLink(rand.Reader, now, key.Public(), pki.LinkLifetime)
	must(t, err)
	return Certificate(link, key, a.CA())
}

// person is a user with her key and certificate.
type person struct {
	key  pki.IdentityKey
	cert pki.UserCert
}

func newPerson(t testing.TB, a *pki.Authority, text string) person {
	t.Helper()
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	return certify(t, a, key, text)
}

func certify(t testing.TB, a *pki.Authority, key pki.IdentityKey, text string) person {
	t.Helper()
	request, err := pki.NewUserRequest(rand.Reader, key, name(t, text))
	must(t, err)
	cert, err := a.SignUser(rand.Reader, time.Now(), request, pki.UserLifetime)
	must(t, err)
	return person{key, cert}
}

func (p person) card(t testing.TB, serial uint64) pki.SignedCard {
	t.Helper()
	now := time.Now()
	card, err := pki.SignCard(p.key, pki.Card{
		Certificate: p.cert, Serial: serial, Issued: now, Expires: now.Add(pki.CardLifetime),
		Spools: []pki.Domain{p.cert.Name().Domain()},
	})
	must(t, err)
	return card
}

func descriptor(t testing.TB, a *pki.Authority, serial uint64) pki.SignedDescriptor {
	t.Helper()
	now := time.Now()
	d, err := a.SignDescriptor(pki.Descriptor{
		Serial: serial, Issued: now, Expires: now.Add(pki.DescriptorLifetime),
		ServerKeys: make([]pki.ServerKey, 1), Links: []string{"127.0.0.1:7001"}, KeyServers: []string{"127.0.0.1:7002"},
	})
	must(t, err)
	return d
}

func (w *world) publish(t testing.TB, text string) person {
	t.Helper()
	p := newPerson(t, w.authority, text)
	must(t, w.server.PublishCard(t.Context(), p.card(t, 1)))
	return p
}

// servers lists all servers of a key server.
func (w *world) servers(t testing.TB, of Endpoint) (all []pki.SignedDescriptor, err error) {
	t.Helper()
	err = w.client.Servers(t.Context(), of, func(d pki.SignedDescriptor) { all = append(all, d) })
	return all, err
}
