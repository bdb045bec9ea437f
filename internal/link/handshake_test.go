package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p3do/p3do/internal/dial"
)

func TestNodesJudgeEachOther(t *testing.T) {
	a, b := pair(t, node(t, "a.test", "b.test"), node(t, "b.test", "a.test"))
	if got := a.Peer().Subject.CommonName; got != "b.test" {
		t.Errorf("a talks to %q", got)
	}
	if got := b.Peer().Subject.CommonName; got != "a.test" {
		t.Errorf("b talks to %q", got)
	}
	for _, c := range []*Conn{a, b} {
		state := c.tls.ConnectionState()
		if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 || state.NegotiatedProtocol != ALPN {
			t.Errorf("negotiated %x, %v, %q", state.Version, state.CurveID, state.NegotiatedProtocol)
		}
	}
}

func TestUserShowsNoCertificate(t *testing.T) {
	ann, home := pair(t, user("a.test"), node(t, "a.test", "b.test"))
	if home.Peer() != nil {
		t.Errorf("home sees a certificate of %v", home.Peer().Subject)
	}
	if ann.Peer() == nil {
		t.Error("the user sees no certificate of her home")
	}
	if ann.RemoteAddr().String() == "" {
		t.Error("no remote address")
	}
}

// A refusal is told to both ends, whichever end refuses.
func TestWrongPeerIsRefused(t *testing.T) {
	tests := []struct {
		name              string
		dialler, listener Config
		atDialler         error  // what Dial returns
		inDial, inLog     string // what its text says, and the listener's log
	}{
		{"listener refuses", node(t, "evil.test", "b.test"), node(t, "b.test", "a.test"),
			ErrRefused, "bad certificate", "peer refused: not a.test"},
		{"dialler refuses", node(t, "a.test", "b.test"), node(t, "evil.test", "a.test"),
			ErrPeer, "not b.test", "remote error: tls: bad certificate"},
		{"user refuses", user("b.test"), node(t, "evil.test", "a.test"),
			ErrPeer, "not b.test", "remote error: tls: bad certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := newJournal()
			test.listener.Log = slog.New(slog.NewTextHandler(log, nil))
			l := listen(t, test.listener)
			_, err := Dial(context.Background(), test.dialler, l.Addr().String())
			if !errors.Is(err, test.atDialler) {
				t.Errorf("Dial: %v, want %v", err, test.atDialler)
			}
			wantText(t, err, test.inDial)
			line := log.next(t)
			if !strings.Contains(line, test.inLog) {
				t.Errorf("logged %s, want %q", line, test.inLog)
			}
			if strings.Contains(line, "127.0.0.1") {
				t.Errorf("an address was logged: %s", line)
			}
			l.Close()
			if got := l.Stats(); got != (ListenerStats{Refused: 1}) {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

func TestStrangerLacksSomething(t *testing.T) {
	tests := []struct {
		name   string
		change func(*tls.Config)
		seen   string // by the stranger
		logged string
	}{
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "protocol version", "does not offer TLS 1.3"},
		{"X25519 only", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} },
			"handshake failure", "does not offer X25519MLKEM768"},
		{"no ALPN", func(c *tls.Config) { c.NextProtos = nil }, "bad certificate", "does not offer ALPN p3do/1"},
		{"other ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "no application protocol", "does not offer ALPN p3do/1"},
		{"nothing", func(c *tls.Config) {
			c.MaxVersion, c.CurvePreferences, c.NextProtos = tls.VersionTLS12, []tls.CurveID{tls.CurveP256}, nil
		}, "protocol version", "does not offer TLS 1.3, X25519MLKEM768, ALPN p3do/1"},
	}
	log := newJournal()
	config := node(t, "a.test", "b.test")
	config.Log = slog.New(slog.NewTextHandler(log, nil))
	l := listen(t, config)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := stranger(t, l.Addr().String(), test.change)
			wantText(t, err, test.seen)
			if line := log.next(t); !strings.Contains(line, test.logged) {
				t.Errorf("logged %s, want %q", line, test.logged)
			}
		})
	}
}

// A listener that is not ours, or not as strict, is refused by the side that dials.
func TestListenerLacksSomething(t *testing.T) {
	cert := newCert(t, "b.test")
	tests := []struct {
		name   string
		config *tls.Config
		want   string
	}{
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, "link: refused by the other side: remote error: tls: protocol version not supported (this side insists on TLS 1.3"},
		{"X25519 only", &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{ALPN}}, "handshake failure (this side insists on TLS 1.3, X25519MLKEM768"},
		{"no ALPN", &tls.Config{}, "not TLS 1.3 with X25519MLKEM768 and ALPN p3do/1"},
		{"asks for no certificate", &tls.Config{NextProtos: []string{ALPN}}, "did not ask for our certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.Certificates = []tls.Certificate{cert}
			ln, err := tls.Listen("tcp", "127.0.0.1:0", test.config)
			must(t, err)
			defer ln.Close()
			go func() {
				if conn, err := ln.Accept(); err == nil {
					conn.Read(make([]byte, 1))
					conn.Close()
				}
			}()
			_, err = Dial(context.Background(), node(t, "a.test", "b.test"), ln.Addr().String())
			wantText(t, err, test.want)
		})
	}
}

// program finds a program of the machine. Without it the test is skipped, or fails if P3DO_REQUIRE, a list separated by
// commas or spaces, names it.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	required := strings.FieldsFunc(os.Getenv("P3DO_REQUIRE"), func(c rune) bool { return c == ',' || c == ' ' })
	if slices.Contains(required, name) {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

func TestOpenSSLIsRefused(t *testing.T) {
	openssl := program(t, "openssl")
	log := newJournal()
	config := node(t, "a.test", "b.test")
	config.Log = slog.New(slog.NewTextHandler(log, nil))
	l := listen(t, config)
	for flag, missing := range map[string]string{"-tls1_2": "TLS 1.3", "-tls1_3": "X25519MLKEM768"} {
		t.Run(flag, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", l.Addr().String(), flag,
				"-alpn", ALPN, "-groups", "X25519:P-256")
			said, err := command.CombinedOutput()
			if err == nil || !bytes.Contains(said, []byte("alert")) {
				t.Errorf("openssl: %v\n%s", err, said)
			}
			if line := log.next(t); !strings.Contains(line, "client does not offer "+missing) {
				t.Errorf("logged %s, want %q", line, missing)
			}
		})
	}
}

func TestClientHelloNamesNobody(t *testing.T) {
	hellos := make(chan *tls.ClientHelloInfo, 1)
	cert := newCert(t, "localhost")
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hellos <- hello
			return nil, errors.New("seen enough")
		},
	})
	must(t, err)
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	must(t, err)
	if _, err := Dial(context.Background(), user("localhost"), net.JoinHostPort("localhost", port)); err == nil {
		t.Fatal("not refused")
	}
	hello := <-hellos
	const serverName, preSharedKey = 0, 41 // RFC 6066 section 3, RFC 8446 section 4.2.11
	if hello.ServerName != "" || slices.Contains(hello.Extensions, serverName) {
		t.Errorf("server name %q in extensions %v", hello.ServerName, hello.Extensions)
	}
	if slices.Contains(hello.Extensions, preSharedKey) {
		t.Error("a session is resumed")
	}
	if !slices.Equal(hello.SupportedCurves, []tls.CurveID{tls.X25519MLKEM768}) ||
		!slices.Equal(hello.SupportedVersions, []uint16{tls.VersionTLS13}) || !slices.Equal(hello.SupportedProtos, []string{ALPN}) {
		t.Errorf("offers %v, %x, %q", hello.SupportedCurves, hello.SupportedVersions, hello.SupportedProtos)
	}
}

func TestListenerNamesNoAuthorities(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	asked := false
	_, err := stranger(t, l.Addr().String(), func(c *tls.Config) {
		c.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			if len(request.AcceptableCAs) != 0 {
				t.Errorf("%d authorities named", len(request.AcceptableCAs))
			}
			return &tls.Certificate{}, nil
		}
	})
	must(t, err)
	if !asked {
		t.Error("no certificate asked for")
	}
}

// A peer cannot bring further certificates along for the judge to stumble over.
func TestDecoyCertificatesAreRefused(t *testing.T) {
	log := newJournal()
	config := node(t, "a.test", "b.test")
	config.Log = slog.New(slog.NewTextHandler(log, nil))
	l := listen(t, config)
	_, err := stranger(t, l.Addr().String(), func(c *tls.Config) {
		cert := newCert(t, "b.test")
		cert.Certificate = append(cert.Certificate, newCert(t, "decoy.test").Certificate...)
		c.Certificates = []tls.Certificate{cert}
	})
	wantText(t, err, "bad certificate")
	if line := log.next(t); !strings.Contains(line, "shows 2 certificates") {
		t.Errorf("logged %s", line)
	}
}

func TestExporterIsEqualAtBothEnds(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	export := func(c *Conn, label string) string {
		b, err := c.Exporter(label, 32)
		must(t, err)
		return string(b)
	}
	ann := connect(t, user("a.test"), l.Addr().String())
	home := accept(t, l)
	again := connect(t, user("a.test"), l.Addr().String())
	accept(t, l)
	if export(ann, "EXPORTER-p3do") != export(home, "EXPORTER-p3do") {
		t.Error("the two ends differ")
	}
	if export(ann, "EXPORTER-p3do") == export(again, "EXPORTER-p3do") {
		t.Error("two links give the same")
	}
	if export(ann, "EXPORTER-p3do") == export(ann, "EXPORTER-other") {
		t.Error("two labels give the same")
	}
}

// Who connects and says nothing is shown the door, and so is who answers nothing.
func TestHalfOpenHandshake(t *testing.T) {
	for _, side := range []string{"listener", "dialler"} {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := node(t, "a.test", "b.test").withDefaults()
				must(t, err)
				near, far := net.Pipe()
				defer far.Close()
				go func() { // hears, and says nothing
					b := make([]byte, 1<<10)
					for {
						if _, err := far.Read(b); err != nil {
							return
						}
					}
				}()
				start := time.Now()
				if side == "listener" {
					_, err = listenSide(t.Context(), c, near, anyone)
				} else {
					_, err = dialSide(t.Context(), c, near)
				}
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != DefaultHandshakeTimeout {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// A listening side that finishes the handshake and does not greet is given up too.
func TestNoGreeting(t *testing.T) {
	cert := newCert(t, "a.test")
	synctest.Test(t, func(t *testing.T) {
		c, err := user("a.test").withDefaults()
		must(t, err)
		near, far := net.Pipe()
		defer far.Close()
		go func() {
			server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN}, SessionTicketsDisabled: true})
			server.Handshake()
		}()
		if _, err := dialSide(t.Context(), c, near); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	good := node(t, "a.test", "b.test")
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no judge", func(c *Config) { c.Judge = nil }, "no judge"},
		{"no dial", func(c *Config) { c.Dial = nil }, "no way to dial"},
		{"negative", func(c *Config) { c.Queue = -1 }, "negative"},
		{"chain", func(c *Config) {
			c.Certificate.Certificate = [][]byte{{1}, {2}}
		}, "comes with 1 others"},
		{"loss", func(c *Config) { c.Faults = &Faults{Loss: 2} }, "loss is not between"},
		{"no source", func(c *Config) { c.Faults = &Faults{Loss: 0.5} }, "loss without a source"},
		{"delay", func(c *Config) { c.Faults = &Faults{Delay: time.Hour} }, "delay is not between"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := good
			test.change(&c)
			_, err := Dial(context.Background(), c, "127.0.0.1:1")
			wantText(t, err, test.want)
		})
	}
	_, err := Listen(user("a.test"), "127.0.0.1:0")
	wantText(t, err, "without a certificate")
}

func TestDialFails(t *testing.T) {
	c := user("a.test")
	gone := errors.New("no route")
	c.Dial = dial.Func(func(context.Context, string, string) (net.Conn, error) { return nil, gone })
	if _, err := Dial(context.Background(), c, "127.0.0.1:1"); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// The judge is the only authority: a certificate that the system would trust is nothing to it, and the other way round.
func TestJudgeHearsEveryLeaf(t *testing.T) {
	var heard []string
	c := user("")
	c.Judge = func(leaf *x509.Certificate) error {
		heard = append(heard, leaf.Subject.CommonName)
		return nil
	}
	l := listen(t, node(t, "a.test", "b.test"))
	for range 2 {
		connect(t, c, l.Addr().String())
		accept(t, l)
	}
	if !slices.Equal(heard, []string{"a.test", "a.test"}) {
		t.Errorf("judged %q", heard)
	}
}
