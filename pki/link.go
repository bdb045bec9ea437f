package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// LinkLifetime is how long a node's TLS certificate is valid by default.
const LinkLifetime = 90 * 24 * time.Hour

// A LinkCert is the TLS certificate of a node: empty subject, the domain as
// its one dNSName, for servers and clients, as every link has both.
type LinkCert struct {
	cert   *x509.Certificate
	domain Domain
}

// Domain returns the domain that the certificate is for.
func (c LinkCert) Domain() Domain { return c.domain }

// DER returns the certificate, to be the only one in tls.Certificate; nil for
// the zero LinkCert.
func (c LinkCert) DER() []byte {
	if c.cert == nil {
		return nil
	}
	return bytes.Clone(c.cert.Raw)
}

// NotAfter returns the last second of its validity, in UTC.
func (c LinkCert) NotAfter() time.Time {
	if c.cert == nil {
		return time.Time{}
	}
	return c.cert.NotAfter
}

// LinkIssuer returns which domain a node claims in TLS, and which authority
// key it claims to be certified by: what to look up the one cross-certificate
// by. Nothing is verified yet; Authority.VerifyPeer does that.
func LinkIssuer(leaf *x509.Certificate) (Domain, Fingerprint, error) {
	domain, err := checkLink(leaf)
	if err != nil {
		return Domain{}, Fingerprint{}, fmt.Errorf("pki: link certificate: %w", err)
	}
	issuer, err := issuerKey(leaf)
	return domain, issuer, err
}

// checkLink checks the shape only: who signed it is for the caller.
func checkLink(leaf *x509.Certificate) (Domain, error) {
	if leaf == nil {
		return Domain{}, errors.New("there is none")
	}
	if _, err := certificateKey(leaf); err != nil {
		return Domain{}, err
	}
	text, err := onlyName(leaf.Extensions, tagDNS)
	if err != nil {
		return Domain{}, err
	}
	domain, err := ParseDomain(text)
	if err != nil {
		return Domain{}, err
	}
	issuer, err := issuerKey(leaf)
	if err != nil {
		return Domain{}, err
	}
	authority := authoritySubject(domain, roleDomain)
	if !bytes.Equal(leaf.RawIssuer, authority) {
		return Domain{}, otherIssuer(leaf, domain)
	}
	return domain, checkProfile(leaf, emptySubject(), authority, linkProfile(domain, issuer))
}
