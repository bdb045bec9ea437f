package session_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// ann registers at her home and logs in, over one link.
func Example() {
	domain, err := pki.ParseDomain("a.test")
	check(err)
	home, err := pki.NewAuthority(rand.Reader, domain, time.Now())
	check(err)
	desk := &session.Desk{
		Domain: domain,
		Register: func(_ context.Context, request, _ []byte) ([]byte, error) {
			r, err := pki.ParseUserRequest(request)
			if err != nil {
				return nil, session.Errorf(session.BadRequest, "%v", err)
			}
			cert, err := home.SignUser(rand.Reader, time.Now(), r, pki.UserLifetime)
			return cert.DER(), err
		},
		Authenticate: func(_ context.Context, l session.Login, exported [pki.ExporterSize]byte) (pki.UserCert, session.HomeView, error) {
			cert, err := home.CA().VerifyUser(l.Certificate, time.Now())
			if err != nil || cert.Name() != l.Name || !cert.VerifyLogin(exported, l.Proof) {
				return pki.UserCert{}, session.HomeView{}, session.Errorf(session.Refused, "the proof is not good on this link")
			}
			return cert, session.HomeView{Domain: domain, Path: session.PathHome, Online: true}, nil
		},
	}

	listener := listen(home)
	defer listener.Close()
	var node sync.WaitGroup
	node.Go(func() {
		conn, err := listener.Accept(context.Background())
		check(err)
		check(session.Serve(context.Background(), conn, desk))
	})

	conn, err := link.Dial(context.Background(), link.Config{
		Judge: func(leaf *x509.Certificate) error { return home.CA().VerifyLink(leaf, time.Now()) },
		Dial:  dial.Direct(),
	}, listener.Addr().String())
	check(err)
	client := session.NewClient(conn)

	name, err := pki.ParseName("ann@a.test")
	check(err)
	key, err := pki.NewIdentityKey(rand.Reader)
	check(err)
	request, err := pki.NewUserRequest(rand.Reader, key, name)
	check(err)
	certificate, err := client.Register(context.Background(), request.DER(), nil)
	check(err)
	welcome, err := client.Login(context.Background(), name, certificate, key, nil)
	check(err)
	fmt.Println("welcome to", welcome.Domain)

	check(client.Close(context.Background()))
	node.Wait()
	// Output: welcome to a.test
}

// listen opens the link address of a node of the domain.
func listen(home *pki.Authority) *link.Listener {
	key, err := pki.NewLinkKey(rand.Reader)
	check(err)
	cert, err := home.SignLink(rand.Reader, time.Now(), key.Public(), pki.LinkLifetime)
	check(err)
	listener, err := link.Listen(link.Config{
		Certificate: tls.Certificate{Certificate: [][]byte{cert.DER()}, PrivateKey: key.Signer()},
		Judge:       func(*x509.Certificate) error { return errors.New("no nodes are welcome here") },
	}, "127.0.0.1:0")
	check(err)
	return listener
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
