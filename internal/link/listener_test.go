package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// Beyond the bound of handshakes the oldest connection is closed, so that thousands who say
// nothing keep nobody out.
func TestSilentConnections(t *testing.T) {
	config := node(t, "a.test", "b.test")
	l := listen(t, config)
	const silent = 2 * MaxHandshakes
	var idle []net.Conn
	for range silent {
		conn, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		defer conn.Close()
		idle = append(idle, conn)
	}
	must(t, idle[0].SetDeadline(time.Now().Add(DefaultHandshakeTimeout/2)))
	if _, err := idle[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest: %v", err)
	}
	connect(t, user("a.test"), l.Addr().String())
	accept(t, l)
	if got := l.Stats(); got.Full < silent-MaxHandshakes {
		t.Errorf("stats %+v", got)
	}
}

// Users cannot take the places of nodes, and a closed link gives its place back.
func TestTooManyLinks(t *testing.T) {
	config := node(t, "a.test", "b.test")
	config.MaxUsers, config.MaxNodes = 1, 1
	l := listen(t, config)
	address := l.Addr().String()

	connect(t, user("a.test"), address)
	first := accept(t, l)
	_, err := Dial(context.Background(), user("a.test"), address)
	wantText(t, err, "closed by the other side, which is full")

	connect(t, node(t, "b.test", "a.test"), address)
	accept(t, l)
	if _, err := Dial(context.Background(), node(t, "b.test", "a.test"), address); err == nil {
		t.Error("a second node got in")
	}
	if got := l.Stats(); got != (ListenerStats{Full: 2, Nodes: 1, Users: 1}) {
		t.Errorf("stats %+v", got)
	}

	first.Close()
	connect(t, user("a.test"), address)
	accept(t, l)
}

func TestListenerCloses(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	idle, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer idle.Close()
	waiting := connect(t, user("a.test"), l.Addr().String()) // greeted, and never accepted
	must(t, l.Close())
	if _, err := l.Accept(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := waiting.Receive(); err == nil {
		t.Error("a link that nobody accepted is open")
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection in the handshake is open")
	}
}

func TestAcceptEndsWithItsContext(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Who does not speak TLS is refused, and what it got back is no slot and no name.
func TestNotTLS(t *testing.T) {
	log := newJournal()
	config := node(t, "a.test", "b.test")
	config.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := listen(t, config)
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"+strings.Repeat("x", 40<<10))
	must(t, err)
	heard, err := io.ReadAll(conn)
	must(t, err) // a reset would mean that the alert can get lost
	if len(heard) > 16 {
		t.Errorf("answered %q", heard)
	}
	conn.Close()
	if line := log.next(t); !strings.Contains(line, "does not look like a TLS handshake") {
		t.Errorf("logged %s", line)
	}
}

// Nobody's address gets into a log by way of a network error.
func TestNoAddressInTheLog(t *testing.T) {
	log := newJournal()
	config := node(t, "a.test", "b.test")
	config.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := listen(t, config)
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	must(t, conn.(*net.TCPConn).SetLinger(0))
	must(t, conn.Close()) // a reset
	if line := log.next(t); !strings.Contains(line, "connection reset") || strings.Contains(line, "127.0.0.1") {
		t.Errorf("logged %s", line)
	}
}

// A node may run longer than its certificate.
func TestRenew(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	fresh := newCert(t, "a.test")
	for _, want := range []bool{false, true} {
		c := connect(t, user("a.test"), l.Addr().String())
		accept(t, l)
		if got := bytes.Equal(c.Peer().Raw, fresh.Certificate[0]); got != want {
			t.Errorf("shows the fresh certificate: %v, want %v", got, want)
		}
		must(t, l.Renew(fresh))
	}
	wantText(t, l.Renew(tls.Certificate{}), "0 certificates")
}
