package onion

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
)

// Hint is the 32-byte secret of one context for one epoch. Who holds it recognises packets for the context, and can
// build them; outer layers stay closed to everybody else, with or without a quantum computer. Packets never carry it.
type Hint [32]byte

// NewHint reads a fresh hint (32 bytes) from rand.
func NewHint(rand io.Reader) (Hint, error) {
	var h Hint
	err := fill(rand, h[:])
	return h, err
}

// Next returns the hint of the following epoch. There is no way back: who forgets an old hint can no longer link
// the tags that were recorded under it.
func (h Hint) Next() Hint { return Hint(derive((*secret)(&h), labelHintNext)) }

// String hides the secret, as do Format and MarshalText.
func (h Hint) String() string { return redacted }

// Format writes a placeholder for every verb.
func (h Hint) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder, so that no encoder or logger shows the secret.
func (h Hint) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// layerSecret closes outer layers to all who do not hold the hint: it is HKDF-Extract(salt = a key of the hint's,
// ikm = the HPKE export), and either of the two suffices to keep it secret.
func (h Hint) layerSecret(export secret) secret {
	salt := derive((*secret)(&h), labelHintLayer)
	return hmacSHA256(salt[:], export[:])
}

// tagCipher is AES-128 under the tag key of h.
func (h Hint) tagCipher() cipher.Block {
	var key [16]byte
	expand(key[:], (*secret)(&h), labelHintTag)
	return newAES(key[:])
}

// tag is the address tag of a packet with this core: AES-128(tag key, first 16 bytes of core).
func (h Hint) tag(core Core) Tag {
	var t Tag
	h.tagCipher().Encrypt(t[:], core[:aes.BlockSize])
	return t
}

// owns reports in constant time whether p's tag was made with h.
func (h Hint) owns(p Packet) bool {
	t := h.tag(p.id.Core)
	return equal(t[:], p.id.Tag[:])
}
