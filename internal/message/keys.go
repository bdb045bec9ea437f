package message

import (
	"crypto/ecdh"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/hpke"
	"github.com/cloudflare/circl/kem"
	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/pki"
)

const (
	// StatementLabel is the label under which an identity says which keys are its own.
	StatementLabel pki.Label = "message keys v1"
	// SeedSize is the length of both private keys together in bytes: the 32-byte seed of
	// the seal key, then the 32-byte X25519 scalar.
	SeedSize = 64
	// AuthSize is the length of an auth key in bytes (X25519, RFC 7748).
	AuthSize = 32

	keySeedSize = 32
)

// ErrKey is returned for key bytes that are no keys.
var ErrKey = errors.New("message: no such key")

// Keys are the public halves of a user's keys for messages, as in her card.
type Keys struct {
	Seal [pki.SealSize]byte // MLKEM768X25519, 1 216 bytes
	Auth [AuthSize]byte     // X25519, 32 bytes
}

// Statement is what an identity signs under [StatementLabel] about its keys: the auth
// key and the SHA-256 of the seal key, 64 bytes. It says nothing of any message.
func (k Keys) Statement() []byte { return statement(k.Auth, sha256.Sum256(k.Seal[:])) }

func statement(auth, sealHash [32]byte) []byte {
	var b cryptobyte.Builder
	b.AddBytes(auth[:])
	b.AddBytes(sealHash[:])
	return b.BytesOrPanic() // unreachable panic: 64 bytes
}

// PrivateKeys open messages to a user and authenticate hers. They are safe for
// concurrent use.
type PrivateKeys struct {
	_    [0]func() // not comparable: == is not constant-time
	seed [SeedSize]byte
	seal kem.PrivateKey
	auth *ecdh.PrivateKey
	keys Keys
}

// NewPrivateKeys makes both keys from 64 bytes of rand.
func NewPrivateKeys(rand io.Reader) (*PrivateKeys, error) {
	var seed [SeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("message: making keys: %w", err)
	}
	return ParsePrivateKeys(seed[:])
}

// ParsePrivateKeys takes the 64 bytes that Seed returned.
func ParsePrivateKeys(seed []byte) (*PrivateKeys, error) {
	if len(seed) != SeedSize {
		return nil, fmt.Errorf("%w: a seed of %d bytes, not %d", ErrKey, len(seed), SeedSize)
	}
	seal, err := hpke.KEM_XWING.Scheme().UnmarshalBinaryPrivateKey(seed[:keySeedSize])
	if err != nil {
		return nil, ErrKey
	}
	auth, err := ecdh.X25519().NewPrivateKey(seed[keySeedSize:])
	if err != nil {
		return nil, ErrKey
	}
	public, err := seal.Public().MarshalBinary()
	if err != nil || len(public) != pki.SealSize {
		return nil, ErrKey
	}
	return &PrivateKeys{
		seed: [SeedSize]byte(seed), seal: seal, auth: auth,
		keys: Keys{[pki.SealSize]byte(public), [AuthSize]byte(auth.PublicKey().Bytes())},
	}, nil
}

// Seed returns the 64 secret bytes to store, sealed.
func (p *PrivateKeys) Seed() []byte { return append([]byte(nil), p.seed[:]...) }

// Public returns the public halves.
func (p *PrivateKeys) Public() Keys { return p.keys }

// String returns "secret", as do Format and MarshalText.
func (*PrivateKeys) String() string { return redacted }

// Format writes "secret" for every verb.
func (*PrivateKeys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "secret", so that no encoder or logger shows the keys.
func (*PrivateKeys) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "secret"
