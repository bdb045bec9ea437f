package onion

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// ReplayID names one layer, once and for all: it is derived from the layer's KEM secret and not from bytes on the
// wire, so no change of the packet gives the layer another name. A node keeps those of the layers that it peeled and
// drops a second sight; it comes out of a peel only after authentication.
type ReplayID [16]byte

const gcmNonceSize = 12

// layer is what builder and peeler of one layer share: everything follows from one 32-byte key.
type layer struct {
	enc    []byte // the encapsulation; the builder's only
	prk    secret
	block  cipher.Block
	aead   cipher.AEAD // AES-256-GCM over block
	nonce  [gcmNonceSize]byte
	replay ReplayID
}

// newLayer runs the key schedule: prk is the HPKE export in the inner tier, and that mixed with the hint in the outer.
func newLayer(enc []byte, prk secret) layer {
	key := derive(&prk, labelKey)
	l := layer{enc: enc, prk: prk, block: newAES(key[:])}
	l.aead = newGCM(l.block)
	expand(l.nonce[:], &prk, labelNonce)
	expand(l.replay[:], &prk, labelReplay)
	return l
}

// filler fills dst with PRG(filler key): the slot that a peel appends. PRG is AES-256-CTR over zeros, from counter 0.
func (l *layer) filler(dst []byte) {
	var counter [aes.BlockSize]byte
	key := derive(&l.prk, labelFiller)
	clear(dst)
	cipher.NewCTR(newAES(key[:]), counter[:]).XORKeyStream(dst, dst)
}

// bodyKey is the wide-block key of an inner layer.
func (l *layer) bodyKey() bodyKey { return bodyKey(derive(&l.prk, labelBody)) }

// keyStream xors dst with what GCM encrypts plaintext bytes offset, offset+1, ... with: AES-CTR from the counter
// block nonce | 2 (NIST SP 800-38D, section 7.1).
func (l *layer) keyStream(dst []byte, offset int) {
	var counter [aes.BlockSize]byte
	copy(counter[:], l.nonce[:])
	binary.BigEndian.PutUint32(counter[gcmNonceSize:], uint32(2+offset/aes.BlockSize))
	ctr := cipher.NewCTR(l.block, counter[:])
	var skip [aes.BlockSize]byte
	ctr.XORKeyStream(skip[:offset%aes.BlockSize], skip[:offset%aes.BlockSize])
	ctr.XORKeyStream(dst, dst)
}
