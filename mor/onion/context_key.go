package onion

import (
	"encoding/base64"
	"fmt"
	"io"

	"github.com/cloudflare/circl/dh/x25519"
)

// redacted stands wherever a secret would be printed.
const redacted = "secret"

// ContextKey is the X25519 public key of a context (32 bytes, RFC 7748). The outer tier is built with these. It is a
// different type from ServerKey and there is no conversion: who adds hops to a leg cannot use a server key (rule 5).
// It is comparable; the zero value is no key.
type ContextKey struct{ b [x25519Size]byte }

// ParseContextKey reads a public key. It refuses any length but 32 (ErrLength), low-order points (ErrLowOrder) and
// non-canonical encodings (ErrKey), so equal keys are equal bytes.
func ParseContextKey(raw []byte) (ContextKey, error) {
	if len(raw) != x25519Size {
		return ContextKey{}, ErrLength
	}
	if err := checkPoint(raw); err != nil {
		return ContextKey{}, err
	}
	return ContextKey{[x25519Size]byte(raw)}, nil
}

// Bytes returns the 32-byte encoding.
func (k ContextKey) Bytes() [x25519Size]byte { return k.b }

// String returns the key in unpadded base64url.
func (k ContextKey) String() string { return base64.RawURLEncoding.EncodeToString(k.b[:]) }

// ContextPrivateKey opens outer layers. It is safe for concurrent use.
type ContextPrivateKey struct {
	_      [0]func()  // not comparable: == is not constant-time
	scalar x25519.Key // before clamping
	public ContextKey
}

// NewContextKey makes a private key from 32 bytes of rand.
func NewContextKey(rand io.Reader) (*ContextPrivateKey, error) {
	var seed [SeedSize]byte
	if err := fill(rand, seed[:]); err != nil {
		return nil, err
	}
	return ParseContextPrivateKey(seed[:])
}

// ParseContextPrivateKey reads the stored form: the 32-byte X25519 scalar of RFC 7748, before clamping.
func ParseContextPrivateKey(seed []byte) (*ContextPrivateKey, error) {
	if len(seed) != SeedSize {
		return nil, ErrLength
	}
	k := &ContextPrivateKey{scalar: x25519.Key(seed)}
	x25519.KeyGen((*x25519.Key)(&k.public.b), &k.scalar)
	return k, nil
}

// Seed returns the 32-byte stored form. It is the secret itself.
func (k *ContextPrivateKey) Seed() []byte { return append([]byte(nil), k.scalar[:]...) }

// Public returns the public key.
func (k *ContextPrivateKey) Public() ContextKey { return k.public }

// String hides the secret, as do Format and MarshalText.
func (k *ContextPrivateKey) String() string { return redacted }

// Format writes a placeholder for every verb.
func (k *ContextPrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder, so that no encoder or logger shows the secret.
func (k *ContextPrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
