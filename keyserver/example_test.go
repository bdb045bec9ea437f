package keyserver_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

func Example() {
	dir, err := os.MkdirTemp("", "keyserver")
	check(err)
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())

	// The domain a.test and its key server.
	domain, err := pki.ParseDomain("a.test")
	check(err)
	authority, err := pki.NewAuthority(rand.Reader, domain, time.Now())
	check(err)
	st, err := store.Open(ctx, filepath.Join(dir, "node.db"))
	check(err)
	server := keyserver.New(keyserver.Config{Store: st, CA: authority.CA()})

	// Its own descriptor, published.
	descriptor, err := authority.SignDescriptor(pki.Descriptor{
		Serial: 1, Issued: time.Now(), Expires: time.Now().Add(pki.DescriptorLifetime),
		ServerKeys: make([]pki.ServerKey, 1),
		Links:      []string{"127.0.0.1:7001"},
		KeyServers: []string{"127.0.0.1:7002"},
	})
	check(err)
	check(server.PublishDescriptor(ctx, descriptor))

	// Serving, under a link certificate of the domain.
	key, err := pki.NewLinkKey(rand.Reader)
	check(err)
	link, err := authority.SignLink(rand.Reader, time.Now(), key.Public(), pki.LinkLifetime)
	check(err)
	certificate := keyserver.Certificate(link, key, authority.CA())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	done := make(chan error)
	go func() {
		done <- server.Serve(ctx, listener, func() (*tls.Certificate, error) { return certificate, nil })
	}()

	// Somebody who has the fingerprint from DNS asks.
	client := keyserver.Client{Dial: new(net.Dialer).DialContext}
	endpoint := keyserver.Endpoint{Address: listener.Addr().String(), CA: authority.CA().Fingerprint()}
	found, err := client.Server(ctx, endpoint, domain)
	check(err)
	fmt.Println(found.Domain, found.Links)
	nobody, err := pki.ParseName("nobody@a.test")
	check(err)
	_, err = client.User(ctx, endpoint, nobody)
	fmt.Println(errors.Is(err, keyserver.ErrNotFound))

	cancel()
	check(<-done)
	check(st.Close())
	// Output:
	// a.test [127.0.0.1:7001]
	// true
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
