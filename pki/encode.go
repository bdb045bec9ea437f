package pki

import (
	"crypto/ed25519"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificates are written here, straight into DER: encoding/asn1, which
// crypto/x509 writes them by, would take as long as an Ed25519 signature. They
// are always read, and verified, by crypto/x509.

var (
	oidEd25519          = asn1.ObjectIdentifier{1, 3, 101, 112}              // RFC 8410, section 3
	oidExtensionRequest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14} // RFC 2985, section 5.4.2
)

// toBeSigned writes a TBSCertificate (RFC 5280, section 4.1).
func toBeSigned(serial *big.Int, issuer []byte, notBefore, notAfter time.Time, o order) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2) // version 3
		})
		b.AddASN1BigInt(serial)
		addAlgorithm(b)
		b.AddBytes(issuer)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addASN1Time(b, notBefore)
			addASN1Time(b, notAfter)
		})
		b.AddBytes(o.subject)
		addPublicKey(b, o.key)
		b.AddASN1(cbasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			addExtensions(b, o.extensions)
		})
	})
	return b.BytesOrPanic()
}

// requestInfo writes the CertificationRequestInfo (RFC 2986, section 4.1) of a
// request for one name.
func requestInfo(name Name, key point) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0) // version 1
		b.AddBytes(emptySubject())
		addPublicKey(b, key)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidExtensionRequest)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					addExtensions(b, []pkix.Extension{subjectAltName(tagMail, name.String())})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

// signDER wraps what is signed, the algorithm and the signature: the outer
// form of certificates and of requests.
func signDER(signer ed25519.PrivateKey, signed []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		addAlgorithm(b)
		b.AddASN1BitString(ed25519.Sign(signer, signed))
	})
	return b.BytesOrPanic()
}

func addAlgorithm(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidEd25519) })
}

func addPublicKey(b *cryptobyte.Builder, key point) {
	b.AddBytes([]byte(spkiPrefix))
	b.AddBytes(key[:])
}

func addExtensions(b *cryptobyte.Builder, extensions []pkix.Extension) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, e := range extensions {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(e.Id)
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(e.Value)
			})
		}
	})
}

// addASN1Time writes UTCTime until 2049 (RFC 5280, section 4.1.2.5).
func addASN1Time(b *cryptobyte.Builder, t time.Time) {
	if year := t.Year(); 1950 <= year && year < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}
