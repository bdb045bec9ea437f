package message_test

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

func Example() {
	text, err := sealAndOpen()
	fmt.Println(text, err)
	// Output: ann@a.test: hello <nil>
}

func sealAndOpen() (string, error) {
	now := time.Now()
	name, err := pki.ParseName("ann@a.test")
	if err != nil {
		return "", err
	}
	bobName, err := pki.ParseName("bob@b.test")
	if err != nil {
		return "", err
	}
	home, err := pki.NewAuthority(rand.Reader, name.Domain(), now)
	if err != nil {
		return "", err
	}
	identity, err := pki.NewIdentityKey(rand.Reader)
	if err != nil {
		return "", err
	}
	request, err := pki.NewUserRequest(rand.Reader, identity, name)
	if err != nil {
		return "", err
	}
	certificate, err := home.SignUser(rand.Reader, now, request, pki.UserLifetime)
	if err != nil {
		return "", err
	}
	ann, err := message.NewPrivateKeys(rand.Reader)
	if err != nil {
		return "", err
	}
	bob, err := message.NewPrivateKeys(rand.Reader)
	if err != nil {
		return "", err
	}

	content := message.Content{
		Kind: message.Text, ID: mor.MessageID{1}, At: now, Text: "hello", Name: name,
		Certificate: certificate.DER(), Spools: []pki.Domain{name.Domain()},
	}
	content.Sign(identity, ann.Public())
	sealed, err := message.Seal(rand.Reader, ann, bob.Public(), bobName, content)
	if err != nil {
		return "", err
	}
	opened, err := message.Open(bob, bobName, sealed)
	if err != nil {
		return "", err
	}
	vouched, err := opened.Vouched(home.CA(), now)
	return vouched.Name().String() + ": " + opened.Text, err
}
