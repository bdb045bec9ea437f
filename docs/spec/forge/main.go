// Forge shows that a conversation proves nothing to a third person: what is sealed to bob, bob can
// make himself, as of ann. It makes both of them, has ann write one message and bob two more in her
// name, and makes every check that there is of all three, in an order that chance draws.
//
//	go run ./docs/spec/forge
//
// What can be proven, and to whom, is in docs/spec/message.md, section 4.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

func main() {
	if err := show(); err != nil {
		fmt.Fprintln(os.Stderr, "forge:", err)
		os.Exit(1)
	}
}

// A writer is ann: her home, her name and her keys, none of which bob has.
type writer struct {
	home        *pki.Authority
	identity    pki.IdentityKey
	certificate pki.UserCert
	keys        *message.PrivateKeys
}

func show() error {
	ann, err := newWriter("ann@a.test")
	if err != nil {
		return err
	}
	bob, err := message.NewPrivateKeys(rand.Reader)
	if err != nil {
		return err
	}
	name, err := pki.ParseName("bob@b.test")
	if err != nil {
		return err
	}
	genuine, err := ann.write(bob.Public(), name, "The meeting is on Tuesday.")
	if err != nil {
		return err
	}
	sealed := [][]byte{genuine}
	for _, text := range []string{"The meeting is on Friday.", "There is no meeting."} {
		forged, err := forge(bob, name, genuine, text)
		if err != nil {
			return err
		}
		sealed = append(sealed, forged)
	}
	fmt.Println("One of these was written by ann@a.test, and two by the recipient. They are checked with all his keys:")
	for _, i := range shuffled(len(sealed)) {
		if err := verify(bob, name, ann.home.CA(), sealed[i]); err != nil {
			return err
		}
	}
	fmt.Println("Each is good, and no check is left. Who was told the texts by bob has his word for it, and no more.")
	return nil
}

func newWriter(text string) (w writer, err error) {
	name, err := pki.ParseName(text)
	if err != nil {
		return w, err
	}
	now := time.Now()
	var failed [4]error
	w.home, failed[0] = pki.NewAuthority(rand.Reader, name.Domain(), now)
	w.identity, failed[1] = pki.NewIdentityKey(rand.Reader)
	w.keys, failed[2] = message.NewPrivateKeys(rand.Reader)
	if err := errors.Join(failed[:]...); err != nil {
		return w, err
	}
	request, err := pki.NewUserRequest(rand.Reader, w.identity, name)
	if err == nil {
		w.certificate, err = w.home.SignUser(rand.Reader, now, request, pki.UserLifetime)
	}
	return w, err
}

// write is what ann does, with her keys.
func (w writer) write(to message.Keys, name pki.Name, text string) ([]byte, error) {
	c := message.Content{
		Kind: message.Text, At: time.Now().Truncate(time.Second).UTC(), Text: text, Name: w.certificate.Name(),
		Certificate: w.certificate.DER(), Spools: []pki.Domain{w.certificate.Name().Domain()},
	}
	_, _ = rand.Read(c.ID[:]) // it does not fail
	c.Sign(w.identity, w.keys.Public())
	return message.Seal(rand.Reader, w.keys, to, name, c)
}

// forge is what bob does, with his own keys and one message of hers.
func forge(bob *message.PrivateKeys, name pki.Name, genuine []byte, text string) ([]byte, error) {
	c, err := message.Open(bob, name, genuine)
	if err != nil {
		return nil, err
	}
	var id mor.MessageID
	_, _ = rand.Read(id[:]) // it does not fail
	c.ID, c.Text = id, text
	return message.Forge(rand.Reader, bob, name, c)
}

func verify(bob *message.PrivateKeys, name pki.Name, home pki.CACert, sealed []byte) error {
	c, err := message.Open(bob, name, sealed)
	if err != nil {
		return err
	}
	certificate, err := c.Vouched(home, time.Now())
	if err != nil {
		return err
	}
	fmt.Printf("  %q: %d bytes, the code is good, certified for %s by %s\n", c.Text, len(sealed), certificate.Name(), home.Domain())
	return nil
}

// shuffled are the numbers below n, in an order by chance.
func shuffled(n int) []int {
	order := make([]int, n)
	for i := range order {
		j, err := rand.Int(rand.Reader, big.NewInt(int64(i+1)))
		if err != nil {
			return order // unreachable: the reader does not fail
		}
		order[i], order[j.Int64()] = order[j.Int64()], i
	}
	return order
}
