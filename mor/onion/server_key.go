package onion

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/cloudflare/circl/kem/xwing"
)

// ServerID names a server key: the SHA-256 of its 1216 bytes.
type ServerID [serverIDSize]byte

// ParseServerID reads the 43-character unpadded base64url form; it refuses anything that String would not have written.
func ParseServerID(s string) (ServerID, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != serverIDSize || len(s) != base64.RawURLEncoding.EncodedLen(serverIDSize) {
		return ServerID{}, fmt.Errorf("%w: server id %.50q", ErrKey, s)
	}
	return ServerID(raw), nil
}

// String returns 43 characters of unpadded base64url.
func (id ServerID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ServerKey is the public routing key of a server: MLKEM768X25519, also called X-Wing (HPKE KEM 0x647a), 1216 bytes.
// The inner tier is built with these. The zero value is no key.
type ServerKey struct {
	raw    *[ServerKeySize]byte
	public *xwing.PublicKey
	id     ServerID
}

// ParseServerKey copies and checks a public key: the length (ErrLength), the ML-KEM encapsulation key check of FIPS 203
// (ErrKey), and the X25519 half as ParseContextKey does. Keep the result: parsing expands the ML-KEM matrix.
func ParseServerKey(raw []byte) (ServerKey, error) {
	if len(raw) != ServerKeySize {
		return ServerKey{}, ErrLength
	}
	if err := checkPoint(raw[ServerKeySize-x25519Size:]); err != nil {
		return ServerKey{}, err
	}
	public := new(xwing.PublicKey)
	if err := public.Unpack(raw); err != nil {
		return ServerKey{}, ErrKey
	}
	return newServerKey([ServerKeySize]byte(raw), public), nil
}

func newServerKey(raw [ServerKeySize]byte, public *xwing.PublicKey) ServerKey {
	return ServerKey{raw: &raw, public: public, id: sha256.Sum256(raw[:])}
}

// Bytes returns a copy of the 1216-byte encoding; nil for the zero ServerKey.
func (k ServerKey) Bytes() []byte {
	if k.IsZero() {
		return nil
	}
	return append([]byte(nil), k.raw[:]...)
}

// ID returns the key's name; zero for the zero ServerKey.
func (k ServerKey) ID() ServerID { return k.id }

// IsZero reports whether k is the zero value, which is no key.
func (k ServerKey) IsZero() bool { return k.raw == nil }

// ServerPrivateKey opens inner layers. It is safe for concurrent use.
type ServerPrivateKey struct {
	_      [0]func() // not comparable: == is not constant-time
	seed   [SeedSize]byte
	secret *xwing.PrivateKey
	public ServerKey
}

// NewServerKey makes a private key from 32 bytes of rand.
func NewServerKey(rand io.Reader) (*ServerPrivateKey, error) {
	var seed [SeedSize]byte
	if err := fill(rand, seed[:]); err != nil {
		return nil, err
	}
	return ParseServerPrivateKey(seed[:])
}

// ParseServerPrivateKey reads the stored form: the 32-byte X-Wing seed. It expands the key, which costs about one
// encapsulation: parse once and keep the result.
func ParseServerPrivateKey(seed []byte) (*ServerPrivateKey, error) {
	if len(seed) != SeedSize {
		return nil, ErrLength
	}
	secret, public := xwing.DeriveKeyPair(seed)
	var raw [ServerKeySize]byte
	public.Pack(raw[:])
	return &ServerPrivateKey{seed: [SeedSize]byte(seed), secret: secret, public: newServerKey(raw, public)}, nil
}

// Seed returns the 32-byte stored form. It is the secret itself.
func (k *ServerPrivateKey) Seed() []byte { return append([]byte(nil), k.seed[:]...) }

// Public returns the public key.
func (k *ServerPrivateKey) Public() ServerKey { return k.public }

// String hides the secret, as do Format and MarshalText.
func (k *ServerPrivateKey) String() string { return redacted }

// Format writes a placeholder for every verb.
func (k *ServerPrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder, so that no encoder or logger shows the secret.
func (k *ServerPrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
