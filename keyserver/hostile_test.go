package keyserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// raw sends bytes over TLS and returns the whole answer to the first request.
func (w *world) raw(t testing.TB, request string) (status int, head http.Header, body string) {
	t.Helper()
	c, err := tls.Dial("tcp", w.endpoint.Address, &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	go io.WriteString(c, request) // a server may answer before it read all
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, resp.Header, string(b)
}

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n" }

// A miss has one face, whatever was asked: status, header and body.
func TestEveryMissLooksTheSame(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	ann := w.publish(t, "ann@a.test")
	must(t, w.server.PublishCertificate(t.Context(), newPerson(t, w.authority, "new@a.test").cert))
	post := "POST /v1/user/ann@a.test HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ncard"
	wantStatus, wantHead, wantBody := w.raw(t, get("/v1/user/nobody@a.test"))
	if wantStatus != http.StatusNotFound {
		t.Fatal(wantStatus)
	}
	for _, request := range []string{
		get("/v1/user/new@a.test"), // certified, no card
		get("/v1/user/bob@b.test"),
		get("/v1/user/"), get("/v1/user"), get("/v1/users"), get("/v1/users/"),
		get("/v1/user/*@a.test"), get("/v1/user/%25@a.test"), get("/v1/user/@a.test"), get("/v1/user/ann"),
		get("/v1/user/ANN@a.test"), get("/v1/user/ann@A.TEST"), get("/v1/user/ann@a.test."),
		get("/v1/user/ann%40a.test"), get("/v1/user/%61nn@a.test"), get("/v1/user/ann@a.test%00"),
		get("/v1/user/ann@a.test/"), get("/v1/user//ann@a.test"), get("/v1/user/ann@a.test?"),
		get("/v1/user/ann@a.test?all=1"), get("/v1//user/ann@a.test"), get("//v1/user/ann@a.test"),
		get("/v1/server/../user/ann@a.test"), get("/v1/user/..%2f..%2fnode.db"), get("/../../etc/passwd"),
		get("http://x/v1/user/ann@a.test"),
		get("/v1/key/"), get("/v1/key/ctx:" + strings.Repeat("A", 39)), get("/v1/context/a.test"), get("/v1/user/ctx:a@a.test"),
		get("/v1/key/" + ann.key.Fingerprint().String() + "="), get("/v1/key/" + (pki.Fingerprint{}).String()),
		get("/v1/server/b.test"), get("/v1/server/"), get("/v1/servers/"), get("/v1/servers/*"), get("/v1/ring"), get("/v1/"), get("/"),
		get("/v1/user/" + strings.Repeat("a", 3000) + "@a.test"),
		get("/v1/user/ann'--@a.test"),
	} {
		status, head, body := w.raw(t, request)
		if status != wantStatus || body != wantBody || fmt.Sprint(head) != fmt.Sprint(wantHead) {
			t.Errorf("%.80q: %d %v %q", request, status, head, body)
		}
	}
	for _, request := range []string{post,
		"PUT /v1/user/ann@a.test HTTP/1.1\r\nHost: x\r\n\r\n", "DELETE /v1/user/ann@a.test HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/user/ann@a.test HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
		"GET /v1/user/ann@a.test HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		if status, _, body := w.raw(t, request); status != wantStatus || body != wantBody {
			t.Errorf("%.80q: %d %q", request, status, body)
		}
	}
}

func TestHitTellsNothingButTheRecord(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	card := w.publish(t, "ann@a.test").card(t, 2)
	must(t, w.server.PublishCard(t.Context(), card))
	status, head, body := w.raw(t, get("/v1/user/ann@a.test"))
	want := http.Header{"Content-Type": {typeRecord}, "Content-Length": {fmt.Sprint(len(card.Raw()))}, "Cache-Control": {"no-store"}}
	if status != 200 || body != string(card.Raw()) || fmt.Sprint(head) != fmt.Sprint(want) {
		t.Fatalf("%d %v", status, head)
	}
}

func TestOversizedHeaderIsRefused(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	status, _, _ := w.raw(t, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	if status != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatal(status)
	}
}

// A client that sends its header byte by byte is cut off, and others are served meanwhile.
func TestSlowClientIsCutOff(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "ann@a.test")
	hasty := New(w.server.config)
	hasty.headerTimeout = 300 * time.Millisecond
	w.endpoint.Address = serve(t, hasty, w.cert)
	c, err := tls.Dial("tcp", w.endpoint.Address, &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /v1/user/ann@a.test HTTP/1.1\r\nHost")
	must(t, err)
	_, err = w.client.User(t.Context(), w.endpoint, name(t, "ann@a.test"))
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err = io.Copy(io.Discard, c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("it was never cut off")
	}
}

// Over the limits the oldest connection goes that nothing is being answered to: of the same
// client if that has too many, else of anybody. Whoever is being answered stays, and if all
// are, the newest goes.
func TestConnectionsAreLimited(t *testing.T) {
	ln := limitListener(nil)
	ln.most, ln.mostEach = 4, 2
	var entered []*conn
	enter := func(host string, want int) {
		t.Helper()
		c := &conn{listener: ln, client: ClientOf(net.JoinHostPort(host, "1"))}
		gone, ok := ln.enter(c)
		switch {
		case ok != (want != refused):
			t.Fatalf("let in: %v", ok)
		case want >= 0 && gone != entered[want], want < 0 && gone != nil:
			t.Fatalf("connection %d had to go, not %d", slices.Index(entered, gone), want)
		}
		entered = append(entered, c)
	}
	enter("10.0.0.1", nobody)
	enter("10.0.0.2", nobody)
	enter("10.0.0.2", nobody)
	enter("10.0.0.2", 1) // has two: its own oldest
	enter("10.0.0.3", nobody)
	enter("10.0.0.4", 0) // four are open: the oldest
	answering := func(i int, state http.ConnState) { ln.note(tls.Server(entered[i], nil), state) }
	answering(2, http.StateActive)
	enter("10.0.0.2", 3)
	answering(6, http.StateActive)
	enter("10.0.0.2", refused) // both of its own are being answered
	answering(2, http.StateIdle)
	enter("10.0.0.5", 4) // 2 is the youngest now of those that wait
	enter("10.0.0.6", 5)
	enter("10.0.0.7", 2)
	answering(2, http.StateIdle) // and it is gone: nothing comes of that
	for _, c := range entered {
		ln.leave(c)
		ln.leave(c) // gives its place back once
	}
	if ln.open != 0 || len(ln.each) != 0 || len(ln.idle) != 0 {
		t.Fatalf("%d open, %d clients, %d idle", ln.open, len(ln.each), len(ln.idle))
	}
}

// Who had to go in TestConnectionsAreLimited, if it was none of the others.
const nobody, refused = -1, -2

// Those who say nothing keep nobody out, from however many addresses they come.
func TestSilentConnections(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "ann@a.test")
	var idle []net.Conn
	for i := range MaxConns + 2*MaxConnsPerClient {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(9+i/MaxConnsPerClient))}}
		c, err := from.Dial("tcp", w.endpoint.Address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) { // a loopback of one address
			c, err = net.Dial("tcp", w.endpoint.Address)
		}
		must(t, err)
		defer c.Close()
		idle = append(idle, c)
	}
	_, err := w.client.User(t.Context(), w.endpoint, name(t, "ann@a.test"))
	must(t, err)
	must(t, idle[0].SetReadDeadline(time.Now().Add(headerTimeout/2)))
	if _, err := idle[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest: %v", err)
	}
}

func TestClientsHaveARate(t *testing.T) {
	now := time.Now()
	w := newWorld(t, "a.test", func(c *Config) {
		c.Rate, c.Burst, c.Now = 1, 3, func() time.Time { return now }
	})
	for i, want := range []error{ErrNotFound, ErrNotFound, ErrNotFound, ErrBusy, ErrBusy} {
		_, err := w.client.User(t.Context(), w.endpoint, name(t, "nobody@a.test"))
		if !errors.Is(err, want) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if out := asked(w.server, "/v1/user/nobody@a.test"); out.Code != 404 || out.Header().Get("Retry-After") != "" { // from another address
		t.Errorf("%d %v", out.Code, out.Header())
	}
	resp, err := insecure(t).Get("https://" + w.endpoint.Address + "/v1/user/nobody@a.test")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	now = now.Add(time.Second)
	_, err = w.client.User(t.Context(), w.endpoint, name(t, "nobody@a.test"))
	wantErr(t, err, ErrNotFound)
}

// Who copies a log takes nothing from the look-ups of its address, and has a rate of its own.
func TestCopiersAreCountedApart(t *testing.T) {
	now := time.Now()
	w := newWorld(t, "a.test", func(c *Config) {
		c.Rate, c.Burst, c.Now = 1, 1, func() time.Time { return now }
	})
	ctx, log, done := w.client.ReadLog(t.Context(), w.endpoint, logPrefix)
	defer done()
	for i, want := range []error{ErrNotFound, ErrNotFound, ErrNotFound, ErrNotFound, ErrNotFound, ErrBusy} {
		_, err := log.ReadEndpoint(ctx, "tile/0/000")
		if !errors.Is(err, want) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	_, err := w.client.User(t.Context(), w.endpoint, name(t, "nobody@a.test"))
	wantErr(t, err, ErrNotFound)
}

func TestRateTableIsBounded(t *testing.T) {
	now := time.Now()
	c := NewClients(1, 1)
	c.room = 2
	ask := func(host string) bool { return c.Allow(net.JoinHostPort(host, "1"), now) }
	if !ask("10.0.0.1") || !ask("10.0.0.2") || ask("10.0.0.1") {
		t.Fatal("two clients, one request each")
	}
	if !ask("10.0.0.3") || ask("10.0.0.4") {
		t.Fatal("those without room share one rate")
	}
	now = now.Add(time.Second) // the first two are idle
	if !ask("10.0.0.4") || len(c.known) != 1 {
		t.Fatalf("%d known", len(c.known))
	}
	if !ask("2001:db8::1") || ask("2001:db8::2") {
		t.Fatal("an IPv6 /64 is one client")
	}
	if ClientOf("::ffff:10.0.0.1:1") == ClientOf("[::ffff:10.0.0.1]:1") || ClientOf("[::ffff:10.0.0.1]:1") != ClientOf("10.0.0.1:2") {
		t.Fatal("an IPv4 address is one client in either spelling")
	}
}

func TestClientJudgesTheServer(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "ann@a.test")
	other := authority(t, "a.test")
	var changed *pki.KeyChangedError
	_, err := w.client.User(t.Context(), Endpoint{w.endpoint.Address, other.CA().Fingerprint(), nil}, name(t, "ann@a.test"))
	if wantErr(t, err, ErrWrongKey); !errors.As(err, &changed) || changed.Shown != w.endpoint.CA {
		t.Fatalf("%v", err)
	}

	thief := certificate(t, other, time.Now())
	thief.Certificate[1] = w.authority.CA().DER() // the right CA beside a link that it never signed
	old := certificate(t, w.authority, time.Now().Add(-2*pki.LinkLifetime))
	alone := *w.cert
	alone.Certificate = alone.Certificate[:1]
	for what, cert := range map[string]*tls.Certificate{"thief": thief, "old": old, "alone": &alone} {
		address := serve(t, w.server, cert)
		_, err := w.client.User(t.Context(), Endpoint{address, w.endpoint.CA, nil}, name(t, "ann@a.test"))
		if err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if (what == "old") != errors.Is(err, pki.ErrTime) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// liar answers every request over the right TLS by what it is told.
func liar(t *testing.T, w *world, handler http.HandlerFunc) Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	srv := &http.Server{Handler: handler}
	go srv.Serve(tls.NewListener(ln, serverTLS(func() (*tls.Certificate, error) { return w.cert, nil })))
	t.Cleanup(func() { srv.Close() })
	return Endpoint{ln.Addr().String(), w.endpoint.CA, nil}
}

func TestClientJudgesTheAnswer(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	var body []byte
	status := http.StatusOK
	lie := liar(t, w, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Location", "https://"+w.endpoint.Address+r.URL.Path)
		rw.WriteHeader(status)
		rw.Write(body)
	})
	page := func(raws ...[]byte) (p []byte) {
		for _, r := range raws {
			p = append(p, byte(len(r)>>8), byte(len(r)))
			p = append(p, r...)
		}
		return p
	}
	namesake := authority(t, "a.test")
	b := descriptor(t, authority(t, "b.test"), 1).Raw()
	eve := newPerson(t, w.authority, "eve@a.test").card(t, 1).Raw()
	for _, c := range []struct {
		what   string
		status int
		body   []byte
		err    error // of User ann@a.test, Server a.test, Servers: whichever reads the body
	}{
		{"nothing", 200, nil, ErrBadAnswer},
		{"endless", 200, make([]byte, MaxPageSize+1), ErrBadAnswer},
		{"another's card", 200, eve, ErrBadAnswer},
		{"card by another CA", 200, newPerson(t, namesake, "ann@a.test").card(t, 1).Raw(), ErrWrongKey},
		{"redirect", 302, nil, ErrBadAnswer},
		{"busy", 503, nil, ErrBusy},
	} {
		status, body = c.status, c.body
		if _, err := w.client.User(t.Context(), lie, name(t, "ann@a.test")); !errors.Is(err, c.err) {
			t.Errorf("user, %s: %v", c.what, err)
		}
	}
	status = http.StatusOK
	for _, c := range []struct {
		what string
		body []byte
		err  error
	}{
		{"another's descriptor", b, ErrBadAnswer},
		{"own under another CA", descriptor(t, namesake, 1).Raw(), ErrWrongKey},
		{"flipped", flip(descriptor(t, w.authority, 1).Raw()), ErrBadAnswer},
	} {
		body = c.body
		if _, err := w.client.Server(t.Context(), lie, domain(t, "a.test")); !errors.Is(err, c.err) {
			t.Errorf("server, %s: %v", c.what, err)
		}
	}
	for _, c := range []struct {
		what string
		body []byte
		err  error
	}{
		{"the same page for ever", page(b), ErrBadAnswer},
		{"descending", page(b, descriptor(t, w.authority, 1).Raw()), ErrBadAnswer},
		{"cut", page(b)[:100], ErrBadAnswer},
		{"one byte", []byte{0}, ErrBadAnswer},
		{"own under another CA", page(descriptor(t, namesake, 1).Raw()), ErrWrongKey},
		{"too long", make([]byte, MaxPageSize+1), ErrBadAnswer},
	} {
		body = c.body
		if _, err := w.servers(t, lie); !errors.Is(err, c.err) {
			t.Errorf("servers, %s: %v", c.what, err)
		}
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// What travels in clear names neither the server nor anybody else, and older TLS
// is refused.
func TestClientHelloNamesNobody(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "ann@a.test")
	seen := new(bytes.Buffer)
	c := w.client
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := w.client.Dial(ctx, network, address)
		return tap{conn, seen}, err
	}
	_, err := c.User(t.Context(), w.endpoint, name(t, "ann@a.test"))
	must(t, err)
	for _, word := range []string{"a.test", "ann", "keyserver", "127.0.0.1", "/v1/"} {
		if bytes.Contains(seen.Bytes(), []byte(word)) {
			t.Errorf("%q is in clear", word)
		}
	}
	_, err = tls.Dial("tcp", w.endpoint.Address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		t.Error("TLS 1.2 was taken")
	}
}

// tap keeps what is written to a connection.
type tap struct {
	net.Conn
	seen *bytes.Buffer
}

func (c tap) Write(p []byte) (int, error) {
	c.seen.Write(p)
	return c.Conn.Write(p)
}

func TestServeEndsWithItsContext(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, w.server.Serve(ctx, ln, nil))
	if w.server.Serve(t.Context(), ln, nil) == nil {
		t.Fatal("a closed listener serves")
	}
}
