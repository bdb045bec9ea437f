package onion

import (
	"io"

	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem/xwing"
)

// HPKE's names of the two KEMs.
const (
	kemX25519 = 0x0020 // DHKEM(X25519, HKDF-SHA256), RFC 9180, section 4.1
	kemXWing  = 0x647a // MLKEM768X25519, draft-connolly-cfrg-xwing-kem
)

// Constants, but for Go's grammar.
var (
	outerHPKE   = newHPKEExporter(kemX25519, labelOuter)
	innerHPKE   = newHPKEExporter(kemXWing, labelInner)
	dhkemLabels = newHPKELabels("KEM", kemX25519)
)

// encapsulate makes a secret that only the holder of k's private key can find again from enc (32 bytes). It reads 32
// bytes: the ikm of DeriveKeyPair (RFC 9180, section 7.1.3) of the ephemeral key.
func (k ContextKey) encapsulate(rand io.Reader) (enc []byte, export secret, err error) {
	var ikm secret
	if err := fill(rand, ikm[:]); err != nil {
		return nil, secret{}, err
	}
	prk := dhkemLabels.extract(nil, "dkp_prk", ikm[:])
	ephemeral, public := x25519.Key(dhkemLabels.expand(&prk, "sk", nil)), x25519.Key(k.b)
	var share, dh x25519.Key
	x25519.KeyGen(&share, &ephemeral)
	if !x25519.Shared(&dh, &ephemeral, &public) {
		return nil, secret{}, ErrLowOrder
	}
	return share[:], exportX25519(&dh, &share, &k), nil
}

// decapsulate is the other end: enc is 32 bytes of a stranger's.
func (k *ContextPrivateKey) decapsulate(enc []byte) (export secret, err error) {
	var dh x25519.Key
	share := x25519.Key(enc)
	if !x25519.Shared(&dh, &k.scalar, &share) {
		return secret{}, ErrLowOrder
	}
	return exportX25519(&dh, &share, &k.public), nil
}

// exportX25519 is ExtractAndExpand(dh, enc | pkR) of DHKEM, then the HPKE export.
func exportX25519(dh, share *x25519.Key, recipient *ContextKey) secret {
	prk := dhkemLabels.extract(nil, "eae_prk", dh[:])
	kemContext := append(append(make([]byte, 0, 2*x25519Size), share[:]...), recipient.b[:]...)
	shared := dhkemLabels.expand(&prk, "shared_secret", kemContext)
	return outerHPKE.export(&shared)
}

// encapsulate makes a secret that only the holder of k's private key can find again from enc (1120 bytes). It reads 64
// bytes: the eseed of X-Wing, 32 for ML-KEM and the ephemeral X25519 scalar.
func (k ServerKey) encapsulate(rand io.Reader) (enc []byte, export secret, err error) {
	var seed [xwing.EncapsulationSeedSize]byte
	if err := fill(rand, seed[:]); err != nil {
		return nil, secret{}, err
	}
	var shared secret
	enc = make([]byte, xwingSize)
	k.public.EncapsulateTo(enc, shared[:], seed[:])
	return enc, innerHPKE.export(&shared), nil
}

// decapsulate is the other end: enc is 1120 bytes of a stranger's. ML-KEM never fails, it gives another secret; a
// low-order X25519 share would take half of the hybrid away without anybody's notice, so it is refused.
func (k *ServerPrivateKey) decapsulate(enc []byte) (export secret, err error) {
	if isLowOrder([x25519Size]byte(enc[xwingSize-x25519Size:])) {
		return secret{}, ErrLowOrder
	}
	var shared secret
	k.secret.DecapsulateTo(shared[:], enc)
	return innerHPKE.export(&shared), nil
}
