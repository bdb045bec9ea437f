package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// tlsConfig is what both sides have in common. The system's roots are out of play: nothing but verify decides.
func (c Config) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:                  []string{ALPN},
		DynamicRecordSizingDisabled: true, // else records grow from 1 KiB on
		SessionTicketsDisabled:      true, // else a record of another size follows the handshake
		InsecureSkipVerify:          true, // verify replaces it; and no SNI, since no ServerName
		VerifyConnection:            c.verify,
	}
}

// verify is called in every handshake, on both sides, with what was negotiated.
func (c Config) verify(state tls.ConnectionState) error {
	if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 || state.NegotiatedProtocol != ALPN {
		return errors.New("link: not TLS 1.3 with X25519MLKEM768 and ALPN " + ALPN)
	}
	return c.judge(state.PeerCertificates)
}

// judge refuses more than one certificate: further ones are of no use to a judge that knows its authorities, and decoys
// among them could exhaust a verifier.
func (c Config) judge(shown []*x509.Certificate) error {
	if len(shown) != 1 {
		return fmt.Errorf("%w: shows %d certificates, not one", ErrPeer, len(shown))
	}
	if err := c.Judge(shown[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrPeer, err)
	}
	return nil
}

// dialSide runs the handshake of the side that dialled, up to and with the greeting. It closes raw if it fails.
func dialSide(ctx context.Context, c Config, raw net.Conn) (*Conn, error) {
	asked := false
	config := c.tlsConfig()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &c.Certificate, nil // for a user an empty one, which TLS sends as "none"
	}
	g := &gate{Conn: raw}
	conn := tls.Client(g, config)
	err := within(ctx, c, conn, func() error {
		g.shut.Store(true)
		if c.isNode() && !asked { // we would be taken for a user
			return fmt.Errorf("%w: did not ask for our certificate", ErrPeer)
		}
		return awaitGreeting(conn)
	})
	if err != nil {
		return nil, explain(err)
	}
	var budget *Budget // a user has one link
	if c.isNode() {
		budget = c.NodeBudget
	}
	return newConn(c, g, conn, budget, nil), nil
}

// listenSide runs the handshake of the side that listens, up to and with the greeting. It closes raw if it fails.
func listenSide(ctx context.Context, c Config, raw net.Conn, admit func(user bool) (release func(), err error)) (*Conn, error) {
	var lack error // what the ClientHello misses; crypto/tls then refuses with the right alert, but says less
	config := c.tlsConfig()
	config.Certificates = []tls.Certificate{c.Certificate}
	config.ClientAuth = tls.RequestClientCert // without ClientCAs: no names of authorities in the handshake
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		lack = lacks(hello)
		return nil, nil
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if lack != nil {
			return lack
		}
		if len(state.PeerCertificates) == 0 {
			return nil // a user; she proves who she is on the link
		}
		return c.verify(state)
	}
	g := &gate{Conn: raw}
	conn := tls.Server(g, config)
	var release func()
	err := within(ctx, c, conn, func() (err error) {
		g.shut.Store(true)
		user := len(conn.ConnectionState().PeerCertificates) == 0
		if release, err = admit(user); err != nil {
			return err
		}
		_, err = conn.Write(make([]byte, SlotSize)) // the greeting: a dummy
		return err
	})
	if err != nil {
		if release != nil {
			release()
		}
		if lack != nil {
			return nil, fmt.Errorf("link: handshake: %w", lack)
		}
		return nil, explain(err)
	}
	budget := c.NodeBudget
	if len(conn.ConnectionState().PeerCertificates) == 0 {
		budget, c.Pace = c.UserBudget, c.UserPace
	}
	return newConn(c, g, conn, budget, release), nil
}

// within runs the handshake of conn and then rest, all in c.HandshakeTimeout, and closes the connection under conn if
// either fails or ctx ends.
func within(ctx context.Context, c Config, conn *tls.Conn, rest func() error) error {
	ctx, cancel := context.WithTimeout(ctx, c.HandshakeTimeout)
	defer cancel()
	raw := conn.NetConn().(*gate)
	if err := conn.HandshakeContext(ctx); err != nil {
		part(raw)
		return err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	err := rest()
	if !stop() {
		return ctx.Err()
	}
	if err != nil {
		raw.Close()
	}
	return err
}

// part closes a connection on which a handshake has failed. First it lets the other side read the alert that says why:
// closing TCP while unread bytes wait would take it back.
func part(raw *gate) {
	defer raw.Close()
	if raw.closeWrite() != nil || raw.SetReadDeadline(time.Now().Add(partTimeout)) != nil {
		return
	}
	io.CopyN(io.Discard, raw, partBytes) // whatever its end: the connection is closed
}

// awaitGreeting reads the dummy that the listening side sends once it has judged us. In TLS 1.3 the dialling side is
// done with the handshake before the listening side has seen its certificate: without the greeting, Dial would return a
// link that is about to be refused.
func awaitGreeting(conn *tls.Conn) error {
	var slot [SlotSize]byte
	if err := readSlot(conn, &slot); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("closed by the other side, which is full or going down")
		}
		return err
	}
	if slot[0] != (header{kind: KindDummy}).byte() {
		return fmt.Errorf("%w: first slot is no greeting", ErrSlot)
	}
	return nil
}

// lacks names what a link insists on and hello does not offer, or returns nil.
func lacks(hello *tls.ClientHelloInfo) error {
	var missing []string
	if !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		missing = append(missing, "TLS 1.3")
	}
	if !slices.Contains(hello.SupportedCurves, tls.X25519MLKEM768) {
		missing = append(missing, "X25519MLKEM768")
	}
	if !slices.Contains(hello.SupportedProtos, ALPN) {
		missing = append(missing, "ALPN "+ALPN)
	}
	if missing == nil {
		return nil
	}
	return &LackError{Missing: missing}
}

// explain adds to an error of a handshake what this side knows about it.
func explain(err error) error {
	if fromPeer(err) {
		return fmt.Errorf("%w: %w (this side insists on TLS 1.3, X25519MLKEM768 and ALPN %s)", ErrRefused, bare(err), ALPN)
	}
	return fmt.Errorf("link: handshake: %w", bare(err))
}
