package dnstxt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/p3do/p3do/pki"
)

const (
	// DefaultTimeout is how long one try of a Resolver takes at most.
	DefaultTimeout = 2 * time.Second

	udpTries   = 3  // queries over UDP, each with another id and port
	tcpTries   = 2  // queries over TCP
	udpStrayed = 32 // datagrams passed over in one try
)

// A Resolver asks one DNS server for records. It uses neither the system's
// resolver nor its configuration, and opens connections through Dial only. Its
// methods may be called from several goroutines.
type Resolver struct {
	// Server is the host:port of a recursive resolver, or of an authoritative
	// server of all domains that will be asked for. The name of a domain that
	// is looked up is visible to it and to everybody on the way.
	Server string
	// Dial opens connections: networks "udp" and "tcp", address Server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout is for one try. Zero: DefaultTimeout.
	Timeout time.Duration
	// TCPOnly asks over TCP from the start, as a SOCKS proxy needs it.
	TCPOnly bool
}

// Lookup returns the record of a domain. It asks over UDP, at most three times
// while no answer comes, and over TCP, at most twice, if the answer was
// truncated or with TCPOnly. Errors: ErrNone, ErrInvalid (a *ParseError if the
// record's grammar is at fault), and others if the server could not be asked or
// failed to answer.
func (r Resolver) Lookup(ctx context.Context, domain pki.Domain) (Record, error) {
	answer, err := r.Look(ctx, domain)
	return answer.Record, err
}

// An Answer is a record and what the resolver said of it.
type Answer struct {
	Record
	TTL    time.Duration // how long it may be believed; 0 if there is none
	Secure bool          // the resolver has verified it by DNSSEC (RFC 4035, section 3.2.3): as good as the way to it
}

// Look is Lookup that tells more.
func (r Resolver) Look(ctx context.Context, domain pki.Domain) (Answer, error) {
	if r.Server == "" || r.Dial == nil {
		return Answer{}, errors.New("dnstxt: a resolver needs a server and a dialler")
	}
	var answer Answer
	err := errTruncated
	if !r.TCPOnly {
		answer, err = r.ask(ctx, domain, udpTries, r.overUDP)
	}
	if errors.Is(err, errTruncated) {
		answer, err = r.ask(ctx, domain, tcpTries, r.overTCP)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%w (asked %s for %s%s)", err, r.Server, ownerPrefix, domain)
	}
	return answer, nil
}

// A transportError means that no answer came; trying again may help.
type transportError struct{ error }

func (e transportError) Unwrap() error { return e.error }

// ask tries over one transport until there is an answer, whatever it says, and
// returns the last error if there is none.
func (r Resolver) ask(ctx context.Context, domain pki.Domain, tries int,
	over func(context.Context, question) (Answer, error)) (Answer, error) {
	var last error
	for range tries {
		q, err := newQuestion(domain, randomID())
		if err != nil {
			return Answer{}, err
		}
		answer, err := r.try(ctx, q, over)
		var noAnswer transportError
		if !errors.As(err, &noAnswer) {
			return answer, err
		}
		if ctx.Err() != nil {
			return Answer{}, ctx.Err()
		}
		last = err
	}
	return Answer{}, last
}

func (r Resolver) try(ctx context.Context, q question,
	over func(context.Context, question) (Answer, error)) (Answer, error) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return over(ctx, q)
}

func (r Resolver) overUDP(ctx context.Context, q question) (Answer, error) {
	conn, err := r.send(ctx, "udp", q)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer closeOn(ctx, conn)()
	raw := make([]byte, udpSize+1)
	for range udpStrayed {
		n, err := conn.Read(raw)
		if err != nil {
			return Answer{}, silence(ctx, err)
		}
		if n > udpSize {
			continue // more than was asked for: not an answer
		}
		answer, err := q.parse(raw[:n])
		if errors.Is(err, errNotOurs) {
			continue
		}
		return answer, err
	}
	return Answer{}, transportError{errors.New("dnstxt: too many datagrams that answer something else")}
}

func (r Resolver) overTCP(ctx context.Context, q question) (Answer, error) {
	conn, err := r.send(ctx, "tcp", q)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer closeOn(ctx, conn)()
	raw, err := readFramed(conn)
	if err != nil {
		return Answer{}, silence(ctx, err)
	}
	answer, err := q.parse(raw)
	if errors.Is(err, errTruncated) {
		return Answer{}, fmt.Errorf("%w: truncated over TCP", ErrInvalid)
	}
	return answer, err
}

// send opens a connection and writes the query.
func (r Resolver) send(ctx context.Context, network string, q question) (net.Conn, error) {
	query, err := q.pack()
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		query = framed(query)
	}
	conn, err := r.Dial(ctx, network, r.Server)
	if err != nil {
		return nil, transportError{err}
	}
	if _, err := conn.Write(query); err != nil {
		return nil, transportError{errors.Join(err, conn.Close())}
	}
	return conn, nil
}

// silence is the error of a read: the end of ctx, if that closed the connection.
func silence(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("dnstxt: no answer: %w", ctx.Err())
	}
	return transportError{err}
}

// closeOn closes conn when ctx ends, so that a read returns. The function that
// it returns stops that.
func closeOn(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { conn.Close() })
}

// framed returns a message as it goes over TCP (RFC 1035, section 4.2.2):
// length 2 | message.
func framed(message []byte) []byte {
	out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	return append(out, message...)
}

// readFramed reads one message from TCP, at most 65 535 bytes.
func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, fmt.Errorf("dnstxt: reading: %w", err)
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("dnstxt: reading: %w", err)
	}
	return message, nil
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}
