package link_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"math/big"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
)

// nodeCertificate makes a certificate of its own for domain; package pki makes the real ones.
func nodeCertificate(domain string) tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{domain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// A user asks her home something, and her home speaks a packet.
func Example() {
	judge := func(leaf *x509.Certificate) error {
		if len(leaf.DNSNames) == 1 && leaf.DNSNames[0] == "a.test" {
			return nil
		}
		return errors.New("not a.test")
	}
	ctx := context.Background()

	listener, err := link.Listen(link.Config{Certificate: nodeCertificate("a.test"), Judge: judge}, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	user, err := link.Dial(ctx, link.Config{Judge: judge, Dial: dial.Direct()}, listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer user.Close()
	home, err := listener.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer home.Close()
	fmt.Println("a user's link:", home.Peer() == nil)

	if err := user.SendControl([]byte("anything new?")); err != nil {
		log.Fatal(err)
	}
	question, err := home.Receive()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v: %s\n", question.Kind, question.Control)

	if err := home.SendPacket(3, &[link.SlotSize]byte{1}); err != nil {
		log.Fatal(err)
	}
	answer, err := user.Receive()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v on channel %d: %d bytes\n", answer.Kind, answer.Channel, len(answer.Packet))
	// Output:
	// a user's link: true
	// control: anything new?
	// packet on channel 3: 16384 bytes
}
