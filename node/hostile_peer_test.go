package node

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// Who shows an expired certificate, one of a namesake of a peer, of a domain that is none,
// or a peer's certificate without its key, has no link; the log says why.
func TestStrangersHaveNoLink(t *testing.T) {
	m := newMesh(t, "a.test")
	m.rawPeers("a.test", "z.test")
	peer, now := m.authority("z.test"), time.Now()
	namesake, err := pki.NewAuthority(rand.Reader, m.nodes["z.test"].domain, now)
	must(t, err)
	stranger, err := pki.NewAuthority(rand.Reader, parse(t, pki.ParseDomain, "x.test"), now)
	must(t, err)
	good, _ := certificateOf(t, peer, now)
	_, otherKey := certificateOf(t, peer, now)
	for _, x := range []struct {
		what string
		by   *pki.Authority
		at   time.Time
		want string // in the log
	}{
		{"expired", peer, now.Add(-2 * pki.LinkLifetime), "it ended at"},
		{"of tomorrow", peer, now.Add(24 * time.Hour), "it begins at"},
		{"a namesake's", namesake, now, "the key of z.test changed"},
		{"a stranger's", stranger, now, "x.test is no peer of a.test"},
	} {
		t.Run(x.what, func(t *testing.T) {
			cert, key := certificateOf(t, x.by, x.at)
			wantErr(t, m.knock(cert, key), link.ErrRefused)
			until(t, "the log to say "+x.want, func() error {
				if !strings.Contains(m.log.String(), x.want) {
					return errors.New("it does not")
				}
				return nil
			})
		})
	}
	if m.knock(good, otherKey) == nil {
		t.Error("a certificate without its key was taken")
	}
	m.rawPeer("a.test", "z.test") // the peer itself is welcome as before
}

func certificateOf(t *testing.T, by *pki.Authority, at time.Time) (pki.LinkCert, pki.LinkKey) {
	t.Helper()
	key, err := pki.NewLinkKey(rand.Reader)
	must(t, err)
	cert, err := by.SignLink(rand.Reader, at, key.Public(), pki.LinkLifetime)
	must(t, err)
	return cert, key
}

// knock dials a.test as a node.
func (m *mesh) knock(cert pki.LinkCert, key pki.LinkKey) error {
	conn, err := link.Dial(m.t.Context(), link.Config{
		Certificate: tls.Certificate{Certificate: [][]byte{cert.DER()}, PrivateKey: key.Signer()},
		Judge:       func(*x509.Certificate) error { return nil }, Dial: dial.Direct(),
	}, m.nodes["a.test"].running.Link)
	if err == nil {
		conn.Close()
	}
	return err
}

// A peer that sends hundreds of news, questions, answers to nothing and packets has them
// counted or dropped; what another peer says is heard meanwhile, and its own link goes on.
func TestFloodByAPeer(t *testing.T) {
	m := newMesh(t, "a.test")
	peers := m.rawPeers("a.test", "y.test", "z.test")
	y, z := peers[0], peers[1]
	ann := m.user("ann@a.test")
	flood := make(chan error, 1)
	go func() { flood <- floodBy(z, 500) }()
	go func() { // z takes what is said to it
		for {
			if _, err := z.conn.Receive(); err != nil {
				return
			}
		}
	}()
	for ended := false; !ended; {
		must(t, y.conn.SendPacket(0, packetForNobody(t).Bytes()))
		_, err := ann.client.Items(t.Context(), session.Items{})
		must(t, err)
		select {
		case err := <-flood:
			must(t, err)
			ended = true
		default:
		}
	}
	if n := len(m.status("a.test").Links); n != 2 {
		t.Errorf("%d links", n)
	}
}

func floodBy(z *rawPeer, rounds int) error {
	for range rounds {
		for _, message := range []peerMessage{
			{News: &news{}}, {Ask: &query{contextID(z.theirs)}}, {Answer: &answer{contextID{1}, []byte("records")}},
		} {
			raw, err := json.Marshal(message)
			if err != nil {
				return err
			}
			for z.conn.Stats().Queued > link.ControlQueue/2 {
				runtime.Gosched() // it is as fast as the link takes it
			}
			if err := z.conn.SendControl(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// An answer that nobody asked for is not kept, not even one.
func TestAnswerToNothing(t *testing.T) {
	p := &peerLink{answers: make(chan answer, 1)}
	raw, err := peerMessage{Answer: &answer{contextID{1}, make([]byte, 1<<19)}}.marshal()
	must(t, err)
	must(t, p.take(t.Context(), raw))
	if len(p.answers) != 0 {
		t.Error("it is kept")
	}
	p.asking.Store(true)
	must(t, p.take(t.Context(), raw))
	must(t, p.take(t.Context(), raw))
	if len(p.answers) != 1 {
		t.Error("what was asked for is not")
	}
}

// A certificate that has run out is good for no login, and neither is one of another home's
// authority with this domain's name.
func TestLoginWithBadCertificates(t *testing.T) {
	m := newMesh(t, "a.test")
	ann := m.user("ann@a.test")
	request, err := pki.NewUserRequest(rand.Reader, ann.key, ann.name)
	must(t, err)
	namesake, err := pki.NewAuthority(rand.Reader, m.nodes["a.test"].domain, time.Now())
	must(t, err)
	for what, x := range map[string]struct {
		by *pki.Authority
		at time.Time
	}{
		"expired":                 {m.authority("a.test"), time.Now().Add(-2 * pki.UserLifetime)},
		"of tomorrow":             {m.authority("a.test"), time.Now().Add(24 * time.Hour)},
		"by a namesake of a.test": {namesake, time.Now()},
	} {
		t.Run(what, func(t *testing.T) {
			cert, err := x.by.SignUser(rand.Reader, x.at, request, pki.UserLifetime)
			must(t, err)
			_, err = ann.client.Login(t.Context(), ann.name, cert.DER(), ann.key, nil)
			wantCode(t, err, session.Refused, "the certificate is not good here")
		})
	}
}
