package dnstxt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

const (
	portTries  = 16              // ports tried until one is free for UDP and TCP
	maxConns   = 64              // TCP connections at a time; more wait in the kernel's queue
	tcpIdle    = 5 * time.Second // without a whole query a TCP connection is closed
	tcpQueries = 1024            // queries on one TCP connection, then it is closed
	maxQuery   = 4096            // octets of a query; longer ones get no answer

	// acceptPause is how long TCP waits after the system had no connection to give, as
	// when there are too many open files.
	acceptPause = 100 * time.Millisecond
)

// A Responder is an authoritative DNS server for the records of one zone, over
// UDP and TCP on one port. It is made for stub resolvers and the lab: it has no
// NS records, no DNSSEC, no transfers and no limit of rate. Its methods may be
// called from several goroutines.
type Responder struct {
	zone *zone
	udp  net.PacketConn
	tcp  net.Listener
}

// Listen opens a Responder on address, IP:port, for zone: a name such as "test".
// With port 0 it takes a port that is free for UDP and TCP. It answers as soon
// as Run runs.
func Listen(address, zone string) (*Responder, error) {
	z, err := newZone(zone)
	if err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dnstxt: listening: want IP:port: %w", err)
	}
	tries := 1
	if at.Port() == 0 {
		tries = portTries
	}
	for range tries {
		var r *Responder
		if r, err = listenBoth(address, z); err == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("dnstxt: listening: %w", err)
}

func listenBoth(address string, z *zone) (*Responder, error) {
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	return &Responder{zone: z, udp: udp, tcp: tcp}, nil
}

// Addr returns the host:port that the responder listens on, for UDP and TCP.
func (r *Responder) Addr() string { return r.udp.LocalAddr().String() }

// Set publishes the record of a domain in the zone, in place of an older one.
// It refuses domains outside the zone, invalid records, and more than
// MaxRecords.
func (r *Responder) Set(domain pki.Domain, record Record) error { return r.zone.set(domain, record) }

// Remove takes the record of a domain away, if there is one.
func (r *Responder) Remove(domain pki.Domain) error { return r.zone.remove(domain) }

// Close closes the sockets of a responder that does not run.
func (r *Responder) Close() error { return errors.Join(r.udp.Close(), r.tcp.Close()) }

// Run answers until ctx ends, which is no error, or the UDP socket fails. It closes
// the sockets and returns when all its goroutines have.
func (r *Responder) Run(ctx context.Context) error {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(running, func() { r.Close() })
	defer stop()

	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		defer cancel()
		err = r.serveUDP()
	})
	wg.Go(func() {
		defer cancel()
		r.serveTCP(running, &wg)
	})
	wg.Wait()
	return err
}

// serveUDP answers datagrams one after the other, each in microseconds.
func (r *Responder) serveUDP() error {
	query := make([]byte, maxQuery+1)
	for {
		n, from, err := r.udp.ReadFrom(query)
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return fmt.Errorf("dnstxt: reading a datagram: %w", err)
		}
		if n > maxQuery {
			continue
		}
		if answer := r.zone.reply(query[:n], udpSize); answer != nil {
			// Datagrams get lost, and clients ask again.
			_, _ = r.udp.WriteTo(answer, from)
		}
	}
}

// serveTCP accepts at most maxConns connections at a time.
func (r *Responder) serveTCP(ctx context.Context, wg *sync.WaitGroup) {
	free := make(chan struct{}, maxConns)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := r.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			<-free
			pause(ctx)
			continue
		}
		wg.Go(func() {
			r.serveConn(ctx, conn)
			<-free
		})
	}
}

func pause(ctx context.Context) {
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serveConn answers the queries of one connection, in their order, until the
// client hangs up, is silent for tcpIdle or ctx ends.
func (r *Responder) serveConn(ctx context.Context, conn net.Conn) {
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
		answer := r.zone.reply(query, dns.MaxMsgSize)
		if answer == nil {
			return
		}
		if _, err := conn.Write(framed(answer)); err != nil {
			return
		}
	}
}
