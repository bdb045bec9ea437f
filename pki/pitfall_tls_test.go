package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// 11. In crypto/tls, VerifyPeerCertificate is passed over when a session is
// resumed, VerifyConnection is not; and ClientCAs tells every stranger whom the
// server is federated with. So: VerifyConnection with VerifyPeer, ClientCAs
// nil, RequireAnyClientCert.
func TestPitfall11VerifyConnection(t *testing.T) {
	w := newWorld(t)
	var judged, peerCalls atomic.Int32
	server := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{w.tlsCertificate(t, w.home, testRand(5))},
		ClientAuth:   tls.RequireAnyClientCert,
		Time:         func() time.Time { return testNow },
		VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error {
			peerCalls.Add(1)
			return nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			judged.Add(1)
			_, err := w.home.VerifyPeer(w.cross, cs.PeerCertificates[0], testNow)
			return err
		},
	}
	named := -1
	client := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // pinned below instead
		ServerName:         "a.test",
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
		Time:               func() time.Time { return testNow },
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			named = len(info.AcceptableCAs)
			c := w.tlsCertificate(t, w.peer, testRand(6))
			return &c, nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			return w.home.CA().VerifyLink(cs.PeerCertificates[0], testNow)
		},
	}
	for round, resumed := range []bool{false, true} {
		state, err := handshake(t, client, server)
		if err != nil {
			t.Fatal(err)
		}
		if state.DidResume != resumed || judged.Load() != int32(round+1) {
			t.Errorf("round %d: resumed %v, judged %d times", round, state.DidResume, judged.Load())
		}
	}
	if peerCalls.Load() != 1 {
		t.Errorf("VerifyPeerCertificate ran %d times: crypto/tls calls it on resumption now", peerCalls.Load())
	}
	if named != 0 {
		t.Errorf("the server names %d authorities to a stranger", named)
	}
	// A stranger's node is refused by the same function.
	stranger := must[*Authority](t)(NewAuthority(testRand(7), mustDomain(t, "c.test"), testNow))
	client.ClientSessionCache = nil
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c := w.tlsCertificate(t, stranger, testRand(8))
		return &c, nil
	}
	if _, err := handshake(t, client, server); err == nil {
		t.Error("a stranger is let in")
	}
}

func (w *world) tlsCertificate(t *testing.T, a *Authority, rand io.Reader) tls.Certificate {
	key := must[LinkKey](t)(NewLinkKey(rand))
	cert := must[LinkCert](t)(a.SignLink(rand, testNow, key.Public(), LinkLifetime))
	return tls.Certificate{Certificate: [][]byte{cert.DER()}, PrivateKey: key.Signer()}
}

// handshake runs one TLS connection over loopback; the server sends one byte,
// so that the client has read the tickets before it. The error is the server's,
// if there is one.
func handshake(t *testing.T, client, server *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	result := make(chan error, 1)
	go func() { result <- serveOne(listener, server) }()
	raw := must[net.Conn](t)(net.Dial("tcp", listener.Addr().String()))
	defer raw.Close()
	conn := tls.Client(raw, client)
	_, readErr := conn.Read(make([]byte, 1))
	raw.Close()
	return conn.ConnectionState(), errors.Join(<-result, readErr)
}

func serveOne(listener net.Listener, config *tls.Config) error {
	raw, err := listener.Accept()
	if err != nil {
		return err
	}
	defer raw.Close()
	_, err = tls.Server(raw, config).Write([]byte{1})
	return err
}
