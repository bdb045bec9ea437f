package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"
)

// CrossLifetime is how long a cross-certificate is valid, unless the peer's
// own certificate ends before.
const CrossLifetime = 365 * 24 * time.Hour

// A CrossCert is a domain's countersignature of a peer: a certificate by its
// private federation root over the key of the peer's authority, constrained to
// the peer's domain, path length 0. It makes the peer's certificates valid for
// the domain that signed it, and for nobody else.
type CrossCert struct {
	cert   *x509.Certificate
	domain Domain
	key    DomainPublic
	issuer Fingerprint
}

// Countersign makes the cross-certificate over the key of a peer's authority.
// Whether that key is the peer's is for the caller to know beforehand. It
// refuses its own domain: a domain does not introduce itself.
func (a *Authority) Countersign(rand io.Reader, now time.Time, peer CACert) (CrossCert, error) {
	if peer.cert == nil || peer.domain == a.Domain() {
		return CrossCert{}, fmt.Errorf("pki: %s countersigns other domains, not %q", a.Domain(), peer.domain)
	}
	if err := checkTime(peer.cert, now); err != nil {
		return CrossCert{}, fmt.Errorf("pki: countersigning %s: its certificate: %w", peer.domain, err)
	}
	notAfter := now.Add(CrossLifetime)
	if notAfter.After(peer.cert.NotAfter) {
		notAfter = peer.cert.NotAfter
	}
	issuer := a.federation.fingerprint()
	cert, err := issue(rand, now, a.federation.federation, order{
		subject:    peer.cert.RawSubject,
		key:        peer.key.domain,
		parent:     a.root,
		notAfter:   notAfter,
		extensions: caProfile(peer.domain, peer.Fingerprint(), issuer),
	})
	if err != nil {
		return CrossCert{}, err
	}
	return CrossCert{cert: cert, domain: peer.domain, key: peer.key, issuer: issuer}, nil
}

// ParseCrossCert reads a cross-certificate of at most MaxCertificateSize bytes
// of DER, of the shape that Countersign makes. Who signed it, and whether it is
// still valid, shows when it is used.
func ParseCrossCert(der []byte) (CrossCert, error) {
	cross, err := parseCrossCert(der)
	if err != nil {
		return CrossCert{}, fmt.Errorf("pki: cross-certificate: %w", err)
	}
	return cross, nil
}

func parseCrossCert(der []byte) (CrossCert, error) {
	cert, key, err := parseCertificate(der)
	if err != nil {
		return CrossCert{}, err
	}
	domain, err := constrainedDomain(cert)
	if err != nil {
		return CrossCert{}, err
	}
	issuer, err := issuerKey(cert)
	if err != nil {
		return CrossCert{}, err
	}
	subject := authoritySubject(domain, roleDomain)
	if bytes.Equal(cert.RawIssuer, subject) {
		return CrossCert{}, errors.New("it is signed by the domain that it is about")
	}
	// The issuer's name may be that of any federation root: only the holder
	// of that root will judge by it.
	profile := caProfile(domain, fingerprintOf(key), issuer)
	if err := checkProfile(cert, subject, cert.RawIssuer, profile); err != nil {
		return CrossCert{}, err
	}
	return CrossCert{cert: cert, domain: domain, key: DomainPublic{key}, issuer: issuer}, nil
}

// Domain returns the peer's domain.
func (c CrossCert) Domain() Domain { return c.domain }

// Key returns the key of the peer's authority.
func (c CrossCert) Key() DomainPublic { return c.key }

// Fingerprint returns the fingerprint of that key, by which LinkIssuer picks.
func (c CrossCert) Fingerprint() Fingerprint { return c.key.Fingerprint() }

// DER returns the certificate as ParseCrossCert reads it; nil for the zero
// CrossCert.
func (c CrossCert) DER() []byte {
	if c.cert == nil {
		return nil
	}
	return bytes.Clone(c.cert.Raw)
}

// NotAfter returns the last second of its validity, in UTC.
func (c CrossCert) NotAfter() time.Time {
	if c.cert == nil {
		return time.Time{}
	}
	return c.cert.NotAfter
}

// Countersigned reports whether cross is by this federation root.
func (a *Authority) Countersigned(cross CrossCert) bool {
	return cross.cert != nil && cross.issuer == a.federation.fingerprint()
}

// VerifyPeer judges the TLS certificate of a peer's node: federation root,
// cross, leaf. It returns the peer's domain. The caller picks the one cross by
// LinkIssuer; certificates that a peer sends along are never looked at. An
// error about time is ErrTime.
func (a *Authority) VerifyPeer(cross CrossCert, leaf *x509.Certificate, now time.Time) (Domain, error) {
	domain, err := checkLink(leaf)
	if err == nil {
		err = a.verifyAcross(cross, domain, leaf, x509.ExtKeyUsageServerAuth, now)
	}
	if err != nil {
		return Domain{}, fmt.Errorf("pki: link certificate of a peer: %w", err)
	}
	return domain, nil
}

// VerifyPeerUser judges the certificate of a peer's user: federation root,
// cross, user. So her home need not be reachable. An error about time is
// ErrTime.
func (a *Authority) VerifyPeerUser(cross CrossCert, der []byte, now time.Time) (UserCert, error) {
	user, err := parseUserCert(der)
	if err == nil {
		err = a.verifyAcross(cross, user.name.domain, user.cert, x509.ExtKeyUsageClientAuth, now)
	}
	if err != nil {
		return UserCert{}, fmt.Errorf("pki: user certificate of a peer: %w", err)
	}
	return user, nil
}

// verifyAcross builds the chain federation root, cross, leaf, and no other.
func (a *Authority) verifyAcross(cross CrossCert, named Domain, leaf *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	if cross.cert == nil {
		return errors.New("no cross-certificate was made for its authority")
	}
	if err := mayName(cross.domain, named); err != nil {
		return err
	}
	if !bytes.Equal(leaf.AuthorityKeyId, cross.cert.SubjectKeyId) {
		return errOtherKey
	}
	if !a.Countersigned(cross) {
		return errors.New("its cross-certificate is not by this federation root")
	}
	if err := checkTime(leaf, now); err != nil {
		return err
	}
	if err := checkTime(cross.cert, now); err != nil {
		return fmt.Errorf("its cross-certificate: %w", err)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         a.federationPool(cross),
		Intermediates: poolOf(cross.cert),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}

// federationPool holds the federation root, for chains through cross only.
func (a *Authority) federationPool(cross CrossCert) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCertWithConstraint(a.root, func(chain []*x509.Certificate) error {
		// Go 1.26 calls with the chain below the root, and documents the whole.
		if len(chain) == 3 && chain[2].Equal(a.root) {
			chain = chain[:2]
		}
		if len(chain) != 2 || !chain[1].Equal(cross.cert) {
			return errors.New("the federation root vouches through its cross-certificate only")
		}
		return nil
	})
	return roots
}

func poolOf(cert *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
