package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
)

// TestMain fails if a test left a goroutine of this package behind: Close must have ended them all.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(time.Minute); code == 0; time.Sleep(time.Millisecond) {
		stacks := leftovers()
		if stacks == nil {
			break
		}
		if time.Now().After(deadline) { // those that were told to end need a moment
			fmt.Printf("goroutines are left:\n%s", stacks)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers are the stacks of all goroutines, if some of this package are among them.
func leftovers() []byte {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, left := range []string{"link.(*Conn)", "link.(*Listener)", "link.dialSide", "link.listenSide"} {
		if bytes.Contains(stacks, []byte(left)) {
			return stacks
		}
	}
	return nil
}

// newCert makes a self-signed node certificate for domain.
func newCert(t testing.TB, domain string) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// only accepts a leaf for domain.
func only(domain string) func(*x509.Certificate) error {
	return func(leaf *x509.Certificate) error {
		if leaf.VerifyHostname(domain) != nil {
			return errors.New("not " + domain)
		}
		return nil
	}
}

// node is a Config of a node for self that talks to peer only.
func node(t testing.TB, self, peer string) Config {
	return Config{Certificate: newCert(t, self), Judge: only(peer), Dial: dial.Direct()}
}

// user is a Config of a user of home.
func user(home string) Config { return Config{Judge: only(home), Dial: dial.Direct()} }

func listen(t testing.TB, c Config) *Listener {
	t.Helper()
	l, err := Listen(c, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(t testing.TB, l *Listener) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := l.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func connect(t testing.TB, c Config, address string) *Conn {
	t.Helper()
	conn, err := Dial(context.Background(), c, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// pair is a link over TCP between a dialler and a listener.
func pair(t testing.TB, dialler, listener Config) (dialled, accepted *Conn) {
	t.Helper()
	l := listen(t, listener)
	dialled = connect(t, dialler, l.Addr().String())
	return dialled, accept(t, l)
}

// pipePair is a link over net.Pipe, for use in a synctest bubble.
func pipePair(t *testing.T, dialler, listener Config) (dialled, accepted *Conn) {
	t.Helper()
	dialler, err1 := dialler.withDefaults()
	listener, err2 := listener.withDefaults()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { accepted, err2 = listenSide(t.Context(), listener, far, anyone) })
	dialled, err1 = dialSide(t.Context(), dialler, near)
	wg.Wait()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled, accepted
}

func anyone(bool) (func(), error) { return func() {}, nil }

// packet is a packet that can be told from others.
func packet(n int) *[SlotSize]byte {
	p := new([SlotSize]byte)
	copy(p[:], fmt.Sprintf("\x01packet %d", n))
	p[SlotSize-1] = byte(n)
	return p
}

func receive(t testing.TB, c *Conn) Message {
	t.Helper()
	m, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// journal is a log that many goroutines write and a test reads. Lines come on a channel too.
type journal struct{ lines chan string }

func newJournal() journal { return journal{make(chan string, 1000)} }

func (j journal) Write(line []byte) (int, error) {
	j.lines <- string(line)
	return len(line), nil
}

func (j journal) next(t testing.TB) string {
	t.Helper()
	select {
	case line := <-j.lines:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was logged")
		return ""
	}
}

// stranger is a TLS client that is not this package: a user by its handshake, then what the test wants. change alters
// its TLS configuration first.
func stranger(t *testing.T, address string, change func(*tls.Config)) (*tls.Conn, error) {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { raw.Close() })
	must(t, raw.SetDeadline(time.Now().Add(time.Minute)))
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ALPN}, DynamicRecordSizingDisabled: true}
	if change != nil {
		change(config)
	}
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	_, err = io.ReadFull(conn, make([]byte, SlotSize)) // the greeting
	return conn, err
}

// tap is a TCP proxy that keeps what passes.
type tap struct {
	address  string
	done     chan struct{} // closed when the first connection has ended on both sides
	up, down []byte        // from the dialler, from the listener; to be read when done
}

// newTap proxies one connection to target. change, if not nil, may alter what the dialler sent before it is passed on.
func newTap(t *testing.T, target string, change func(soFar int, b []byte)) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	p := &tap{address: ln.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		near, err := ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", target)
		if err != nil {
			near.Close()
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() { p.up = pass(far, near, change) })
		wg.Go(func() { p.down = pass(near, far, nil) })
		wg.Wait()
		near.Close()
		far.Close()
	}()
	return p
}

// pass copies from one connection to the other until the end, which it passes on too.
func pass(to, from net.Conn, change func(int, []byte)) (kept []byte) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if change != nil {
			change(len(kept), buf[:n])
		}
		kept = append(kept, buf[:n]...)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			to.(*net.TCPConn).CloseWrite()
			return kept
		}
	}
}

// records takes the bytes of a TCP stream apart into TLS records: content type and length.
func records(t *testing.T, stream []byte) (types []byte, lengths []int) {
	t.Helper()
	for len(stream) > 0 {
		if len(stream) < 5 {
			t.Fatalf("%d bytes after the last record", len(stream))
		}
		n := int(stream[3])<<8 | int(stream[4])
		if len(stream) < 5+n {
			t.Fatalf("the last record has %d bytes, not %d", len(stream)-5, n)
		}
		types, lengths = append(types, stream[0]), append(lengths, n)
		stream = stream[5+n:]
	}
	return types, lengths
}

func wantText(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("err = %v, want one with %q", err, text)
		}
	}
}
