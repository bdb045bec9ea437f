package pki

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

const (
	// FingerprintSize is the length of a Fingerprint in bytes.
	FingerprintSize = sha256.Size

	// FingerprintTextSize is the length of a Fingerprint as text, in bytes.
	FingerprintTextSize = 43
)

// A Fingerprint stands for a public key: the SHA-256 of its
// SubjectPublicKeyInfo in DER (RFC 5280, section 4.1; the same value as in a
// TLSA 2 1 1 record). It is 32 bytes, and 43 characters of base64url as text.
type Fingerprint [FingerprintSize]byte

// ParseFingerprint reads the 43 characters that String writes: base64url
// (RFC 4648, section 5) without padding, and canonical, so the last character
// carries no stray bits.
func ParseFingerprint(text string) (Fingerprint, error) {
	var f Fingerprint
	if len(text) != FingerprintTextSize {
		return f, fmt.Errorf("pki: fingerprint %.80q: want 43 characters of base64url", text)
	}
	// The decoder skips line breaks; writing the result again does not.
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != FingerprintSize || Fingerprint(b).String() != text {
		return f, fmt.Errorf("pki: fingerprint %.80q: want canonical base64url: A-Z, a-z, 0-9, - and _", text)
	}
	return Fingerprint(b), nil
}

// String returns the fingerprint as 43 characters of base64url.
func (f Fingerprint) String() string { return base64.RawURLEncoding.EncodeToString(f[:]) }

// IsZero reports whether f was never set.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// MarshalText implements encoding.TextMarshaler.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler by ParseFingerprint.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	parsed, err := ParseFingerprint(string(text))
	if err != nil {
		return err
	}
	*f = parsed
	return nil
}

// spkiPrefix is what stands before the 32 key bytes in the DER of an Ed25519
// SubjectPublicKeyInfo (RFC 8410, section 4).
const spkiPrefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// fingerprintOf returns the fingerprint of an Ed25519 public key.
func fingerprintOf(key point) Fingerprint {
	return sha256.Sum256(append([]byte(spkiPrefix), key[:]...))
}
