package node

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A user of a mesh: her keys, and a session with her home.
type user struct {
	conn   *link.Conn // under client
	mesh   *mesh
	name   pki.Name
	key    pki.IdentityKey
	cert   []byte
	client *session.Client
	sender *mor.Sender
	from   addresses // that she connected from

	requests, replies onion.Mailbox
}

// addresses are the local ends of connections.
type addresses struct {
	mu  sync.Mutex // guards all
	all []string
}

// dial is dial.Direct that notes where it comes from.
func (a *addresses) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dial.Direct()(ctx, network, address)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all = append(a.all, conn.LocalAddr().String())
	}
	return conn, err
}

// stranger is a user who has not registered; her link is with the node at home.
func (m *mesh) stranger(name, home string) *user {
	m.t.Helper()
	u := &user{mesh: m, name: parse(m.t, pki.ParseName, name)}
	var err error
	u.key, err = pki.NewIdentityKey(rand.Reader)
	must(m.t, err)
	u.connect(home)
	return u
}

func (u *user) connect(home string) {
	t := u.mesh.t
	t.Helper()
	ca := u.mesh.authority(home).CA()
	conn, err := link.Dial(t.Context(), link.Config{
		Judge: func(leaf *x509.Certificate) error { return ca.VerifyLink(leaf, time.Now()) }, Dial: u.from.dial,
	}, u.mesh.nodes[home].running.Link)
	must(t, err)
	u.conn, u.client = conn, session.NewClient(conn)
	t.Cleanup(func() { u.client.Close(context.Background()) })
}

// authority reads the authority of a domain from the disk of its node.
func (m *mesh) authority(domain string) *pki.Authority {
	m.t.Helper()
	a, err := keyring{m.nodes[domain].dir + "/" + keysFolder}.authority()
	must(m.t, err)
	return a
}

func (u *user) register() error {
	request, err := pki.NewUserRequest(rand.Reader, u.key, u.name)
	must(u.mesh.t, err)
	u.cert, err = u.client.Register(u.mesh.t.Context(), request.DER(), nil)
	return err
}

func (u *user) login() {
	u.mesh.t.Helper()
	_, err := u.client.Login(u.mesh.t.Context(), u.name, u.cert, u.key, nil)
	must(u.mesh.t, err)
}

// user is registered, logged in, has a card and mailboxes.
func (m *mesh) user(name string) *user {
	m.t.Helper()
	u := m.stranger(name, parse(m.t, pki.ParseName, name).Domain().String())
	must(m.t, u.register())
	u.login()
	for _, mailbox := range []*onion.Mailbox{&u.requests, &u.replies} {
		_, err := io.ReadFull(rand.Reader, mailbox[:])
		must(m.t, err)
	}
	must(m.t, u.client.Publish(m.t.Context(), u.card(1).Raw()))
	until := uint32(mor.DayAt(time.Now())) + 7
	must(m.t, u.client.Claim(m.t.Context(), []session.Mailbox{
		{Address: u.requests, Kind: session.Requests, Until: until},
		{Address: u.replies, Kind: session.Replies, Until: until},
	}))
	u.sender = mor.NewSender(mor.SenderConfig{Rand: rand.Reader, Entry: u.name.Domain(), Home: u.name.Domain()})
	return u
}

func (u *user) card(serial uint64) pki.SignedCard {
	t := u.mesh.t
	t.Helper()
	cert, err := u.mesh.authority(u.name.Domain().String()).CA().VerifyUser(u.cert, time.Now())
	must(t, err)
	now := time.Now()
	card, err := pki.SignCard(u.key, pki.Card{
		Certificate: cert, Serial: serial, Issued: now, Expires: now.Add(pki.CardLifetime),
		Requests: u.requests, Spools: []pki.Domain{u.name.Domain()},
	})
	must(t, err)
	return card
}

// send hands a message to another user's requests address to u's node.
func (u *user) send(to *user) mor.MessageID {
	t := u.mesh.t
	t.Helper()
	u.sender.SetServers(u.servers())
	id, frame := u.frame(mor.Address{Mailbox: to.requests, Identity: to.key.Fingerprint(), Spools: []pki.Domain{to.name.Domain()}})
	must(t, u.client.Submit(t.Context(), frame))
	return id
}

// servers are those in the directory of u's node.
func (u *user) servers() (servers []mor.Server) {
	t := u.mesh.t
	t.Helper()
	signed, _, err := u.client.Directory(t.Context())
	must(t, err)
	for _, raw := range signed {
		servers = append(servers, serverIn(t, raw))
	}
	return servers
}

// serverIn is what a sender wants to know of a descriptor.
func serverIn(t testing.TB, descriptor []byte) mor.Server {
	t.Helper()
	d, err := pki.ParseDescriptor(descriptor)
	must(t, err)
	key, ok := d.ServerKeyFor(pki.PeriodAt(time.Now()))
	if !ok {
		t.Fatalf("%s has no server key of now", d.Domain)
	}
	public, err := onion.ParseServerKey(key.Public[:])
	must(t, err)
	return mor.Server{Domain: d.Domain, Key: public}
}

// frame is an entry frame with a message.
func (u *user) frame(to mor.Address) (id mor.MessageID, frame *[onion.Size]byte) {
	t := u.mesh.t
	t.Helper()
	_, err := io.ReadFull(rand.Reader, id[:])
	must(t, err)
	out, _, err := u.sender.Send(time.Now(), mor.Outgoing{
		ID: id, To: to, Sealed: make([]byte, mor.SealedSize), Hops: 2, Reply: u.replies,
	})
	must(t, err)
	entry, err := out.Submit[0].Entry.Marshal(rand.Reader)
	must(t, err)
	return id, (*[onion.Size]byte)(entry)
}

// items waits for something in u's mailboxes.
func (u *user) items() []session.Item {
	t := u.mesh.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	items, err := u.client.Items(ctx, session.Items{Wait: session.LongestWait})
	must(t, err)
	if len(items) == 0 {
		t.Fatalf("nothing has come for %s", u.name)
	}
	return items
}

// receipt waits for a reply and opens it.
func (u *user) receipt() mor.Receipt {
	u.mesh.t.Helper()
	item := u.items()[0]
	_, receipt, ok := u.sender.TakeReceipt(time.Now(), item.SURB, item.Body)
	if !item.Reply || !ok {
		u.mesh.t.Fatal("what has come is no receipt")
	}
	return receipt
}

// endpoint is the key server of a domain.
func (m *mesh) endpoint(domain string) keyserver.Endpoint {
	m.t.Helper()
	return keyserver.Endpoint{Address: m.nodes[domain].running.KeyServer, CA: m.authority(domain).CA().Fingerprint()}
}

// wantCode fails unless err is a refusal of the session with this code.
func wantCode(t testing.TB, err error, code session.Code, text string) {
	t.Helper()
	refused, ok := err.(*session.Error)
	if !ok || refused.Code != code {
		t.Errorf("err = %v, want %s", err, code)
	}
	wantText(t, err, text)
}
