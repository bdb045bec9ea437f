package onion

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// wideBlock enciphers a body as if it were one block: change a bit on either side and everything on the other side
// changes. It is HBSH, the construction of Adiantum (Crowley and Biggers, ToSC 2018(4)), with parts of the standard
// library: GMAC as the hash, AES-256 as the block cipher, AES-256-CTR as the stream cipher, each with its own key.
//
// H(x) is the AES-256-GCM tag of x as additional data, under the zero nonce. A nonce may repeat here: two tags differ
// exactly by the difference of their GHASHes, which is all that HBSH asks of H, and no tag ever leaves this file.
type wideBlock struct {
	hash   cipher.AEAD
	block  cipher.Block
	stream cipher.Block
}

// bodyKey is the 32-byte key of one wide-block layer.
type bodyKey [bodyKeySize]byte

// wide expands k: hash key 32, block key 32, stream key 32.
func (k *bodyKey) wide() wideBlock {
	var okm [3 * 32]byte
	expand(okm[:], (*secret)(k), labelWide)
	return wideBlock{hash: newGCM(newAES(okm[:32])), block: newAES(okm[32:64]), stream: newAES(okm[64:])}
}

// encrypt works in place on a text of at least 16 bytes: all but the last 16 are "left", those are "right".
func (w wideBlock) encrypt(text []byte) {
	left, right := halves(text)
	w.mix(right, left)            // PM = R xor H(L)
	w.block.Encrypt(right, right) // CM = E(PM)
	w.mask(left, right)           // CL = L xor S(CM)
	w.mix(right, left)            // CR = CM xor H(CL)
}

// decrypt is the inverse of encrypt.
func (w wideBlock) decrypt(text []byte) {
	left, right := halves(text)
	w.mix(right, left)            // CM = CR xor H(CL)
	w.mask(left, right)           // L = CL xor S(CM)
	w.block.Decrypt(right, right) // PM = D(CM)
	w.mix(right, left)            // R = PM xor H(L)
}

func halves(text []byte) (left, right []byte) {
	n := len(text) - aes.BlockSize
	return text[:n], text[n:]
}

// mix xors H(left) into right.
func (w wideBlock) mix(right, left []byte) {
	var nonce [gcmNonceSize]byte
	var hash [aeadTagSize]byte
	subtle.XORBytes(right, right, w.hash.Seal(hash[:0], nonce[:], nil, left))
}

// mask xors left with the CTR stream that starts at the counter block middle.
func (w wideBlock) mask(left, middle []byte) {
	cipher.NewCTR(w.stream, middle).XORKeyStream(left, left)
}
