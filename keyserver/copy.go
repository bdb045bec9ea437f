package keyserver

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A domain hands copies of its users' cards to its peers, so that each of them can answer for a user whose home
// is gone, with proof. A peer is to answer for exact names and keys, and to list nobody, nor is whoever takes its disk: a
// copy is sealed by a key that is made of the name, and found by an id that is made of it, or of the identity key.

var (
	// ErrCopy says that a copy is not one of what it is opened by.
	ErrCopy = errors.New("keyserver: not a copy of that")

	// ErrOldCopy says of a copied card that the log of its home has a newer one of that name, or the end of this one.
	ErrOldCopy = errors.New("keyserver: the log says that the card was replaced, or has ended")
)

const (
	copyKeySize  = 32
	copyNonce    = 12
	copyTag      = 16
	copyHead     = 8 + keylog.LabelProofSize
	copyOverhead = 2*32 + copyKeySize + copyTag + copyNonce + copyTag + copyHead

	// MaxSealedCopy is the greatest length of a sealed copy in bytes.
	MaxSealedCopy = copyOverhead + pki.MaxCardSize
)

// CopyID is by what a copy is found: made of a name, or of the fingerprint of an identity key.
func CopyID(of Subject) [32]byte { return [32]byte(copySecret(of, "p3do copy id v1", nil)) }

// copySecret is made of what is asked for; it is not secret to who knows or guesses that.
func copySecret(of Subject, use string, salt []byte) []byte {
	text := "key:" + of.Key.String()
	if !of.Name.IsZero() {
		text = "name:" + of.Name.String()
	}
	secret, err := hkdf.Key(sha256.New, []byte(text), salt, use, copyKeySize)
	if err != nil {
		panic(err) // unreachable: the length is good
	}
	return secret
}

func copyCipher(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // unreachable: the length is good
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // unreachable: the block is one of AES
	}
	return aead
}

// sealCopy makes a copy of a card:
//
//	32  id of the name
//	32  id of the identity key
//	48  the name's key, sealed by one that is made of the identity key's fingerprint and the id of the name; the nonce is zero
//	12  nonce, random
//	n   sealed by the name's key, beside the ids:
//	    8   time of the leaf, seconds since 1970
//	    80  proof of the label
//	        card, to the end
//	16  tag
func sealCopy(name pki.Name, key pki.Fingerprint, leaf keylog.Leaf, label []byte, card []byte) ([]byte, error) {
	if len(label) != keylog.LabelProofSize || len(card) == 0 || len(card) > pki.MaxCardSize {
		return nil, ErrCopy
	}
	nameID, keyID := CopyID(Subject{Name: name}), CopyID(Subject{Key: key})
	nameKey := copySecret(Subject{Name: name}, "p3do copy key v1", nil)
	var nonce [copyNonce]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("keyserver: sealing a copy: %w", err)
	}
	ids := slices.Concat(nameID[:], keyID[:])
	b := cryptobyte.NewBuilder(nil)
	b.AddUint64(uint64(leaf.Time.Unix()))
	b.AddBytes(label)
	b.AddBytes(card)
	wrapped := copyCipher(copySecret(Subject{Key: key}, "p3do copy key v1", nameID[:])).Seal(nil, make([]byte, copyNonce), nameKey, nil)
	return copyCipher(nameKey).Seal(slices.Concat(ids, wrapped, nonce[:]), nonce[:], b.BytesOrPanic(), ids), nil
}

// SealedCopy is a copy as it goes to peers.
type SealedCopy []byte

// IDs are by what it is found. Errors: ErrCopy.
func (c SealedCopy) IDs() (name, key [32]byte, err error) {
	if len(c) <= copyOverhead || len(c) > MaxSealedCopy {
		return name, key, ErrCopy
	}
	return [32]byte(c[:32]), [32]byte(c[32:64]), nil
}

// OpenedCopy is what was in a copy. Nothing of it is verified.
type OpenedCopy struct {
	Time  uint64 // of the leaf
	Label keylog.LabelProof
	Card  []byte
}

// Open opens a copy for who knows the name, or the identity key. Errors: ErrCopy.
func (c SealedCopy) Open(of Subject) (o OpenedCopy, err error) {
	nameID, keyID, err := c.IDs()
	if err != nil {
		return o, err
	}
	var key []byte
	switch id := CopyID(of); {
	case !of.Name.IsZero() && id == nameID:
		key = copySecret(of, "p3do copy key v1", nil)
	case of.Name.IsZero() && id == keyID:
		key, err = copyCipher(copySecret(of, "p3do copy key v1", nameID[:])).Open(nil, make([]byte, copyNonce), c[64:64+copyKeySize+copyTag], nil)
	default:
		err = ErrCopy
	}
	if err != nil || len(key) != copyKeySize {
		return o, ErrCopy
	}
	rest := c[64+copyKeySize+copyTag:]
	plain, err := copyCipher(key).Open(nil, rest[:copyNonce], rest[copyNonce:], c[:64])
	if err != nil {
		return o, ErrCopy
	}
	input := cryptobyte.String(plain)
	if !input.ReadUint64(&o.Time) || !input.CopyBytes(o.Label[:]) || input.Empty() {
		return o, ErrCopy
	}
	o.Card = input
	return o, nil
}

// Numbered is a copy and the number of its leaf.
type Numbered struct {
	Number int64      `json:"number"`
	Sealed SealedCopy `json:"sealed"`
}

// SealCopies are copies of our own users' cards: of the first most, and of no more than size bytes, and more if
// there are others. Cards of those whose key has ended are left out.
func (s *Server) SealCopies(users []store.LoggedUser, most, size int) (copies []Numbered, more bool, err error) {
	for i, u := range users {
		if i == most || size < MaxSealedCopy {
			return copies, true, nil
		}
		name, err := pki.ParseName(u.Name)
		if err != nil || sha256.Sum256(u.Card) != u.Record || s.revoked(name, u.Fingerprint) {
			continue // to be dropped, or replaced in between
		}
		leaf, err := keylog.ParseLeaf(u.Leaf)
		if err != nil {
			return nil, false, err
		}
		sealed, err := sealCopy(name, u.Fingerprint, leaf, u.Proof, u.Card)
		if err != nil {
			return nil, false, err
		}
		size -= len(sealed)
		copies = append(copies, Numbered{u.Number, sealed})
	}
	return copies, false, nil
}

// Copied is a card of another domain's user, and the proof that it is in the key log of that domain: both
// have been verified.
type Copied struct {
	Card  pki.SignedCard
	Proof []byte
}

// copied finds what other domains have given us. A name of our own domain is never looked for.
func (s *Server) copied(ctx context.Context, of Subject) (Copied, error) {
	if s.config.Copied == nil || !of.Name.IsZero() && of.Name.Domain() == s.ca().Domain() {
		return Copied{}, errMiss
	}
	c, err := s.config.Copied(ctx, of)
	if errors.Is(err, store.ErrNotFound) {
		err = errMiss
	}
	if err == nil && s.revoked(c.Card.Certificate.Name(), c.Card.Certificate.Key().Fingerprint()) {
		err = errMiss
	}
	return c, err
}

// newer is the card that our own table has, or the copy if that is newer or there is no other.
func (s *Server) newer(ctx context.Context, of Subject, u store.User) (answer, error) {
	a, missing := s.cardOf(u)
	if missing == nil && u.Origin == store.Home {
		return a, nil
	}
	c, err := s.copied(ctx, of)
	switch {
	case errors.Is(err, ErrOldCopy) && (missing != nil || u.Serial <= c.Card.Serial):
		return answer{}, errMiss // nor is what we fetched before that
	case missing == nil && (errors.Is(err, errMiss) || errors.Is(err, ErrOldCopy)):
		return a, nil
	case err != nil:
		return answer{}, err
	case missing == nil && u.Fingerprint == c.Card.Certificate.Key().Fingerprint() && u.Serial > c.Card.Serial:
		return a, nil
	}
	return answer{body: c.Card.Raw(), contentType: typeRecord}, nil
}

// provenCopy answers with a copy and its proof.
func (s *Server) provenCopy(ctx context.Context, of Subject) (answer, error) {
	c, err := s.copied(ctx, of)
	if errors.Is(err, ErrOldCopy) {
		err = errMiss
	}
	if err != nil {
		return answer{}, err
	}
	return answer{body: joinProven(c.Card.Raw(), c.Proof), contentType: typeRecord}, nil
}
