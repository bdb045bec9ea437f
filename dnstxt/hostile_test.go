package dnstxt

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TCP connections that say nothing take the places at the responder, and cost no more than
// those places. Over UDP it answers as before; over TCP at once, too, in the place of whoever
// has been there for the longest time.
func TestSilentConnections(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", fullRecord())
	before := runtime.NumGoroutine()
	for range maxConns {
		conn, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	tcp := Resolver{Server: server(t, r.Addr()), Dial: dial, Timeout: 4 * tcpIdle}
	began := time.Now()
	for range 100 {
		if _, err := askUDP(t, r.Addr(), "a.test"); err != nil {
			t.Fatal(err)
		}
	}
	if n := runtime.NumGoroutine(); n > before+maxConns+10 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if _, err := tcp.Lookup(t.Context(), domain(t, "a.test")); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= tcpIdle {
		t.Errorf("it took %v: places are made free only by those who leave", took)
	}
}

// A datagram that cannot be read ends nothing: it is counted, and the next one is answered.
func TestUnreadDatagram(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", fullRecord())
	if err := r.sockets.udp.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	tcp := Resolver{Server: server(t, r.Addr()), Dial: dial}
	if _, err := tcp.Lookup(t.Context(), domain(t, "a.test")); err != nil { // and reading fails meanwhile
		t.Fatal(err)
	}
	for r.Counts().Failed < 3 {
		if t.Context().Err() != nil {
			t.Fatal("reading does not fail")
		}
		runtime.Gosched()
	}
	if err := r.sockets.udp.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := askUDP(t, r.Addr(), "a.test"); err != nil {
		t.Error(err)
	}
	if got := r.Counts(); got.Answered != 2 || got.Over != 0 {
		t.Errorf("%+v", got)
	}
}

// What is no query, too long, or cut short gets no answer; over TCP it ends the
// connection, and the next query is answered.
func TestHostileQueries(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", fullRecord())
	q, err := question{1, "_p3do.a.test.", dns.TypeTXT}.pack(false)
	if err != nil {
		t.Fatal(err)
	}
	long := append(q, make([]byte, maxQuery)...)
	for what, sent := range map[string][]byte{
		"nothing": {}, "half a header": q[:6], "too long": long, "an answer": append([]byte{0, 1, 0x80}, q[3:]...),
	} {
		conn, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(framed(sent)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(tcpIdle / 2)); err != nil {
			t.Fatal(err)
		}
		var late net.Error
		if _, err := readFramed(conn); err == nil || errors.As(err, &late) && late.Timeout() {
			t.Errorf("%s over TCP: %v", what, err)
		}
		datagram, err := net.Dial("udp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer datagram.Close()
		if _, err := datagram.Write(sent); err != nil {
			t.Fatal(err)
		}
		// The responder answers datagrams in their order: the first answer is to the second.
		if _, err := datagram.Write(q); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 2*maxQuery)
		if err := datagram.SetReadDeadline(time.Now().Add(tcpIdle)); err != nil {
			t.Fatal(err)
		}
		n, err := datagram.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parse(question{1, "_p3do.a.test.", dns.TypeTXT}, answer[:n]); err != nil || !got.Equal(fullRecord()) {
			t.Errorf("%s over UDP: %v, %v", what, got, err)
		}
	}
}

// When the system has no file left for a connection, the responder waits and goes on.
func TestAcceptFails(t *testing.T) {
	r, err := Listen("127.0.0.1:0", "test")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, r, "a.test", leastRecord())
	r.tcp = &failing{Listener: r.tcp, times: 2}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	resolver := Resolver{Server: server(t, r.Addr()), Dial: dial}
	if _, err := resolver.Lookup(ctx, domain(t, "a.test")); err != nil {
		t.Error(err)
	}
}

// failing has no file for the first connections.
type failing struct {
	net.Listener
	times int
}

func (l *failing) Accept() (net.Conn, error) {
	if l.times > 0 {
		l.times--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}
