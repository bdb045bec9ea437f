package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// TestMain fails if a test left a goroutine of a session behind.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(time.Minute); code == 0; time.Sleep(time.Millisecond) {
		stacks := leftovers()
		if stacks == nil {
			break
		}
		if time.Now().After(deadline) { // those of links that have ended need a moment
			fmt.Printf("goroutines are left:\n%s", stacks)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers are the stacks of all goroutines, if some of this package or of links are among
// them.
func leftovers() []byte {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, left := range []string{"session.(*", "link.(*Conn)"} {
		if bytes.Contains(stacks, []byte(left)) {
			return stacks
		}
	}
	return nil
}

// home is a domain with a desk: a small node that keeps everything in memory.
type home struct {
	authority *pki.Authority
	listener  *link.Listener
	served    chan error // what Serve returned, link by link
	stop      context.CancelFunc
	loginTime time.Duration // set before a link is opened
	accepting chan struct{} // closed when it has ended

	mu         sync.Mutex // guards what follows
	cards      map[pki.Name][]byte
	claimed    int
	entries    []onion.Entry
	items      []Item
	forgotten  []int64
	busy       int      // look-ups being worked on
	busiest    int      // as many as there ever were
	servers    []server // by domain
	waiting    chan struct{}
	statements [][]byte      // numbered from 1
	revoked    [][]byte      // what was handed in
	release    chan struct{} // look-ups of slow@a.test wait for it
}

type server struct {
	domain     pki.Domain
	descriptor []byte
}

func newHome(t testing.TB) *home {
	t.Helper()
	authority := must(pki.NewAuthority(rand.Reader, must(pki.ParseDomain("a.test")), time.Now()))
	key := must(pki.NewLinkKey(rand.Reader))
	cert := must(authority.SignLink(rand.Reader, time.Now(), key.Public(), pki.LinkLifetime))
	listener := must(link.Listen(link.Config{
		Certificate: tls.Certificate{Certificate: [][]byte{cert.DER()}, PrivateKey: key.Signer()},
		Judge:       func(*x509.Certificate) error { return errors.New("no nodes here") },
	}, "127.0.0.1:0"))
	h := &home{
		authority: authority, listener: listener, served: make(chan error, 64),
		cards: make(map[pki.Name][]byte), waiting: make(chan struct{}, 64), release: make(chan struct{}),
		accepting: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	var running sync.WaitGroup
	running.Go(func() {
		defer close(h.accepting)
		for {
			conn, err := listener.Accept(ctx)
			if err != nil {
				return
			}
			running.Go(func() { h.served <- Serve(ctx, conn, h.desk()) })
		}
	})
	t.Cleanup(func() { stop(); running.Wait(); listener.Close() })
	return h
}

func (h *home) desk() *Desk {
	return &Desk{
		Domain: h.authority.Domain(), Register: h.register, Authenticate: h.authenticate,
		Publish: h.publish, Directory: h.directory, Lookup: h.lookup, Claim: h.claim,
		Items: h.held, Forget: h.forget, Submit: h.submit, Statements: h.stated, Revoke: h.revoke, Move: h.move, Challenge: h.move, loginTime: h.loginTime,
		Entries: func(context.Context, pki.UserCert, int64) (LogPart, error) { return LogPart{}, nil },
	}
}

func (h *home) move(ctx context.Context, raw []byte) error { return h.revoke(ctx, raw) }

func (h *home) revoke(_ context.Context, raw []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(raw) == 0 {
		return Errorf(Refused, "the revocation does not hold here")
	}
	h.revoked = append(h.revoked, raw)
	return nil
}

func (h *home) register(_ context.Context, raw, invite []byte) ([]byte, error) {
	if len(invite) > 0 && string(invite) != "welcome" {
		return nil, Errorf(Refused, "nobody is invited so")
	}
	request, err := pki.ParseUserRequest(raw)
	if err != nil {
		return nil, Errorf(BadRequest, "%v", err)
	}
	cert, err := h.authority.SignUser(rand.Reader, time.Now(), request, pki.UserLifetime)
	return cert.DER(), err
}

func (h *home) authenticate(_ context.Context, l Login, exported [pki.ExporterSize]byte) (pki.UserCert, HomeView, error) {
	cert, err := h.authority.CA().VerifyUser(l.Certificate, time.Now())
	good := cert.VerifyLogin
	if l.Device != nil {
		good = h.device(l)
	}
	if err != nil || cert.Name() != l.Name || !good(exported, l.Proof) {
		return pki.UserCert{}, HomeView{}, Errorf(Refused, "the proof is not good on this link")
	}
	if l.Authority != nil {
		return cert, HomeView{Domain: l.Name.Domain(), Path: PathDNS, Confirmed: []pki.Domain{must(pki.ParseDomain("b.test"))}}, nil
	}
	return cert, HomeView{Domain: h.authority.Domain(), Path: PathHome, Online: true}, nil
}

// device is how the proof of a device is verified that the card in a login lists.
func (h *home) device(l Login) func([pki.ExporterSize]byte, []byte) bool {
	key, err := pki.ParseDevicePublic(l.Device)
	card, bad := h.authority.CA().VerifyCard(l.Card, time.Now())
	return func(exported [pki.ExporterSize]byte, proof []byte) bool {
		return err == nil && bad == nil && card.Lists(key) && key.VerifyLogin(exported, l.Name, proof)
	}
}

// stated gives pages of three.
func (h *home) stated(_ context.Context, since int64) (Stated, error) {
	page := Stated{Last: since}
	for int(page.Last) < len(h.statements) && len(page.Statements) < 3 {
		page.Statements = append(page.Statements, h.statements[page.Last])
		page.Last++
	}
	page.More = int(page.Last) < len(h.statements)
	return page, nil
}

func (h *home) publish(_ context.Context, user pki.UserCert, card []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cards[user.Name()] = card
	return nil
}

func (h *home) lookup(ctx context.Context, name pki.Name) (Found, error) {
	switch name.Local() {
	case "slow":
		h.work(1)
		defer h.work(-1)
		h.waiting <- struct{}{}
		select {
		case <-h.release:
		case <-ctx.Done():
			return Found{}, ctx.Err()
		}
	case "secret":
		return Found{}, errors.New("the disk of secret@a.test is full")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	card, ok := h.cards[name]
	if !ok {
		return Found{}, Errorf(NotFound, "there is no %s", name)
	}
	return Found{Card: card}, nil
}

func (h *home) work(change int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy += change
	h.busiest = max(h.busiest, h.busy)
}

// directory gives pages of three.
func (h *home) directory(_ context.Context, after pki.Domain) (page Descriptors, err error) {
	for _, s := range h.servers {
		if s.domain.String() <= after.String() {
			continue
		}
		if len(page.Descriptors) == 3 {
			return page, nil
		}
		page.Descriptors, page.Last = append(page.Descriptors, s.descriptor), s.domain
	}
	page.Last = pki.Domain{}
	return page, nil
}

func (h *home) claim(_ context.Context, _ pki.UserCert, mailboxes []Mailbox) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claimed += len(mailboxes)
	return nil
}

func (h *home) held(ctx context.Context, _ pki.UserCert, want Items) ([]Item, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var items []Item
	for _, i := range h.items {
		if i.Seq > want.After && len(items) < MaxItems {
			items = append(items, i)
		}
	}
	return items, nil
}

func (h *home) forget(_ context.Context, _ pki.UserCert, seqs []int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgotten = append(h.forgotten, seqs...)
	return nil
}

func (h *home) submit(_ context.Context, _ pki.UserCert, e onion.Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
	if e.First == (onion.ServerID{}) {
		return Errorf(Unavailable, "no way to the first server of the route is known yet")
	}
	return nil
}

// connect opens a link as a user.
func (h *home) connect(t testing.TB) *link.Conn {
	t.Helper()
	conn := must(link.Dial(context.Background(), link.Config{Judge: h.judge, Dial: dial.Direct()}, h.listener.Addr().String()))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (h *home) judge(leaf *x509.Certificate) error {
	return h.authority.CA().VerifyLink(leaf, time.Now())
}

// client begins a session that nobody has logged in on.
func (h *home) client(t testing.TB) *Client {
	t.Helper()
	c := NewClient(h.connect(t))
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// A person has a name and a key, and a certificate once registered.
type person struct {
	name pki.Name
	key  pki.IdentityKey
	cert []byte
}

func newPerson(name string) *person {
	return &person{name: must(pki.ParseName(name)), key: must(pki.NewIdentityKey(rand.Reader))}
}

func (p *person) register(t testing.TB, c *Client) {
	t.Helper()
	request := must(pki.NewUserRequest(rand.Reader, p.key, p.name))
	var err error
	p.cert, err = c.Register(t.Context(), request.DER(), nil)
	check(t, err)
}

func (p *person) login(t testing.TB, c *Client) {
	t.Helper()
	welcome, err := c.Login(t.Context(), p.name, p.cert, p.key, nil)
	check(t, err)
	if welcome.Domain.String() != "a.test" || welcome.Home.Path != PathHome || !welcome.Home.Online {
		t.Errorf("welcome %+v", welcome)
	}
}

// ann registers and logs in on a new link.
func (h *home) ann(t testing.TB) (*person, *Client) {
	t.Helper()
	p, c := newPerson("ann@a.test"), h.client(t)
	p.register(t, c)
	p.login(t, c)
	return p, c
}

// raw sends a control message and returns the answer.
func raw(t *testing.T, conn *link.Conn, text string) string {
	t.Helper()
	check(t, conn.SendControl([]byte(text)))
	m, err := conn.Receive()
	check(t, err)
	return string(m.Control)
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode fails unless err is an *Error of code that says text.
func wantCode(t testing.TB, err error, code Code, text string) {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != code || !strings.Contains(refused.Text, text) {
		t.Errorf("err = %v, want %s with %q", err, code, text)
	}
}
