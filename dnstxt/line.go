package dnstxt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	mediaType    = "application/dns-message" // RFC 8484, section 6
	maxMessage   = 0xffff                    // octets of a DNS message
	maxWebHeader = 16 << 10                  // octets of the header of a DoH answer
)

// A transportError means that no answer came; trying again may help.
type transportError struct{ error }

func (e transportError) Unwrap() error { return e.error }

// A stream asks over TCP or TLS, one question after the other.
type stream struct {
	server Server
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	now    func() time.Time
	conn   net.Conn // nil: not open
}

func (s *stream) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// exchange implements line.
func (s *stream) exchange(ctx context.Context, query []byte) ([]byte, error) {
	if err := s.open(ctx, "dot"); err != nil {
		return nil, err
	}
	defer closeOn(ctx, s.conn)()
	_, err := s.conn.Write(framed(query))
	if err == nil {
		var raw []byte
		if raw, err = readFramed(s.conn); err == nil {
			return raw, nil
		}
	}
	s.close()
	return nil, silence(ctx, err)
}

// open connects, unless it is connected. Over TLS it offers the protocols.
func (s *stream) open(ctx context.Context, protocols ...string) error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.dial(ctx, "tcp", s.server.at.String())
	if err != nil {
		return transportError{err}
	}
	if s.server.encrypted() {
		secured := tls.Client(conn, s.server.tls(s.now, protocols))
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return silence(ctx, fmt.Errorf("dnstxt: TLS: %w", err))
		}
		conn = secured
	}
	s.conn = conn
	return nil
}

// tls is TLS 1.3 with a server that the pins tell. InsecureSkipVerify switches only the
// verification against the machine's authorities off.
func (s Server) tls(now func() time.Time, protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: s.name, NextProtos: protocols, Time: now,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			at := time.Now()
			if now != nil {
				at = now()
			}
			return s.recognise(state.PeerCertificates, at)
		},
	}
}

// errPin: whoever answers is not the server that is meant.
var errPin = errors.New("dnstxt: the server shows no key that is pinned")

// recognise accepts a server whose own key is pinned, or whose certificate hangs on one,
// among those that it sent, of which the key is pinned.
func (s Server) recognise(chain []*x509.Certificate, now time.Time) error {
	for i, c := range chain {
		if !slices.Contains(s.pins, Pin(sha256.Sum256(c.RawSubjectPublicKeyInfo))) {
			continue
		}
		if i == 0 {
			return nil
		}
		return s.verify(chain[:i], c, now)
	}
	return errPin
}

// verify verifies a server's certificate, the first of the chain, under one authority.
func (s Server) verify(chain []*x509.Certificate, authority *x509.Certificate, now time.Time) error {
	options := x509.VerifyOptions{
		DNSName: s.name, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if s.name == "" {
		options.DNSName = s.at.Addr().String()
	}
	options.Roots.AddCert(authority)
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("%w: %w", errPin, err)
	}
	return nil
}

// silence is the error of a read: the end of ctx, if that closed the connection.
func silence(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errPin):
		return err // trying again shows the same
	case ctx.Err() != nil:
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

// A web asks over HTTPS, in a stream's connection: POST, and nothing in it that tells
// one program from another.
type web struct {
	*stream
	client *http.Client
}

// exchange implements line.
func (w *web) exchange(ctx context.Context, query []byte) ([]byte, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	host := w.server.at.String()
	if w.server.name != "" {
		host = fmt.Sprintf("%s:%d", w.server.name, w.server.at.Port())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+w.server.path, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("dnstxt: asking: %w", err)
	}
	request.Header = http.Header{"Content-Type": {mediaType}, "Accept": {mediaType}, "User-Agent": {""}}
	response, err := w.client.Do(request)
	if err != nil {
		w.close()
		return nil, silence(ctx, err)
	}
	defer response.Body.Close()
	raw, err := readWeb(ctx, response)
	if err != nil {
		w.close()
	}
	return raw, err
}

// connect makes the client of one connection.
func (w *web) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	if err := w.open(ctx, "h2", "http/1.1"); err != nil {
		return err
	}
	once := make(chan net.Conn, 1)
	once <- w.conn
	w.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, DisableCompression: true, MaxResponseHeaderBytes: maxWebHeader,
			DialContext: w.dial, // never: what follows is asked
			DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
				select {
				case conn := <-once:
					return conn, nil
				default:
					return nil, errors.New("dnstxt: the server closed the connection")
				}
			},
		},
	}
	return nil
}

// readWeb reads the answer of a DoH server: status 200, the media type of DNS, and at
// most one message.
func readWeb(ctx context.Context, response *http.Response) ([]byte, error) {
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("dnstxt: the server answered with HTTP status %d", response.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != mediaType {
		return nil, errors.New("dnstxt: the server answered, and not with " + mediaType)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxMessage+1))
	if err != nil {
		return nil, silence(ctx, err)
	}
	if len(raw) > maxMessage {
		return nil, fmt.Errorf("dnstxt: the server answered with more than %d octets", maxMessage)
	}
	return raw, nil
}
