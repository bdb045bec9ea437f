package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// An Authority is a domain's own certificate authority: the domain key with
// its exported certificate, which signs users, links and statements of the
// domain, and the private federation root, which signs cross-certificates over
// the keys of peers. It is secret, and its methods may be called concurrently.
type Authority struct {
	redacted
	domain     domainKey
	federation federationKey
	ca         CACert
	root       *x509.Certificate // of the federation root; never leaves Marshal
	next       Fingerprint       // of the key that is to follow the domain key; zero: none
	offline    Fingerprint       // of the offline root; zero: none
}

// NewAuthority makes both keys and certificates from 96 bytes of rand, valid
// for CALifetime.
func NewAuthority(rand io.Reader, domain Domain, now time.Time) (*Authority, error) {
	if domain.IsZero() {
		return nil, errors.New("pki: an authority is for a domain")
	}
	own, err := newPrivate(rand)
	if err != nil {
		return nil, err
	}
	federation, err := newPrivate(rand)
	if err != nil {
		return nil, err
	}
	a := &Authority{domain: domainKey{domain: own}, federation: federationKey{federation: federation}}
	if err := a.certify(rand, domain, now); err != nil {
		return nil, err
	}
	return a, nil
}

// certify makes the two self-signed certificates.
func (a *Authority) certify(rand io.Reader, domain Domain, now time.Time) error {
	public := a.domain.public()
	own, err := issue(rand, now, a.domain.domain, order{
		subject:    authoritySubject(domain, roleDomain),
		key:        public.domain,
		notAfter:   now.Add(CALifetime),
		extensions: caProfile(domain, public.Fingerprint(), public.Fingerprint()),
	})
	if err != nil {
		return err
	}
	a.ca = CACert{cert: own, domain: domain, key: public}
	a.root, err = issue(rand, now, a.federation.federation, order{
		subject:    authoritySubject(domain, roleFederation),
		key:        publicPoint(a.federation.federation),
		notAfter:   now.Add(CALifetime),
		extensions: rootProfile(a.federation.fingerprint()),
	})
	return err
}

// Commit returns the same authority with the fingerprints of the key that is
// to follow its own and of the offline root, which every descriptor that it
// signs will state; zero: none. Those two keys are not kept where this one is.
func (a *Authority) Commit(next, root Fingerprint) (*Authority, error) {
	if err := checkCommitment(a.ca.Fingerprint(), next, root); err != nil {
		return nil, fmt.Errorf("pki: committing: %w", err)
	}
	committed := *a
	committed.next, committed.offline = next, root
	return &committed, nil
}

// Commitment returns what the authority has committed itself to.
func (a *Authority) Commitment() Commitment {
	return Commitment{Domain: a.Domain(), Key: a.ca.Fingerprint(), Next: a.next, Root: a.offline}
}

// authorityVersion is the first byte of Marshal.
const authorityVersion = 2

// Marshal returns everything, secret keys included, for a file of mode 0600.
//
//	1   version, 2
//	32  seed of the domain key
//	32  seed of the federation key
//	2+n certificate of the domain authority, DER
//	2+n certificate of the federation root, DER
//	32  fingerprint of the next domain key, or zeros
//	32  fingerprint of the offline root, or zeros
func (a *Authority) Marshal() []byte {
	var b cryptobyte.Builder
	b.AddUint8(authorityVersion)
	b.AddBytes(a.domain.domain.Seed())
	b.AddBytes(a.federation.federation.Seed())
	addBytes16(&b, a.ca.cert.Raw)
	addBytes16(&b, a.root.Raw)
	b.AddBytes(a.next[:])
	b.AddBytes(a.offline[:])
	return b.BytesOrPanic()
}

// ErrEarlier says that a file was written by an earlier version of this package, whose files are
// not read any more.
var ErrEarlier = errors.New("pki: of an earlier version")

// ParseAuthority reads what Marshal wrote. The certificates must be those of
// the two keys. No error quotes the input.
func ParseAuthority(secret []byte) (*Authority, error) {
	malformed := errors.New("pki: authority: not what Marshal writes")
	input := cryptobyte.String(secret)
	var version uint8
	var own, federation, ca, root []byte
	var next, offline Fingerprint
	if len(secret) > 0 && secret[0] > 0 && secret[0] < authorityVersion {
		return nil, ErrEarlier
	}
	if !input.ReadUint8(&version) || version != authorityVersion ||
		!input.ReadBytes(&own, SeedSize) || !input.ReadBytes(&federation, SeedSize) ||
		!readBytes16(&input, &ca) || !readBytes16(&input, &root) ||
		!input.CopyBytes(next[:]) || !input.CopyBytes(offline[:]) || !input.Empty() {
		return nil, malformed
	}
	ownKey, err := parsePrivate(own)
	if err != nil {
		return nil, malformed
	}
	federationPrivate, err := parsePrivate(federation)
	if err != nil {
		return nil, malformed
	}
	a := &Authority{domain: domainKey{domain: ownKey}, federation: federationKey{federation: federationPrivate}}
	if err := a.adopt(ca, root); err != nil {
		return nil, fmt.Errorf("pki: authority: %w", err)
	}
	if err := checkCommitment(a.ca.Fingerprint(), next, offline); err != nil {
		return nil, fmt.Errorf("pki: authority: %w", err)
	}
	a.next, a.offline = next, offline
	return a, nil
}

// adopt takes the two certificates if they belong to the keys.
func (a *Authority) adopt(ca, root []byte) error {
	own, err := ParseCACert(ca)
	if err != nil {
		return err
	}
	if own.key != a.domain.public() {
		return errors.New("the certificate is not of the domain key")
	}
	cert, key, err := parseCertificate(root)
	if err != nil {
		return err
	}
	if key != publicPoint(a.federation.federation) {
		return errors.New("the federation root is not of the federation key")
	}
	name := authoritySubject(own.domain, roleFederation)
	if err := checkProfile(cert, name, name, rootProfile(fingerprintOf(key))); err != nil {
		return err
	}
	a.ca, a.root = own, cert
	return cert.CheckSignatureFrom(cert)
}

// Domain returns the domain that the authority signs for.
func (a *Authority) Domain() Domain { return a.ca.domain }

// CA returns the exported certificate.
func (a *Authority) CA() CACert { return a.ca }

// Sign signs a statement of the domain, as IdentityKey.Sign does.
// DomainPublic.Verify is its other half.
func (a *Authority) Sign(label Label, message []byte) []byte {
	return signStatement(a.domain.domain, label, message)
}

// SignUser certifies the key of a request under its name, from ClockSkew
// before now until lifetime after it (at most MaxLifetime, and not longer than
// the authority itself). It refuses names of other domains. Whether the name
// is this key's to have is for the caller to know.
func (a *Authority) SignUser(rand io.Reader, now time.Time, request UserRequest, lifetime time.Duration) (UserCert, error) {
	if err := mayName(a.Domain(), request.name.domain); err != nil {
		return UserCert{}, fmt.Errorf("pki: signing a user: %w", err)
	}
	profile := userProfile(request.name, a.ca.Fingerprint())
	cert, err := a.signLeaf(rand, now, lifetime, order{subject: emptySubject(), key: request.key.identity, extensions: profile})
	if err != nil {
		return UserCert{}, err
	}
	return UserCert{cert: cert, name: request.name, key: request.key, issuer: a.ca.Fingerprint()}, nil
}

// SignLink certifies the TLS key of a node of the domain, from ClockSkew
// before now until lifetime after it (at most MaxLifetime, and not longer than
// the authority itself).
func (a *Authority) SignLink(rand io.Reader, now time.Time, key LinkPublic, lifetime time.Duration) (LinkCert, error) {
	profile := linkProfile(a.Domain(), a.ca.Fingerprint())
	cert, err := a.signLeaf(rand, now, lifetime, order{subject: emptySubject(), key: key.link, extensions: profile})
	if err != nil {
		return LinkCert{}, err
	}
	return LinkCert{cert: cert, domain: a.Domain()}, nil
}

func (a *Authority) signLeaf(rand io.Reader, now time.Time, lifetime time.Duration, o order) (*x509.Certificate, error) {
	if lifetime < time.Second || lifetime > MaxLifetime {
		return nil, fmt.Errorf("pki: a lifetime is from 1s to %s, not %s", MaxLifetime, lifetime)
	}
	o.parent, o.notAfter = a.ca.cert, now.Add(lifetime)
	return issue(rand, now, a.domain.domain, o)
}
