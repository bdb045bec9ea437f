package pki

import (
	"crypto/ed25519"
	"io"
)

// A RevocationKey ends an identity key that is lost or stolen. A user makes it
// together with that, binds the two (IdentityKey.BindRevoker), and keeps it
// elsewhere. It signs nothing but that one kind of revocation.
type RevocationKey struct {
	redacted
	_       [0]func()
	revoker ed25519.PrivateKey
}

// NewRevocationKey makes a key of the next 32 bytes of rand.
func NewRevocationKey(rand io.Reader) (RevocationKey, error) {
	private, err := newPrivate(rand)
	return RevocationKey{revoker: private}, err
}

// ParseRevocationKey takes the 32 bytes that Seed returned.
func ParseRevocationKey(seed []byte) (RevocationKey, error) {
	private, err := parsePrivate(seed)
	return RevocationKey{revoker: private}, err
}

// Seed returns the 32 secret bytes to store, sealed or on paper.
func (k RevocationKey) Seed() []byte { return k.revoker.Seed() }

// Public returns the public half.
func (k RevocationKey) Public() RevocationPublic {
	return RevocationPublic{revoker: publicPoint(k.revoker)}
}

// A RevocationPublic is the public half of a RevocationKey: 32 bytes, comparable.
type RevocationPublic struct{ revoker point }

// ParseRevocationPublic takes 32 bytes. Points of small order are refused.
func ParseRevocationPublic(b []byte) (RevocationPublic, error) {
	p, err := parsePoint(b)
	return RevocationPublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p RevocationPublic) Bytes() []byte { return p.revoker[:] }

// Fingerprint returns the fingerprint of the key.
func (p RevocationPublic) Fingerprint() Fingerprint { return fingerprintOf(p.revoker) }

// BindRevoker says by the identity key that the revocation key may end it: 64
// bytes, to be kept with that. They tell nothing to whoever finds them.
func (k IdentityKey) BindRevoker(p RevocationPublic) []byte {
	return k.Sign(LabelRevoker, p.Bytes())
}

// VerifyRevoker reports whether binding is that of BindRevoker.
func (p IdentityPublic) VerifyRevoker(revoker RevocationPublic, binding []byte) bool {
	return revoker.revoker != p.identity && p.Verify(LabelRevoker, revoker.Bytes(), binding)
}
