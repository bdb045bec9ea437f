package message

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A verifier is who is shown a transcript, and given all that the recipient has: his private keys.
type verifier struct {
	keys *PrivateKeys
	name pki.Name
	home pki.CACert // of the writer
	now  time.Time
}

// verify makes every check that there is of a sealed part, and returns what it says.
func (v verifier) verify(t testing.TB, sealed []byte) Content {
	t.Helper()
	c, err := Open(v.keys, v.name, sealed)
	check(t, err)
	certificate, err := c.Vouched(v.home, v.now)
	check(t, err)
	if certificate.Name() != c.Name || len(sealed) != Size {
		t.Fatalf("%d bytes by %s, certified as %s", len(sealed), c.Name, certificate.Name())
	}
	return c
}

// What the recipient makes up passes every check, says all that a true message says, and is, for
// the same randomness, the same to the byte: nothing is left by which anybody could tell, whoever
// he is, and though he has the recipient's keys (row C13).
func TestForged(t *testing.T) {
	w := newWorld(t)
	v := verifier{w.bob, w.bobName, w.home.CA(), w.now}
	genuine := v.verify(t, w.seal(t, w.content("good morning")))
	rapid.Check(t, func(r *rapid.T) {
		seed := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "seed"))
		text := rapid.StringN(1, 200, 4000).Draw(r, "text")
		id := mor.MessageID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "id"))

		forged := genuine // bob has no more of ann than this
		forged.Text, forged.ID, forged.At = text, id, w.now.Add(time.Hour)
		made, err := Forge(rand.NewChaCha8(seed), w.bob, w.bobName, forged)
		check(t, err)

		truly := w.content(text) // what ann would have written then
		truly.ID, truly.At = id, w.now.Add(time.Hour)
		sent, err := Seal(rand.NewChaCha8(seed), w.annKeys, w.bob.Public(), w.bobName, truly)
		check(t, err)
		if !bytes.Equal(made, sent) {
			r.Fatal("they differ")
		}
		if c := v.verify(t, made); c.Text != text || c.Name != genuine.Name || c.Statement != genuine.Statement {
			r.Fatalf("it says %q by %s", c.Text, c.Name)
		}
	})
}

// What does prove something is the same in all messages: of the texts of two transcripts, one true
// and one made up, none has a signature of its own.
func TestStatementIsConstant(t *testing.T) {
	w := newWorld(t)
	v := verifier{w.bob, w.bobName, w.home.CA(), w.now}
	first := v.verify(t, w.seal(t, w.content("one")))
	second := v.verify(t, w.seal(t, w.content("two")))
	if first.Statement != second.Statement || !bytes.Equal(first.Certificate, second.Certificate) {
		t.Error("a signature says something of the text")
	}
}

// Who has neither's keys makes nothing that opens, though she has seen a whole true message and
// both cards.
func TestThirdPartyCannotForge(t *testing.T) {
	w := newWorld(t)
	genuine, err := Open(w.bob, w.bobName, w.seal(t, w.content("good morning")))
	check(t, err)
	eve, bob := keys(t, w), w.bob.Public()
	genuine.Text = "give eve your money"
	for who, other := range map[string][AuthSize]byte{"ann": genuine.Auth, "bob": bob.Auth, "eve": eve.keys.Auth} {
		made, err := genuine.seal(w.rand, eve, other, bob, w.bobName)
		check(t, err)
		if _, err := Open(w.bob, w.bobName, made); !errors.Is(err, ErrOpen) {
			t.Errorf("with the key of %s: %v", who, err)
		}
	}
	genuine.Auth = eve.keys.Auth // her own key, of which ann has stated nothing
	made, err := Seal(w.rand, eve, bob, w.bobName, genuine)
	check(t, err)
	opened, err := Open(w.bob, w.bobName, made)
	check(t, err)
	if _, err := opened.Vouched(w.home.CA(), w.now); err == nil {
		t.Error("eve's key passes for ann's")
	}
}

// Bob makes up what ann never wrote, by what one message of hers has told him.
func ExampleForge() {
	t := new(testing.T)
	w := newWorld(t)
	known, _ := Open(w.bob, w.bobName, w.seal(t, w.content("good morning")))

	known.Text = "I owe you a hundred"
	forged, _ := Forge(w.rand, w.bob, w.bobName, known)

	opened, _ := Open(w.bob, w.bobName, forged)
	_, err := opened.Vouched(w.home.CA(), w.now)
	fmt.Println(opened.Name, opened.Text, err)
	// Output: ann@a.test I owe you a hundred <nil>
}
