package pki

import (
	"crypto/ed25519"
	"io"
	"time"
)

// An OfflineRoot is the key of a domain that its operator takes away: it names
// another key when that of the authority is lost or stolen, and ends names. It
// signs successions and name revocations, nothing else, and no certificate.
type OfflineRoot struct {
	redacted
	_       [0]func()
	offline ed25519.PrivateKey
}

// NewOfflineRoot makes a key of the next 32 bytes of rand.
func NewOfflineRoot(rand io.Reader) (OfflineRoot, error) {
	private, err := newPrivate(rand)
	return OfflineRoot{offline: private}, err
}

// ParseOfflineRoot takes the 32 bytes that Seed returned.
func ParseOfflineRoot(seed []byte) (OfflineRoot, error) {
	private, err := parsePrivate(seed)
	return OfflineRoot{offline: private}, err
}

// Seed returns the 32 secret bytes to store, sealed, away from the node.
func (r OfflineRoot) Seed() []byte { return r.offline.Seed() }

// Public returns the public half.
func (r OfflineRoot) Public() RootPublic { return RootPublic{offline: publicPoint(r.offline)} }

// Fingerprint returns the fingerprint that descriptors state.
func (r OfflineRoot) Fingerprint() Fingerprint { return r.Public().Fingerprint() }

// Succeed hands over to another offline root. The domain's descriptors are to
// state the new one from now on.
func (r OfflineRoot) Succeed(domain Domain, next OfflineRoot, now time.Time) (SignedSuccession, error) {
	s := Succession{
		Office: OfficeRoot, Domain: domain, Old: r.Fingerprint(), Issued: now,
		By: ByOld, Root: next.Public(), signer: publicPoint(r.offline),
	}
	return s.sign(next.offline, r.offline)
}

// A RootPublic is the public half of an OfflineRoot: 32 bytes, comparable.
type RootPublic struct{ offline point }

// ParseRootPublic takes 32 bytes. Points of small order are refused.
func ParseRootPublic(b []byte) (RootPublic, error) {
	p, err := parsePoint(b)
	return RootPublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p RootPublic) Bytes() []byte { return p.offline[:] }

// Fingerprint returns the fingerprint that descriptors state.
func (p RootPublic) Fingerprint() Fingerprint { return fingerprintOf(p.offline) }
