package keyserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/p3do/p3do/pki"
)

var (
	// ErrNotFound says that the server has no such record.
	ErrNotFound = errors.New("keyserver: not found")

	// ErrWrongKey says that the server, or a record of its own domain, showed
	// another CA key than the pinned one. A *pki.KeyChangedError is in it.
	ErrWrongKey = errors.New("keyserver: the key is not the pinned one")

	// ErrBusy says that the server refused for now (429 or 503).
	ErrBusy = errors.New("keyserver: server is busy")

	// ErrBadAnswer says that what came is not what was asked for: malformed,
	// too long, or of another subject.
	ErrBadAnswer = errors.New("keyserver: bad answer")
)

const (
	// DefaultTimeout bounds one call of a Client.
	DefaultTimeout = 30 * time.Second

	// MaxServers is how many descriptors Servers hands over of one server's.
	MaxServers = 20_000
)

// Endpoint is a key server as DNS or a descriptor tells of it.
type Endpoint struct {
	Address string          // host:port, given to Dial as it is
	CA      pki.Fingerprint // of the CA of the server's domain: the pin

	Former []pki.Fingerprint // of those that handed over to it: what they certified is good
}

// Client asks key servers. Each call is one TLS 1.3 connection of its own;
// nothing is kept between calls. Methods may be called concurrently.
type Client struct {
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Timeout time.Duration // of a whole call; zero: DefaultTimeout
}

// User looks up the card of exactly that name. The owner's signature on it is
// good; that her home vouches for it the caller verifies with the home's
// CACert.VerifyCard. From the home's own server, a card by another CA than the
// pinned one is [ErrWrongKey]; it comes beside the error, as evidence.
func (c Client) User(ctx context.Context, server Endpoint, name pki.Name) (pki.UnvouchedCard, error) {
	card, s, err := c.card(ctx, server, query{kind: userByName, name: name})
	if err == nil && card.Name() != name {
		err = fmt.Errorf("%w: the card is of %s", ErrBadAnswer, card.Name())
	}
	if err == nil && name.Domain() == s.ca.Domain() && !slices.Contains(server.Former, card.Issuer()) {
		if err := checkPin(server.CA, card.Issuer(), name.Domain()); err != nil {
			return card, fmt.Errorf("keyserver: looking up %s: %w", name, err)
		}
	}
	if err != nil {
		return pki.UnvouchedCard{}, fmt.Errorf("keyserver: looking up %s: %w", name, err)
	}
	return card, nil
}

// UserByKey looks up the card of the user with exactly that identity key. As
// for User, the caller verifies that a home vouches for the name.
func (c Client) UserByKey(ctx context.Context, server Endpoint, key pki.Fingerprint) (pki.UnvouchedCard, error) {
	card, _, err := c.card(ctx, server, query{kind: byKey, fingerprint: key})
	if err == nil && card.Key().Fingerprint() != key {
		err = fmt.Errorf("%w: the card is of another key", ErrBadAnswer)
	}
	if err != nil {
		return pki.UnvouchedCard{}, fmt.Errorf("keyserver: looking up %s: %w", key, err)
	}
	return card, nil
}

func (c Client) card(ctx context.Context, server Endpoint, q query) (pki.UnvouchedCard, *session, error) {
	ctx, s, done := c.open(ctx, server)
	defer done()
	raw, err := s.get(ctx, q, pki.MaxCardSize)
	if err != nil {
		return pki.UnvouchedCard{}, s, err
	}
	card, err := pki.ParseCard(raw)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	return card, s, err
}

// Server looks up the descriptor of exactly that domain. Its signature is good
// under the CA that it names; for the server's own domain that is the pinned
// one, for another the caller compares with a pin. The caller checks the time.
func (c Client) Server(ctx context.Context, server Endpoint, domain pki.Domain) (pki.SignedDescriptor, error) {
	ctx, s, done := c.open(ctx, server)
	defer done()
	d, err := s.descriptor(ctx, domain)
	if err != nil {
		return pki.SignedDescriptor{}, fmt.Errorf("keyserver: looking up server of %s: %w", domain, err)
	}
	return d, nil
}

func (s *session) descriptor(ctx context.Context, domain pki.Domain) (d pki.SignedDescriptor, err error) {
	raw, err := s.get(ctx, query{kind: serverByDomain, domain: domain}, pki.MaxDescriptorSize)
	if err != nil {
		return d, err
	}
	if d, err = pki.ParseDescriptor(raw); err != nil {
		return d, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if d.Domain != domain {
		return d, fmt.Errorf("%w: the descriptor is of %s", ErrBadAnswer, d.Domain)
	}
	return d, s.checkOwn(d)
}

// Servers hands each descriptor that the server lists to take, by domain, at most
// [MaxServers]. No more than a page of them is in memory at a time. What is said of
// Server holds for each.
func (c Client) Servers(ctx context.Context, server Endpoint, take func(pki.SignedDescriptor)) error {
	ctx, s, done := c.open(ctx, server)
	defer done()
	after, taken := pki.Domain{}, 0
	for {
		page, err := s.page(ctx, after)
		if err == nil && taken+len(page) > MaxServers {
			err = fmt.Errorf("%w: more than %d", ErrBadAnswer, MaxServers)
		}
		if err != nil {
			return fmt.Errorf("keyserver: listing servers: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, d := range page {
			take(d)
		}
		after, taken = page[len(page)-1].Domain, taken+len(page)
	}
}

func (s *session) page(ctx context.Context, after pki.Domain) ([]pki.SignedDescriptor, error) {
	raw, err := s.get(ctx, query{kind: serverPage, domain: after}, MaxPageSize)
	if err != nil {
		return nil, err
	}
	page, err := decodePage(raw, after)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	for _, d := range page {
		if err := s.checkOwn(d); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// session is one call: a transport of its own for one pinned server.
type session struct {
	pin       pki.Fingerprint
	ca        pki.CACert // shown in TLS and equal to the pin; zero before
	transport *http.Transport
}

// open bounds ctx by the client's timeout. done closes the connection.
func (c Client) open(ctx context.Context, server Endpoint) (bounded context.Context, s *session, done func()) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	s = &session{pin: server.CA}
	s.transport = &http.Transport{
		DialContext: c.Dial, // for plain HTTP, which get never asks for
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return s.dial(ctx, c.Dial, network, server.Address)
		},
		DisableCompression:     true,
		MaxConnsPerHost:        1,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              new(http.Protocols),
	}
	s.transport.Protocols.SetHTTP1(true)
	return bounded, s, func() {
		s.transport.CloseIdleConnections()
		cancel()
	}
}

func (s *session) dial(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string) (net.Conn, error) {
	raw, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, s.clientTLS())
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// clientTLS trusts the pin and nothing else. InsecureSkipVerify only switches
// off the public CAs and the host name, neither of which has a say here; it
// also keeps the client from sending a server name.
func (s *session) clientTLS() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true,
		VerifyConnection:   s.verify,
	}
}

// verify judges what the server shows: link certificate, CA certificate.
func (s *session) verify(state tls.ConnectionState) error {
	shown := state.PeerCertificates
	if len(shown) != 2 {
		return fmt.Errorf("%w: want 2 certificates, got %d", ErrBadAnswer, len(shown))
	}
	ca, err := pki.ParseCACert(shown[1].Raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if err := checkPin(s.pin, ca.Fingerprint(), ca.Domain()); err != nil {
		return err
	}
	if err := ca.VerifyLink(shown[0], time.Now()); err != nil {
		return err
	}
	s.ca = ca
	return nil
}

// checkOwn: what a server says of its own domain must be under the pinned CA.
func (s *session) checkOwn(d pki.SignedDescriptor) error {
	if d.Domain != s.ca.Domain() {
		return nil
	}
	return checkPin(s.pin, d.CA.Fingerprint(), d.Domain)
}

func checkPin(pinned, shown pki.Fingerprint, domain pki.Domain) error {
	if err := pki.CheckPin(pinned, shown, domain.String()); err != nil {
		return fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	return nil
}

// get asks once; it follows no redirect and takes limit bytes at most.
func (s *session) get(ctx context.Context, q query, limit int64) ([]byte, error) {
	return s.getTarget(ctx, q.target(), limit)
}

func (s *session) getTarget(ctx context.Context, target string, limit int64) ([]byte, error) {
	resp, err := s.roundTrip(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, ErrNotFound
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil, ErrBusy
	default:
		return nil, fmt.Errorf("%w: status %d", ErrBadAnswer, resp.StatusCode)
	}
	return readBody(resp, limit)
}

// roundTrip asks once. The caller closes the body.
func (s *session) roundTrip(ctx context.Context, method, target string, body io.Reader) (*http.Response, error) {
	// The host is a constant: the server's address is none of HTTP's business.
	r, err := http.NewRequestWithContext(ctx, method, "https://keyserver.invalid"+target, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "") // sends none
	return s.transport.RoundTrip(r)
}

func readBody(resp *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("keyserver: reading answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrBadAnswer, limit)
	}
	return body, nil
}
