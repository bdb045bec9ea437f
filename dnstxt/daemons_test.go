package dnstxt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a test waits for a program that is starting.
const patience = time.Minute

// freePort is one that nobody listens on, over TCP and UDP.
func freePort(t *testing.T) string {
	t.Helper()
	for range portTries {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		tcp.Close()
		if err == nil {
			udp.Close()
			return strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port)
		}
	}
	t.Fatal("no port is free")
	return ""
}

// write puts a file into a folder and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// daemon starts a program that is killed when the test ends, and waits until it has all
// zones of a tree.
func daemon(t *testing.T, port, path string, args ...string) {
	t.Helper()
	c := exec.Command(path, args...)
	var said lockedText
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	t.Cleanup(func() {
		c.Process.Kill()
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	deadline := time.After(patience)
	for !answers(port) {
		select {
		case <-ended:
			t.Fatalf("%s has ended: %s", path, said.String())
		case <-deadline:
			t.Fatalf("%s does not answer: %s", path, said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A lockedText is what a program prints while others read it.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// answers tells whether a server has a signed SOA of each zone of a tree.
func answers(port string) bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	defer conn.Close()
	for _, zone := range []string{".", "test.", "a.test.", "wild.test."} {
		q := question{1, zone, dns.TypeSOA}
		query, err := q.pack(false)
		if err != nil || conn.SetDeadline(time.Now().Add(5*time.Second)) != nil {
			return false
		}
		if _, err := conn.Write(framed(query)); err != nil {
			return false
		}
		raw, err := readFramed(conn)
		if err != nil {
			return false
		}
		if m, err := q.read(raw); err != nil || len(m.Answer) < 2 {
			return false
		}
	}
	return true
}

// A signedTree is a knot that serves and signs a root, test. and zones under it, and the DS record of
// that root.
type signedTree struct{ port, anchor string }

const knotConf = `
server:
    listen: 127.0.0.1@%[1]s
    rundir: "%[2]s"
database:
    storage: "%[2]s"
log:
  - target: stderr
    any: warning
policy:
  - id: p
    manual: on
    single-type-signing: on
    nsec3: on
template:
  - id: default
    storage: "%[2]s"
    dnssec-policy: p
    dnssec-signing: on
    zonefile-load: difference
    journal-content: all
zone:
  - domain: .
  - domain: test.
  - domain: a.test.
  - domain: wild.test.
  - domain: bare.test.
    dnssec-signing: off
`

// newTree makes a root of ECDSA, test. of RSA and a.test. of Ed25519.
func newTree(t *testing.T) signedTree {
	t.Helper()
	knotd, keymgr := program(t, "knotd"), program(t, "keymgr")
	dir, port := t.TempDir(), freePort(t)
	conf := write(t, dir, "knot.conf", fmt.Sprintf(knotConf, port, dir))
	manage := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(keymgr, append([]string{"-c", conf}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("keymgr %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	for zone, algorithm := range map[string]string{".": "ecdsap256sha256", "test.": "rsasha256", "a.test.": "ed25519", "wild.test.": "ed25519"} {
		manage(zone, "generate", "algorithm="+algorithm, "ksk=yes", "zsk=yes")
	}
	// ds returns the DS records with SHA-256 of a zone.
	ds := func(zone string) string {
		t.Helper()
		for line := range strings.Lines(manage(zone, "ds")) {
			if rr, err := dns.NewRR(line); err == nil && rr.(*dns.DS).DigestType == dns.SHA256 {
				return rr.String() + "\n"
			}
		}
		t.Fatalf("%s has no key", zone)
		return ""
	}
	head := func(zone string) string {
		return fmt.Sprintf("%[1]s 3600 IN SOA ns.test. x.test. 1 3600 600 86400 60\n%[1]s 3600 IN NS ns.test.\n", zone)
	}
	record := func(zone string) string { return "_p3do." + zone + ` 600 IN TXT "` + least + "\"\n" }
	large, err := largeRecord().ZoneLine(domain(t, "large.a.test"), 600)
	if err != nil {
		t.Fatal(err)
	}
	under := "a.test. NS ns.test.\nwild.test. NS ns.test.\nbare.test. NS ns.test.\n"
	write(t, dir, ".zone", head(".")+"test. NS ns.test.\nns.test. A 127.0.0.1\n"+ds("test."))
	write(t, dir, "test.zone", head("test.")+"ns.test. A 127.0.0.1\n"+under+ds("a.test.")+ds("wild.test."))
	write(t, dir, "a.test.zone", head("a.test.")+record("a.test.")+large+"\n")
	write(t, dir, "wild.test.zone", head("wild.test.")+"*.wild.test. 600 IN TXT \""+least+"\"\n")
	write(t, dir, "bare.test.zone", head("bare.test.")+record("bare.test."))
	daemon(t, port, knotd, "-c", conf)
	return signedTree{port, ds(".")}
}

// look is a resolver's look from this tree's root.
func (s signedTree) resolver(t *testing.T, at string) Resolver {
	t.Helper()
	anchors, err := ParseAnchors(s.anchor)
	if err != nil {
		t.Fatal(err)
	}
	return Resolver{Server: server(t, at), Dial: streamsOnly, Anchors: anchors, Timeout: patience, Keys: NewKeyCache()}
}

// streamsOnly dials TCP to an address in figures, and nothing else.
func streamsOnly(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || network != "tcp" || net.ParseIP(host) == nil {
		return nil, fmt.Errorf("asked to dial %s %s", network, address)
	}
	return dial(ctx, network, address)
}

// judges what a resolver says of the zones of a tree.
func (s signedTree) judge(t *testing.T, r Resolver) {
	t.Helper()
	for name, want := range map[string]Security{"a.test": Secure, "large.a.test": Secure, "bare.test": Plain, "no.a.test": None, "no.test": None} {
		for range 2 { // the second time from kept keys
			got, err := r.Look(t.Context(), domain(t, name))
			if got.Security != want || (err == nil) != (want != None) || want == None && !errors.Is(err, ErrNone) {
				t.Errorf("%s: %v, %v, want %v", name, got.Security, err, want)
			}
			if want == Secure && (got.TTL > 600*time.Second || got.TTL <= 0) {
				t.Errorf("%s: to be believed for %v", name, got.TTL)
			}
		}
	}
	if _, err := r.Look(t.Context(), domain(t, "x.wild.test")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a wildcard: %v", err)
	}
	other, err := ParseAnchors(newKit(".", 1).ds().String())
	if err != nil {
		t.Fatal(err)
	}
	r.Anchors, r.Keys = other, nil
	if _, err := r.Look(t.Context(), domain(t, "a.test")); !errors.Is(err, ErrBogus) {
		t.Errorf("under another root: %v", err)
	}
	r.Now = func() time.Time { return time.Now().Add(365 * 24 * time.Hour) }
	r.Anchors, err = ParseAnchors(s.anchor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Look(t.Context(), domain(t, "a.test")); !errors.Is(err, ErrBogus) {
		t.Errorf("in a year: %v", err)
	}
}

// Three zones, signed by knot with three algorithms.
func TestKnot(t *testing.T) {
	tree := newTree(t)
	tree.judge(t, tree.resolver(t, "127.0.0.1:"+tree.port))
}

const unboundConf = `
server:
    interface: 127.0.0.1
    port: %[1]s
    directory: "%[2]s"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    do-ip6: no
    tcp-upstream: yes
    do-not-query-localhost: no
    local-zone: "test." nodefault
    trust-anchor: "%[4]s"
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@%[3]s
`

// A resolver in between, which verifies as well: what it believes is what we do.
func TestUnbound(t *testing.T) {
	path := program(t, "unbound")
	tree := newTree(t)
	dir, port := t.TempDir(), freePort(t)
	anchor := strings.ReplaceAll(strings.TrimSpace(tree.anchor), "\t", " ")
	daemon(t, port, path, "-d", "-p", "-c", write(t, dir, "unbound.conf", fmt.Sprintf(unboundConf, port, dir, tree.port, anchor)))
	tree.judge(t, tree.resolver(t, "127.0.0.1:"+port))
	r := tree.resolver(t, "127.0.0.1:"+port)
	for name, verified := range map[string]bool{"a.test": true, "bare.test": false} {
		w := r.newWalk()
		m, err := w.ask(t.Context(), question{name: ownerPrefix + name + ".", qtype: dns.TypeTXT})
		w.line.close()
		if err != nil || m.AuthenticatedData != verified {
			t.Errorf("%s: unbound says %v, %v", name, m, err)
		}
	}
}

const namedConf = `
tls ours { cert-file "%[2]s/cert.pem"; key-file "%[2]s/key.pem"; protocols { TLSv1.3; }; };
options {
    directory "%[2]s"; pid-file none; session-keyfile none; managed-keys-directory "%[2]s";
    listen-on port %[1]s { 127.0.0.1; };
    listen-on port %[4]s tls ours { 127.0.0.1; };
    listen-on port %[5]s tls ours http default { 127.0.0.1; };
    listen-on-v6 { none; };
    recursion yes; allow-query { any; }; dnssec-validation no;
    forward only; forwarders { 127.0.0.1 port %[3]s; };
};
controls { };
`

// BIND, asked over TLS and HTTPS, with a certificate that nobody vouches for.
func TestBIND(t *testing.T) {
	path := program(t, "named")
	tree := newTree(t)
	dir, port, overTLS, overHTTPS := t.TempDir(), freePort(t), freePort(t), freePort(t)
	pin := writeCertificate(t, dir)
	conf := write(t, dir, "named.conf", fmt.Sprintf(namedConf, port, dir, tree.port, overTLS, overHTTPS))
	daemon(t, port, path, "-g", "-c", conf)
	for _, at := range []string{"127.0.0.1:" + port, "tls://127.0.0.1:" + overTLS + "?pin=" + pin, "https://127.0.0.1:" + overHTTPS + "/dns-query?pin=" + pin + "&name=dns.example"} {
		tree.judge(t, tree.resolver(t, at))
	}
	r := tree.resolver(t, "tls://127.0.0.1:"+overTLS+"?pin="+pinA)
	if _, err := r.Look(t.Context(), domain(t, "a.test")); !errors.Is(err, errPin) {
		t.Errorf("under another pin: %v", err)
	}
}

// writeCertificate writes a certificate signed by itself, and its key, and returns its pin.
func writeCertificate(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"dns.example"}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return Pin(sha256.Sum256(spki)).String()
}

// A socks is a small proxy (RFC 1928): TCP only, no name. It counts its connections.
type socks struct {
	address string
	served  chan string // where to
}

func newSocks(t *testing.T) *socks {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socks{listener.Addr().String(), make(chan string, 100)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return s
}

// serve takes: version 5 | 1 | no authentication, then version | CONNECT | 0 | IPv4 | address 4 | port 2.
func (s *socks) serve(conn net.Conn) {
	defer conn.Close()
	var hello [3]byte
	var request [10]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil || hello != [3]byte{5, 1, 0} {
		return
	}
	conn.Write([]byte{5, 0})
	if _, err := io.ReadFull(conn, request[:]); err != nil || [4]byte(request[:4]) != [4]byte{5, 1, 0, 1} {
		return
	}
	to := fmt.Sprintf("%v:%d", net.IP(request[4:8]), int(request[8])<<8|int(request[9]))
	s.served <- to
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() { io.Copy(out, conn); out.Close() }()
	io.Copy(conn, out)
}

// dial connects through the proxy; to addresses in figures, over TCP.
func (s *socks) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	ip := net.ParseIP(host).To4()
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || ip == nil || network != "tcp" {
		return nil, fmt.Errorf("a proxy cannot dial %s %s", network, address)
	}
	conn, err := dial(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	conn.Write([]byte{5, 1, 0})
	conn.Write(append(append([]byte{5, 1, 0, 1}, ip...), byte(number>>8), byte(number)))
	_, err = io.ReadFull(conn, make([]byte, 12))
	return conn, err
}

// Through a proxy that carries streams and knows no names, a look-up is what it is without.
func TestThroughSocks(t *testing.T) {
	zones, root, _, _ := newWorld()
	self := issue(t, nil, asForm)
	for _, at := range []Server{
		server(t, hostile(func(q *dns.Msg) [][]byte { return [][]byte{zones.answer(q)} }).start(t).String()),
		server(t, hostile(func(q *dns.Msg) [][]byte { return [][]byte{zones.answer(q)} }).overDoT(t, &tls.Config{Certificates: []tls.Certificate{self.chain()}})+"?pin="+self.pin()),
	} {
		proxy := newSocks(t)
		anchors, err := ParseAnchors(root.ds().String())
		if err != nil {
			t.Fatal(err)
		}
		r := Resolver{Server: at, Dial: proxy.dial, Anchors: anchors, Timeout: patience, Now: func() time.Time { return signedAt }}
		got, err := r.Look(t.Context(), domain(t, "a.test"))
		if err != nil || got.Security != Secure {
			t.Errorf("%v: %v, %v", at, got.Security, err)
		}
		if to := <-proxy.served; to != at.at.String() || len(proxy.served) != 0 {
			t.Errorf("%v: the proxy was led to %s, and to %d more", at, to, len(proxy.served))
		}
	}
}
