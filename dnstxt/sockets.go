package dnstxt

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	portTries  = 16              // ports tried until one is free for UDP and TCP
	maxConns   = 256             // TCP connections at a time; with one more, the first is closed
	tcpIdle    = 5 * time.Second // without a whole query a TCP connection is closed
	tcpQueries = 1024            // queries on one TCP connection, then it is closed
	maxQuery   = 4096            // octets of a query; longer ones get no answer

	// troubled is the pause after the system had no connection to give, as when there are too
	// many open files, or no datagram.
	troubled = 100 * time.Millisecond
)

// A replier appends the answer to a query as it came from the network, at most
// limit octets, to what it is given; nothing if nothing is to be sent.
type replier func(answer, query []byte, limit int) []byte

// sockets are one port, for UDP and TCP.
type sockets struct {
	udp    *net.UDPConn
	tcp    net.Listener
	counts *counts
}

// Counts is what became of what came to a server.
type Counts struct {
	Answered uint64 // queries, whole, over UDP or TCP
	Over     uint64 // queries over the rate of their network: told to use TCP, or passed by
	Ignored  uint64 // what is no query, or too long
	Failed   uint64 // times that the system had no datagram to give
}

type counts struct{ answered, over, ignored, failed atomic.Uint64 }

// Counts tells what became of what came, since the start.
func (s *sockets) Counts() Counts {
	return Counts{s.counts.answered.Load(), s.counts.over.Load(), s.counts.ignored.Load(), s.counts.failed.Load()}
}

// of counts the answer to a query that had room for so many octets.
func (c *counts) of(answer []byte, limit int) {
	switch {
	case len(answer) == 0:
		c.ignored.Add(1)
	case limit == 0:
		c.over.Add(1)
	default:
		c.answered.Add(1)
	}
}

// listen opens address, IP:port. With port 0 it takes a port that is free for both.
func listen(address string) (sockets, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return sockets{}, fmt.Errorf("dnstxt: listening: want IP:port: %w", err)
	}
	tries := 1
	if at.Port() == 0 {
		tries = portTries
	}
	for range tries {
		var s sockets
		if s, err = listenBoth(at); err == nil {
			return s, nil
		}
	}
	return sockets{}, fmt.Errorf("dnstxt: listening: %w", err)
}

func listenBoth(at netip.AddrPort) (sockets, error) {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return sockets{}, err
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		return sockets{}, errors.Join(err, udp.Close())
	}
	return sockets{udp, tcp, new(counts)}, nil
}

// Addr returns the host:port that is listened on, for UDP and TCP.
func (s *sockets) Addr() string { return s.udp.LocalAddr().String() }

// Close closes the sockets of what does not run.
func (s *sockets) Close() error { return errors.Join(s.udp.Close(), s.tcp.Close()) }

// run answers until ctx ends. It closes
// the sockets and returns when all its goroutines have. gate and crowd may be nil.
func (s *sockets) run(ctx context.Context, reply replier, gate *gate, crowd *crowd) {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(running, func() { s.Close() })
	defer stop()

	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		s.serveUDP(running, reply, gate)
	})
	wg.Go(func() {
		defer cancel()
		s.serveTCP(running, &wg, reply, crowd)
	})
	wg.Wait()
}

// serveUDP answers datagrams one after the other, each in microseconds. One that cannot be read ends nothing,
// however often: TCP is served meanwhile.
func (s *sockets) serveUDP(ctx context.Context, reply replier, gate *gate) {
	query, answer := make([]byte, maxQuery+1), make([]byte, 0, udpSize)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(query)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.counts.failed.Add(1)
			pause(ctx)
			continue
		}
		limit := gate.pass(from.Addr())
		if limit < 0 {
			s.counts.over.Add(1)
			continue
		}
		answer = answer[:0]
		if n <= maxQuery {
			answer = reply(answer, query[:n], limit)
		}
		if s.counts.of(answer, limit); len(answer) > 0 {
			// Datagrams get lost, and clients ask again.
			_, _ = s.udp.WriteToUDPAddrPort(answer, from)
		}
	}
}

// serveTCP has at most maxConns connections at a time: with one more, whoever came first is
// sent away. So nobody who holds connections keeps others out: who has a question gets an
// answer before that many others have come after him.
func (s *sockets) serveTCP(ctx context.Context, wg *sync.WaitGroup, reply replier, crowd *crowd) {
	var guests list.List // of net.Conn, in the order in which they came
	left := make(chan *list.Element, maxConns)
	for {
		conn, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			pause(ctx)
			continue
		}
		if !crowd.enter(conn.RemoteAddr()) {
			conn.Close()
			continue
		}
		makeRoom(&guests, left)
		guest := guests.PushBack(conn)
		wg.Go(func() {
			s.serveConn(ctx, conn, reply)
			crowd.leave(conn.RemoteAddr())
			left <- guest
		})
	}
}

// makeRoom takes out who has left, and sends whoever came first away if all are there still.
func makeRoom(guests *list.List, left <-chan *list.Element) {
	for len(left) > 0 {
		guests.Remove(<-left)
	}
	if guests.Len() < maxConns {
		return
	}
	_ = guests.Front().Value.(net.Conn).Close()
	guests.Remove(<-left) // him, or another who left meanwhile
}

func pause(ctx context.Context) {
	timer := time.NewTimer(troubled)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serveConn answers the queries of one connection, in their order, until the
// client hangs up, is silent for tcpIdle or ctx ends.
func (s *sockets) serveConn(ctx context.Context, conn net.Conn, reply replier) {
	defer conn.Close()
	defer closeOn(ctx, conn)()
	for range tcpQueries {
		if conn.SetDeadline(time.Now().Add(tcpIdle)) != nil {
			return
		}
		query, err := readFramed(conn)
		if err != nil || len(query) > maxQuery {
			return
		}
		answer := reply(nil, query, dns.MaxMsgSize)
		s.counts.of(answer, dns.MaxMsgSize)
		if answer == nil {
			return
		}
		if _, err := conn.Write(framed(answer)); err != nil {
			return
		}
	}
}
