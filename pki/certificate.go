package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

const (
	// ClockSkew is how far the clocks of two machines may be apart: whatever
	// is signed is valid from ClockSkew before it was signed.
	ClockSkew = 5 * time.Minute

	// MaxCertificateSize is the greatest length of a certificate or of a
	// certificate request in bytes of DER. Those of "a.test" have about 500;
	// the longest domain with the most labels needs 6 060.
	MaxCertificateSize = 6144

	serialSize = 16 // bytes of a certificate's serial number
)

// ErrTime says that something is well made and well signed, but not valid now:
// not any more, or not yet.
var ErrTime = errors.New("outside its time of validity")

// An order says which certificate to make.
type order struct {
	subject    []byte            // DER of the distinguished name
	key        point             // to be certified
	parent     *x509.Certificate // whose name to write as issuer; nil: self-signed
	notAfter   time.Time         // never later than that of the parent
	extensions []pkix.Extension  // the profile
}

// issue makes a certificate that is valid from ClockSkew before now. The
// serial number is the next 16 bytes of rand, made positive.
func issue(rand io.Reader, now time.Time, signer ed25519.PrivateKey, o order) (*x509.Certificate, error) {
	if (o.key == point{}) {
		return nil, errPoint
	}
	var serial [serialSize]byte
	if _, err := io.ReadFull(rand, serial[:]); err != nil {
		return nil, fmt.Errorf("pki: reading randomness for a serial number: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40
	notBefore, notAfter := seconds(now).Add(-ClockSkew), seconds(o.notAfter)
	issuer := o.subject
	if o.parent != nil {
		issuer = o.parent.RawSubject
		if notAfter.After(o.parent.NotAfter) {
			notAfter = o.parent.NotAfter
		}
	}
	if !notBefore.Before(notAfter) {
		return nil, fmt.Errorf("pki: issuing a certificate that ends at %s: %w", notAfter.Format(time.RFC3339), ErrTime)
	}
	tbs := toBeSigned(new(big.Int).SetBytes(serial[:]), issuer, notBefore, notAfter, o)
	cert, err := x509.ParseCertificate(signDER(signer, tbs))
	if err != nil {
		return nil, fmt.Errorf("pki: issuing a certificate: %w", err)
	}
	// A signature that a fault has bent would give the key away.
	if !ed25519.Verify(signer.Public().(ed25519.PublicKey), cert.RawTBSCertificate, cert.Signature) {
		return nil, errors.New("pki: issuing a certificate: this machine signs wrongly")
	}
	return cert, nil
}

// parseCertificate reads one certificate of any profile: Ed25519, version 3,
// a serial number of ours, nothing behind it.
func parseCertificate(der []byte) (*x509.Certificate, point, error) {
	if len(der) > MaxCertificateSize {
		return nil, point{}, fmt.Errorf("longer than %d bytes", MaxCertificateSize)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, point{}, err
	}
	key, err := certificateKey(cert)
	return cert, key, err
}

// certificateKey checks what all profiles share and returns the key.
func certificateKey(cert *x509.Certificate) (point, error) {
	public, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok || cert.SignatureAlgorithm != x509.PureEd25519 || cert.Version != 3 {
		return point{}, errors.New("not an X.509 version 3 certificate of and by Ed25519")
	}
	if cert.SerialNumber.Sign() <= 0 || cert.SerialNumber.BitLen() > 8*serialSize {
		return point{}, errors.New("its serial number is not of 1 to 16 bytes")
	}
	return parsePoint(public)
}

// checkProfile compares names and extensions with what the profile wants.
func checkProfile(cert *x509.Certificate, subject, issuer []byte, extensions []pkix.Extension) error {
	switch {
	case !bytes.Equal(cert.RawSubject, subject):
		return errors.New("its subject is not the one of its profile")
	case !bytes.Equal(cert.RawIssuer, issuer):
		return errors.New("its issuer's name is not the one of its profile")
	case !sameExtensions(cert.Extensions, extensions):
		return errors.New("its extensions are not those of its profile, to the byte")
	}
	return nil
}

// checkTime says whether the certificate is valid now.
func checkTime(cert *x509.Certificate, now time.Time) error {
	return within(cert.NotBefore, cert.NotAfter, now)
}

// within says whether now is in a span; both its ends are part of it, as those
// of certificates are.
func within(first, last, now time.Time) error {
	switch {
	case now.Before(first):
		return fmt.Errorf("it begins at %s: %w", first.UTC().Format(time.RFC3339), ErrTime)
	case now.After(last):
		return fmt.Errorf("it ended at %s: %w", last.UTC().Format(time.RFC3339), ErrTime)
	}
	return nil
}

// seconds drops what certificates and records cannot carry.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
