package dnstxt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

const (
	// DefaultTimeout is how long one try of a Resolver takes at most.
	DefaultTimeout = 4 * time.Second

	lookTime = 30 * time.Second // one look-up, all its questions and tries
	tries    = 2                // of one question
)

// A Resolver asks one DNS server for records: over TCP, TLS or HTTPS, never over
// UDP. It uses neither the system's resolver nor its configuration, looks no name of a
// server up, and opens connections through Dial only. Its methods may be called from
// several goroutines.
type Resolver struct {
	// Server is a recursive resolver, or an authoritative server of all domains that
	// will be asked for. The name of a domain that is looked up is visible to it,
	// and over TCP to everybody on the way.
	Server Server
	// Dial opens connections: network "tcp", an IP address and a port.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout is for one try. Zero: DefaultTimeout.
	Timeout time.Duration
	// Anchors are the keys from which signatures are verified. None: nothing is
	// verified, and all answers are Plain.
	Anchors Anchors
	// Keys keeps verified keys of zones from one look-up to another. Nil: none.
	Keys *KeyCache
	// Now is the clock that signatures are judged by. Nil: time.Now.
	Now func() time.Time
}

// Security is how an answer came.
type Security uint8

// What an answer can be. The zero Security is None.
const (
	None   Security = iota // there is no record
	Plain                  // there is one, and nobody has shown that it is the domain's
	Secure                 // DNSSEC has, from a trust anchor down, verified by this resolver itself
)

// String returns "none", "plain" or "secure".
func (s Security) String() string {
	switch s {
	case None:
		return "none"
	case Plain:
		return "plain"
	case Secure:
		return "secure"
	}
	return fmt.Sprintf("Security(%d)", uint8(s))
}

// An Answer is a record and what it is worth.
type Answer struct {
	Record
	TTL      time.Duration // how long it may be believed; 0 if there is none
	Security Security
	Why      string // of a Plain one: what is missing for Secure, in words

	set rrset // as it came
}

// Lookup returns the record of a domain. Errors: ErrNone; ErrInvalid (a *ParseError if
// the record's grammar is at fault, ErrBogus if its signature is); and others if
// the server could not be asked or failed to answer, which says nothing of the domain.
func (r Resolver) Lookup(ctx context.Context, domain pki.Domain) (Record, error) {
	answer, err := r.Look(ctx, domain)
	return answer.Record, err
}

// Look is Lookup that tells more. It takes 30 s at most.
func (r Resolver) Look(ctx context.Context, domain pki.Domain) (Answer, error) {
	if r.Server.IsZero() || r.Dial == nil {
		return Answer{}, errors.New("dnstxt: a resolver needs a server and a dialler")
	}
	owner, err := Owner(domain)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	w := r.newWalk()
	defer w.line.close()
	answer, err := w.look(ctx, owner+".")
	if err != nil {
		return Answer{}, fmt.Errorf("%w (asked %s for %s)", err, r.Server.at, owner)
	}
	return answer, nil
}

// A walk is one look-up, with what it may still cost.
type walk struct {
	Resolver
	line    line
	now     time.Time
	queries int // that may be asked
	checks  int // of signatures that may be made
}

// A line is the way to a server: one connection for all questions of a look-up, opened
// for the first and again after a failure.
type line interface {
	// exchange sends a message and returns what comes back. An error is a
	// transportError if another try may help.
	exchange(ctx context.Context, query []byte) ([]byte, error)
	close()
}

// newWalk begins a look-up, at a time by the calendar: keys that are kept grow old while the
// machine is asleep, too.
func (r Resolver) newWalk() *walk {
	w := &walk{Resolver: r, now: time.Now().Round(0), queries: maxQueries, checks: maxChecks}
	if r.Now != nil {
		w.now = r.Now()
	}
	s := &stream{server: r.Server, dial: r.Dial, now: r.Now}
	if w.line = s; r.Server.over == overHTTPS {
		w.line = &web{stream: s}
	}
	return w
}

// look asks for the record, and for what its signature hangs on.
func (w *walk) look(ctx context.Context, owner string) (Answer, error) {
	q := question{name: owner, qtype: dns.TypeTXT}
	m, err := w.ask(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	answer, err := q.judge(m)
	if err != nil {
		return Answer{}, err
	}
	until, err := w.prove(ctx, answer.set)
	var lacking *unproven
	switch {
	case errors.As(err, &lacking):
		answer.Why = lacking.why
		return answer, nil
	case err != nil:
		return Answer{}, err
	}
	answer.Security, answer.TTL = Secure, min(answer.TTL, until.Sub(w.now))
	return answer, nil
}

// ask asks one question until there is an answer to it, whatever that says. A question
// that no answer comes to ends the look-up.
func (w *walk) ask(ctx context.Context, q question) (*dns.Msg, error) {
	if w.queries--; w.queries < 0 {
		return nil, fmt.Errorf("%w: its proof takes more than %d questions", ErrBogus, maxQueries)
	}
	var last error
	for range tries {
		if w.Server.over != overHTTPS { // which wants all equal questions to be equal, to the octet
			q.id = randomID()
		}
		m, err := w.try(ctx, q)
		var noAnswer transportError
		if !errors.As(err, &noAnswer) {
			return m, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		last = err
	}
	return nil, last
}

func (w *walk) try(ctx context.Context, q question) (*dns.Msg, error) {
	timeout := w.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	query, err := q.pack(w.Server.encrypted())
	if err != nil {
		return nil, err
	}
	raw, err := w.line.exchange(ctx, query)
	if err != nil {
		return nil, err
	}
	return q.read(raw)
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}
