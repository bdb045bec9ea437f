package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/pki"
)

// Offsets in the plaintext behind the code, as in section 3.
const (
	atVersion = 0
	atKind    = 1
	atAbout   = 18
	atTime    = 34
	atAuth    = 74
	atHash    = 106
	atName    = 202
)

func all() ([]vector, error) {
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	opening, err := w.openings()
	if err != nil {
		return nil, err
	}
	flips, err := w.flips(opening[0])
	if err != nil {
		return nil, err
	}
	forged, err := w.forgeries(opening[0])
	if err != nil {
		return nil, err
	}
	malformed, err := w.malformations(opening[0].Inputs.Plaintext[32:], opening[1].Inputs.Plaintext[32:], opening[5].Inputs.Plaintext[32:])
	return slices.Concat(opening, flips, forged, malformed), err
}

// openings: what opens.
func (w *world) openings() (vectors []vector, err error) {
	long := w.content("x")
	spools := w.content("zwei Briefkästen")
	if second, err := pki.ParseDomain("b.test"); err == nil {
		spools.Spools = append(spools.Spools, second)
	}
	hello, err := w.hello()
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name, comment string
		content       message.Content
	}{
		{"text", "a text, with the sender's seal key", w.content("hello, bob")},
		{"acknowledgement", "the acknowledgement of a text", w.acknowledgement()},
		{"longest with seal key", "one octet more has no room for the seal key", w.content(strings.Repeat("a", long.MaxText()-pki.SealSize))},
		{"shortest without seal key", "the text needs the place of the seal key", w.content(strings.Repeat("a", long.MaxText()-pki.SealSize+1))},
		{"longest", "there is no padding", w.content(strings.Repeat("a", long.MaxText()))},
		{"hello", "a text by whoever was invited, with her seal key; about is the proof of the invitation", hello},
		{"two spools", "the mailboxes are kept at two servers; the text is not ASCII", spools},
	} {
		v, err := w.opening(c.name, c.comment, c.content)
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, v)
	}
	return vectors, nil
}

// flips: one bit changed on the way, in each part of a sealed part.
func (w *world) flips(of vector) (vectors []vector, err error) {
	for _, flip := range []struct {
		part   string
		offset int
	}{
		{"the ML-KEM ciphertext", 0}, {"the ML-KEM ciphertext", 1087}, {"the X25519 share", 1088}, {"the X25519 share", 1119},
		{"the code", 1120}, {"the version", 1152}, {"the id", 1154}, {"the padding", 6237}, {"the tag", 6238}, {"the tag", 6253},
	} {
		changed := bytes.Clone(of.Sealed)
		changed[flip.offset] ^= 1
		if _, err := message.Open(w.bob, w.bobName, changed); !errors.Is(err, message.ErrOpen) {
			return nil, fmt.Errorf("opened with octet %d changed: %w", flip.offset, err)
		}
		vectors = append(vectors, vector{
			Name: fmt.Sprintf("flip at %d", flip.offset), Comment: "one bit changed in " + flip.part, Expect: "refuse",
			Of: of.Name, Offset: &flip.offset,
		})
	}
	return vectors, nil
}

// forgeries: sealed well, by somebody else than it says or for somebody else.
func (w *world) forgeries(of vector) ([]vector, error) {
	body := of.Inputs.Plaintext[32:]
	ann, nobody := w.ann.Public().Auth, w.nobody.Public().Auth
	forged, err := w.refused("forged", "says ann's auth key; the code is by somebody who does not hold it",
		body, w.nobody.Seed()[32:], ann[:])
	if err != nil {
		return nil, err
	}
	swapped, err := w.refused("another's auth key", "ann's code, under a key schedule that names another auth key",
		body, w.ann.Seed()[32:], nobody[:])
	if err != nil {
		return nil, err
	}
	lowOrder := bytes.Clone(body)
	copy(lowOrder[atAuth:], make([]byte, 32))
	low, err := w.refused("low order", "the stated auth key is a point of low order, with which dh is all zeros",
		lowOrder, w.ann.Seed()[32:], make([]byte, 32))
	if err != nil {
		return nil, err
	}
	if _, err := message.Open(w.nobody, w.bobName, of.Sealed); !errors.Is(err, message.ErrOpen) {
		return nil, fmt.Errorf("opened by somebody else: %w", err)
	}
	in := *of.Inputs
	in.OpenWith = w.nobody.Seed()
	other := vector{Name: "another recipient", Comment: "not for these keys", Expect: "refuse", Inputs: &in, Sealed: of.Sealed}
	if _, err := message.Open(w.bob, w.certificate.Name(), of.Sealed); !errors.Is(err, message.ErrOpen) {
		return nil, fmt.Errorf("opened by another name: %w", err)
	}
	handed := *of.Inputs
	handed.OpenAs = w.certificate.Name().String()
	another := vector{Name: "another name", Comment: "for these keys, and written to another name", Expect: "refuse", Inputs: &handed, Sealed: of.Sealed}
	return []vector{forged, swapped, low, other, another}, nil
}

// malformations: the code is right, and what it is over is no message.
func (w *world) malformations(text, ack, hello []byte) (vectors []vector, err error) {
	auth := w.ann.Public().Auth
	end := bytes.LastIndex(text, []byte("hello, bob"))
	for _, c := range []struct {
		name, comment string
		body          []byte
		at            int
		value         byte
	}{
		{"version 2", "an unknown version", text, atVersion, 2},
		{"kind 0", "no kind", text, atKind, 0},
		{"kind 4", "an unknown kind", text, atKind, 4},
		{"text about", "a text that acknowledges something", text, atAbout, 1},
		{"acknowledgement of nothing", "about is zeros", zeroed(ack, atAbout, 16), 0, 1},
		{"hello without proof", "about is zeros", zeroed(hello, atAbout, 16), atKind, 3},
		{"acknowledgement with a text", "an acknowledgement says nothing else", text, atKind, 2},
		{"far future", "more than 2^40 seconds", text, atTime, 1},
		{"seal hash", "not the hash of the seal key that is there", text, atHash, text[atHash] ^ 1},
		{"name", "not canonical: an upper-case letter", text, atName + 1, 'A'},
		{"text not UTF-8", "an octet that cannot be", text, end, 0xff},
		{"padding", "an octet that is not zero", text, len(text) - 1, 1},
		{"length of the name", "longer than it is", text, atName, 0xff},
	} {
		body := bytes.Clone(c.body)
		body[c.at] = c.value
		v, err := w.refused(c.name, c.comment, body, w.ann.Seed()[32:], auth[:])
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, v)
	}
	return vectors, nil
}

func zeroed(b []byte, at, n int) []byte {
	b = bytes.Clone(b)
	clear(b[at : at+n])
	return b
}
