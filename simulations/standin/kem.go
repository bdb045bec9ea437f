package standin

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/p3do/p3do/mor/onion"
)

// Scheme is that of packets with stand-in keys.
func Scheme() onion.Scheme { return onion.Scheme{KEM: KEM{}} }

// A KEM hides nothing.
type KEM struct{}

// The sizes of encapsulations in bytes, and of the randomness that is read for each.
const (
	outerSize, outerSeed = 32, 32
	innerSize, innerSeed = 1120, 64
)

// Outer reads 32 bytes of randomness, for an encapsulation of 32 bytes.
func (KEM) Outer(rand io.Reader, to onion.ContextKey) ([]byte, [32]byte, error) {
	enc, err := draw(rand, outerSeed, outerSize)
	return enc, outer(to, enc), err
}

// OpenOuter finds the secret that Outer made for the key.
func (KEM) OpenOuter(key *onion.ContextPrivateKey, enc []byte) ([32]byte, error) {
	return outer(key.Public(), enc), nil
}

// Inner reads 64 bytes of randomness, for an encapsulation of 1120 bytes.
func (KEM) Inner(rand io.Reader, to onion.ServerKey) ([]byte, [32]byte, error) {
	enc, err := draw(rand, innerSeed, innerSize)
	return enc, inner(to, enc), err
}

// OpenInner finds the secret that Inner made for the key.
func (KEM) OpenInner(key *onion.ServerPrivateKey, enc []byte) ([32]byte, error) {
	return inner(key.Public(), enc), nil
}

// draw stretches so much randomness to so many bytes.
func draw(random io.Reader, seed, size int) ([]byte, error) {
	key := make([]byte, seed)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("standin: reading randomness: %w", err)
	}
	enc := make([]byte, size)
	_, err := rand.NewChaCha8(sha256.Sum256(key)).Read(enc)
	return enc, err
}

func outer(key onion.ContextKey, enc []byte) [32]byte {
	public := key.Bytes()
	return sha256.Sum256(append(public[:], enc...))
}

func inner(key onion.ServerKey, enc []byte) [32]byte {
	id := key.ID()
	return sha256.Sum256(append(id[:], enc...))
}
