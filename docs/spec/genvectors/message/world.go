package main

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A world is who writes to whom.
type world struct {
	rand             *rand.ChaCha8
	identity         pki.IdentityKey
	certificate      pki.UserCert
	ann, bob, nobody *message.PrivateKeys
	bobName          pki.Name
}

func newWorld() (w *world, err error) {
	w = &world{rand: rand.NewChaCha8([32]byte{'p', '3', 'd', 'o'})}
	now := time.Unix(1_795_000_000, 0).UTC()
	name, err := pki.ParseName("ann@a.test")
	if err != nil {
		return nil, err
	}
	if w.bobName, err = pki.ParseName("bob@b.test"); err != nil {
		return nil, err
	}
	home, err := pki.NewAuthority(w.rand, name.Domain(), now)
	if err != nil {
		return nil, err
	}
	if w.identity, err = pki.NewIdentityKey(w.rand); err != nil {
		return nil, err
	}
	request, err := pki.NewUserRequest(w.rand, w.identity, name)
	if err != nil {
		return nil, err
	}
	if w.certificate, err = home.SignUser(w.rand, now, request, pki.UserLifetime); err != nil {
		return nil, err
	}
	for _, keys := range []**message.PrivateKeys{&w.ann, &w.bob, &w.nobody} {
		if *keys, err = message.NewPrivateKeys(w.rand); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// content is a text by ann to bob.
func (w *world) content(text string) message.Content {
	c := message.Content{
		Kind: message.Text, At: time.Unix(1_795_000_000, 0), Text: text,
		Name: w.certificate.Name(), Certificate: w.certificate.DER(), Spools: []pki.Domain{w.certificate.Name().Domain()},
	}
	w.fill(c.ID[:])
	w.fill(c.Secret[:])
	c.Sign(w.identity, w.ann.Public())
	return c
}

func (w *world) fill(b []byte) []byte {
	w.rand.Read(b) // always fills b
	return b
}

func (w *world) inputs() *inputs {
	return &inputs{Recipient: w.bob.Seed(), Name: w.bobName.String(), Sender: w.ann.Seed(), Encapsulation: w.fill(make([]byte, 64))}
}

// opening is a vector that opens: sealed by package message, and again by the second
// implementation, which must agree to the octet.
func (w *world) opening(name, comment string, c message.Content) (vector, error) {
	in := w.inputs()
	sealed, err := message.Seal(&fixed{in.Encapsulation}, w.ann, w.bob.Public(), w.bobName, c)
	if err != nil {
		return vector{}, fmt.Errorf("%s: %w", name, err)
	}
	auth := w.ann.Public().Auth
	plain, err := openRaw(in.Recipient, in.Name, sealed, auth[:])
	if err != nil {
		return vector{}, fmt.Errorf("%s: the second implementation: %w", name, err)
	}
	again, err := sealRaw(in, plain[32:], in.Sender[32:], auth[:])
	if err != nil || !bytes.Equal(again, sealed) {
		return vector{}, errors.Join(fmt.Errorf("%s: the implementations differ", name), err)
	}
	got, err := message.Open(w.bob, w.bobName, sealed)
	if err != nil {
		return vector{}, fmt.Errorf("%s: %w", name, err)
	}
	return vector{Name: name, Comment: comment, Expect: "open", Inputs: in, Sealed: sealed, Outputs: fieldsOf(got)}, nil
}

func fieldsOf(c message.Content) *fields {
	spools := make([]string, len(c.Spools))
	for i, s := range c.Spools {
		spools[i] = s.String()
	}
	return &fields{
		Kind: int(c.Kind), ID: c.ID[:], About: c.About[:], At: c.At.Unix(), Secret: c.Secret[:],
		Name: c.Name.String(), Spools: strings.Join(spools, ","), Seal: c.Seal != nil, Text: c.Text,
	}
}

// refused is a vector that does not open, of a body that the second implementation sealed.
func (w *world) refused(name, comment string, body []byte, codeScalar, statedAuth []byte) (vector, error) {
	in := w.inputs()
	sealed, err := sealRaw(in, body, codeScalar, statedAuth)
	if err != nil {
		return vector{}, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := message.Open(w.bob, w.bobName, sealed); !errors.Is(err, message.ErrOpen) {
		return vector{}, fmt.Errorf("%s: opened: %w", name, err)
	}
	return vector{Name: name, Comment: comment, Expect: "refuse", Inputs: in, Sealed: sealed}, nil
}

// acknowledgement is one by ann of bob's message.
func (w *world) acknowledgement() message.Content {
	c := w.content("")
	c.Kind, c.About = message.Acknowledgement, mor.MessageID(w.fill(make([]byte, mor.MessageIDSize)))
	return c
}

// hello is a text by ann, whom bob has invited: his invitation has a secret of the octets 0 to 31.
func (w *world) hello() (message.Content, error) {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = byte(i)
	}
	taker := w.identity.Public().Fingerprint()
	proof, err := hkdf.Expand(sha256.New, secret, "p3do invitation proof"+string(taker[:]), mor.MessageIDSize)
	c := w.content("hello, bob, it is me")
	c.Kind, c.About = message.Hello, mor.MessageID(proof)
	return c, err
}
