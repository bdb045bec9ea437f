package pki

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
)

// SeedSize is the length of the seed of every private key here, in bytes.
const SeedSize = ed25519.SeedSize

// redacted hides the type that embeds it from fmt, encoding/json and log/slog:
// whatever the verb or the format, they write "secret".
type redacted struct{}

// Format implements fmt.Formatter for all verbs.
func (redacted) Format(s fmt.State, _ rune) { io.WriteString(s, "secret") }

// String returns "secret".
func (redacted) String() string { return "secret" }

// MarshalText implements encoding.TextMarshaler by "secret".
func (redacted) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// An IdentityKey is a user's own Ed25519 key. Pins are on it, so it outlives
// every home. It signs requests, cards and logins.
//
// The fields of the key types bear different names so that Go converts none of
// them into another.
type IdentityKey struct {
	redacted
	_        [0]func() // incomparable: == takes a time that depends on the secret
	identity ed25519.PrivateKey
}

// NewIdentityKey makes a key of the next 32 bytes of rand.
func NewIdentityKey(rand io.Reader) (IdentityKey, error) {
	private, err := newPrivate(rand)
	return IdentityKey{identity: private}, err
}

// ParseIdentityKey takes the 32 bytes that Seed returned.
func ParseIdentityKey(seed []byte) (IdentityKey, error) {
	private, err := parsePrivate(seed)
	return IdentityKey{identity: private}, err
}

// Seed returns the 32 secret bytes to store, sealed.
func (k IdentityKey) Seed() []byte { return k.identity.Seed() }

// Public returns the public half.
func (k IdentityKey) Public() IdentityPublic {
	return IdentityPublic{identity: publicPoint(k.identity)}
}

// Fingerprint returns the fingerprint of the public half.
func (k IdentityKey) Fingerprint() Fingerprint { return k.Public().Fingerprint() }

// Sign signs a statement: 64 bytes over "p3do ", the label, a zero byte and
// the message (RFC 8032, section 5.1.6). A label that is not valid gets nil,
// which verifies nowhere.
func (k IdentityKey) Sign(label Label, message []byte) []byte {
	return signStatement(k.identity, label, message)
}

// A LinkKey is the Ed25519 key that a node proves in TLS.
type LinkKey struct {
	redacted
	_    [0]func()
	link ed25519.PrivateKey
}

// NewLinkKey makes a key of the next 32 bytes of rand.
func NewLinkKey(rand io.Reader) (LinkKey, error) {
	private, err := newPrivate(rand)
	return LinkKey{link: private}, err
}

// ParseLinkKey takes the 32 bytes that Seed returned.
func ParseLinkKey(seed []byte) (LinkKey, error) {
	private, err := parsePrivate(seed)
	return LinkKey{link: private}, err
}

// Seed returns the 32 secret bytes to store in a file of mode 0600.
func (k LinkKey) Seed() []byte { return k.link.Seed() }

// Public returns the public half, for Authority.SignLink.
func (k LinkKey) Public() LinkPublic { return LinkPublic{link: publicPoint(k.link)} }

// Signer returns the key as crypto/tls wants it in tls.Certificate.PrivateKey.
func (k LinkKey) Signer() crypto.Signer { return linkSigner{key: k} }

// linkSigner lets TLS sign with a LinkKey, and see no more of it.
type linkSigner struct {
	redacted
	key LinkKey
}

func (s linkSigner) Public() crypto.PublicKey { return s.key.link.Public() }

func (s linkSigner) Sign(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.key.link.Sign(rand, message, opts)
}

// A domainKey is the key of a domain's certificate authority. Only an
// Authority holds one; before it is in office it is a Successor.
type domainKey struct {
	redacted
	_      [0]func()
	domain ed25519.PrivateKey
}

func (k domainKey) public() DomainPublic { return DomainPublic{domain: publicPoint(k.domain)} }

// A federationKey is the key of a domain's private federation root. It signs
// cross-certificates and nothing else, statements neither.
type federationKey struct {
	redacted
	_          [0]func()
	federation ed25519.PrivateKey
}

func (k federationKey) fingerprint() Fingerprint { return fingerprintOf(publicPoint(k.federation)) }

// An IdentityPublic is the public half of an IdentityKey: 32 bytes, comparable.
type IdentityPublic struct{ identity point }

// ParseIdentityPublic takes 32 bytes. Points of small order are refused.
func ParseIdentityPublic(b []byte) (IdentityPublic, error) {
	p, err := parsePoint(b)
	return IdentityPublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p IdentityPublic) Bytes() []byte { return p.identity[:] }

// Fingerprint returns the fingerprint that contacts pin.
func (p IdentityPublic) Fingerprint() Fingerprint { return fingerprintOf(p.identity) }

// Verify reports whether signature is that of IdentityKey.Sign for the same
// label and message.
func (p IdentityPublic) Verify(label Label, message, signature []byte) bool {
	return verifyStatement(p.identity, label, message, signature)
}

// A DomainPublic is the public key of a domain's certificate authority: 32
// bytes, comparable.
type DomainPublic struct{ domain point }

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p DomainPublic) Bytes() []byte { return p.domain[:] }

// Fingerprint returns the fingerprint that DNS carries and peers pin.
func (p DomainPublic) Fingerprint() Fingerprint { return fingerprintOf(p.domain) }

// Verify reports whether signature is that of Authority.Sign for the same
// label and message.
func (p DomainPublic) Verify(label Label, message, signature []byte) bool {
	return verifyStatement(p.domain, label, message, signature)
}

// A LinkPublic is the public half of a LinkKey: 32 bytes, comparable.
type LinkPublic struct{ link point }

// ParseLinkPublic takes 32 bytes. Points of small order are refused.
func ParseLinkPublic(b []byte) (LinkPublic, error) {
	p, err := parsePoint(b)
	return LinkPublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p LinkPublic) Bytes() []byte { return p.link[:] }

// Fingerprint returns the fingerprint of the key.
func (p LinkPublic) Fingerprint() Fingerprint { return fingerprintOf(p.link) }

// newPrivate reads the seed itself: ed25519.GenerateKey may ignore its reader.
func newPrivate(rand io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("pki: reading randomness for a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func parsePrivate(seed []byte) (ed25519.PrivateKey, error) {
	if len(seed) != SeedSize {
		return nil, fmt.Errorf("pki: a private key is a seed of 32 bytes, not of %d", len(seed))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// publicPoint of the zero key is the zero point, which verifies nothing.
func publicPoint(private ed25519.PrivateKey) point {
	if len(private) != ed25519.PrivateKeySize {
		return point{}
	}
	return point(private[SeedSize:])
}
