package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// CALifetime is how long the certificate of a new domain authority is valid.
const CALifetime = 10 * 365 * 24 * time.Hour

// errOtherKey says that a leaf claims another authority's key than the one that
// it is judged by, whoever has signed it in truth.
var errOtherKey = errors.New("it is certified by another key, by its own account")

// A CACert is the exported certificate of a domain's authority: self-signed,
// and constrained by itself to its own domain. Whoever holds the right one
// (by pin or by a peer's word) can judge what the domain signed, with the
// domain's node gone too.
type CACert struct {
	cert   *x509.Certificate
	domain Domain
	key    DomainPublic
}

// ParseCACert reads a CACert of at most MaxCertificateSize bytes of DER. It
// accepts only what NewAuthority makes: Ed25519, the constraints of the one
// domain that its subject names, path length 0, a good signature by its own
// key. It does not look at the time, and nobody has vouched for the key yet:
// compare Fingerprint with a pin.
func ParseCACert(der []byte) (CACert, error) {
	ca, err := parseCACert(der)
	if err != nil {
		return CACert{}, fmt.Errorf("pki: certificate of a domain CA: %w", err)
	}
	return ca, nil
}

func parseCACert(der []byte) (CACert, error) {
	cert, key, err := parseCertificate(der)
	if err != nil {
		return CACert{}, err
	}
	domain, err := constrainedDomain(cert)
	if err != nil {
		return CACert{}, err
	}
	subject, self := authoritySubject(domain, roleDomain), fingerprintOf(key)
	if err := checkProfile(cert, subject, subject, caProfile(domain, self, self)); err != nil {
		return CACert{}, err
	}
	// Go refuses to count a signature by a parent with unhandled extensions;
	// the profile has none.
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return CACert{}, err
	}
	return CACert{cert: cert, domain: domain, key: DomainPublic{key}}, nil
}

// constrainedDomain returns the domain of the DNS constraint; the profile is
// then built from it, and compared.
func constrainedDomain(cert *x509.Certificate) (Domain, error) {
	if len(cert.PermittedDNSDomains) != 1 {
		return Domain{}, errors.New("it is not constrained to one domain")
	}
	return ParseDomain(cert.PermittedDNSDomains[0])
}

// Domain returns the domain that the authority may sign for.
func (c CACert) Domain() Domain { return c.domain }

// Key returns the public key of the authority.
func (c CACert) Key() DomainPublic { return c.key }

// Fingerprint returns the fingerprint of the key: what DNS carries, and what
// is pinned.
func (c CACert) Fingerprint() Fingerprint { return c.key.Fingerprint() }

// DER returns the certificate as ParseCACert reads it; nil for the zero CACert.
func (c CACert) DER() []byte {
	if c.cert == nil {
		return nil
	}
	return bytes.Clone(c.cert.Raw)
}

// NotAfter returns the last second of its validity, in UTC.
func (c CACert) NotAfter() time.Time {
	if c.cert == nil {
		return time.Time{}
	}
	return c.cert.NotAfter
}

// VerifyUser judges the certificate of a user of this domain: shape, name,
// signature and time. An error about time is ErrTime.
func (c CACert) VerifyUser(der []byte, now time.Time) (UserCert, error) {
	user, err := parseUserCert(der)
	if err == nil {
		err = c.vouchUser(user, now)
	}
	if err != nil {
		return UserCert{}, fmt.Errorf("pki: user certificate: %w", err)
	}
	return user, nil
}

func (c CACert) vouchUser(user UserCert, now time.Time) error {
	if err := mayName(c.domain, user.name.domain); err != nil {
		return err
	}
	return c.verify(user.cert, x509.ExtKeyUsageClientAuth, now)
}

// VerifyLink judges the TLS certificate of a node of this domain, as a client
// does that has pinned the authority. An error about time is ErrTime.
func (c CACert) VerifyLink(leaf *x509.Certificate, now time.Time) error {
	domain, err := checkLink(leaf)
	if err == nil {
		err = mayName(c.domain, domain)
	}
	if err == nil {
		err = c.verify(leaf, x509.ExtKeyUsageServerAuth, now)
	}
	if err != nil {
		return fmt.Errorf("pki: link certificate: %w", err)
	}
	return nil
}

// mayName compares exactly: the constraint check of Go lets an authority of
// a.test name mailboxes and hosts of sub.a.test.
func mayName(authority, named Domain) error {
	if authority != named {
		return fmt.Errorf("%s may not sign for %s", authority, named)
	}
	return nil
}

// verify builds the chain root, leaf. The pools hold this authority and nothing
// that the other side has sent.
func (c CACert) verify(leaf *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	if c.cert == nil {
		return errors.New("there is no authority to verify it by")
	}
	if !bytes.Equal(leaf.AuthorityKeyId, c.cert.SubjectKeyId) {
		return errOtherKey
	}
	if err := checkTime(leaf, now); err != nil {
		return err
	}
	if err := checkTime(c.cert, now); err != nil {
		return fmt.Errorf("its authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.cert)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}
