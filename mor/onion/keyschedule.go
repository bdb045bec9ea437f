package onion

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
)

// Every label of the format. docs/spec/onion.md, section "Key schedule", says what goes with each.
const (
	labelOuter     = "p3do v1 outer" // HPKE info of the outer tier
	labelInner     = "p3do v1 inner" // HPKE info of the inner tier
	labelExport    = "p3do layer"    // HPKE exporter context of both
	labelHintTag   = "p3do tag"
	labelHintLayer = "p3do layer"
	labelHintNext  = "p3do hint next"
	labelKey       = "p3do key"
	labelNonce     = "p3do nonce"
	labelFiller    = "p3do filler"
	labelReplay    = "p3do replay"
	labelBody      = "p3do body"
	labelWide      = "p3do wide block"
)

// secret is a 32-byte key from which others are derived.
type secret = [sha256.Size]byte

// expand is HKDF-Expand with SHA-256 (RFC 5869, section 2.3): it fills dst, at most 255 blocks, from a key.
func expand(dst []byte, key *secret, label string) {
	var t secret
	last := t[:0] // T(0) is empty
	for i := byte(1); len(dst) > 0; i++ {
		t = hmacSHA256(key[:], last, []byte(label), []byte{i}) // T(i)
		dst = dst[copy(dst, t[:]):]
		last = t[:]
	}
}

// derive is expand for one key of 32 bytes.
func derive(key *secret, label string) (out secret) {
	expand(out[:], key, label)
	return out
}

// hmacSHA256 is HMAC-SHA-256 (RFC 2104) of the joined parts, for keys of at most 64 bytes. A peel takes a dozen of
// these over very short texts, for which crypto/hkdf needs three times as long and ten allocations each; this one works
// on the stack, and the tests hold it against crypto/hmac and crypto/hkdf.
func hmacSHA256(key []byte, parts ...[]byte) [sha256.Size]byte {
	var pad [sha256.BlockSize]byte
	copy(pad[:], key)
	for i := range pad {
		pad[i] ^= 0x36
	}
	text := append(make([]byte, 0, 4*sha256.BlockSize), pad[:]...)
	for _, part := range parts {
		text = append(text, part...)
	}
	inner := sha256.Sum256(text)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	return sha256.Sum256(append(append(text[:0], pad[:]...), inner[:]...))
}

// newAES is the AES block cipher under a key of 16 or 32 bytes.
func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	return must(block, err)
}

// newGCM is AES-256-GCM (NIST SP 800-38D): nonce 12, tag 16.
func newGCM(block cipher.Block) cipher.AEAD {
	aead, err := cipher.NewGCM(block)
	return must(aead, err)
}

// must unwraps what fails for wrong lengths only; every length here is a constant of this package.
func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("onion: a constant length is wrong: %v", err)) // unreachable: every length is a constant of this package
	}
	return value
}

// fill reads len(dst) bytes of the caller's randomness.
func fill(rand io.Reader, dst []byte) error {
	if _, err := io.ReadFull(rand, dst); err != nil {
		return fmt.Errorf("onion: reading randomness: %w", err)
	}
	return nil
}

// equal compares secrets in constant time.
func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
