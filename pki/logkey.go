package pki

import (
	"crypto"
	"crypto/ed25519"
	"io"
)

// LabelsSize is the length of a public key of vrf-r255 in bytes.
const LabelsSize = 32

// A LogKey is the Ed25519 key by which a domain signs the checkpoints of its key log. It signs
// those and nothing else: one key under two names of signed notes would let a note of the one
// pass for a note of the other.
type LogKey struct {
	redacted
	_   [0]func()
	log ed25519.PrivateKey
}

// NewLogKey makes a key of the next 32 bytes of rand.
func NewLogKey(rand io.Reader) (LogKey, error) {
	private, err := newPrivate(rand)
	return LogKey{log: private}, err
}

// ParseLogKey takes the 32 bytes that Seed returned.
func ParseLogKey(seed []byte) (LogKey, error) {
	private, err := parsePrivate(seed)
	return LogKey{log: private}, err
}

// Seed returns the 32 secret bytes to store in a file of mode 0600.
func (k LogKey) Seed() []byte { return k.log.Seed() }

// Public returns the public half, for a Descriptor.
func (k LogKey) Public() LogPublic { return LogPublic{log: publicPoint(k.log)} }

// Signer returns the key as those want it that sign notes.
func (k LogKey) Signer() crypto.Signer { return noteSigner{note: k.log} }

// A WitnessKey is the Ed25519 key by which a domain cosigns the checkpoints of others' logs. It
// signs those and nothing else, and never those of its own log.
type WitnessKey struct {
	redacted
	_       [0]func()
	witness ed25519.PrivateKey
}

// NewWitnessKey makes a key of the next 32 bytes of rand.
func NewWitnessKey(rand io.Reader) (WitnessKey, error) {
	private, err := newPrivate(rand)
	return WitnessKey{witness: private}, err
}

// ParseWitnessKey takes the 32 bytes that Seed returned.
func ParseWitnessKey(seed []byte) (WitnessKey, error) {
	private, err := parsePrivate(seed)
	return WitnessKey{witness: private}, err
}

// Seed returns the 32 secret bytes to store in a file of mode 0600.
func (k WitnessKey) Seed() []byte { return k.witness.Seed() }

// Public returns the public half, for a Descriptor.
func (k WitnessKey) Public() WitnessPublic { return WitnessPublic{witness: publicPoint(k.witness)} }

// Signer returns the key as those want it that sign notes.
func (k WitnessKey) Signer() crypto.Signer { return noteSigner{note: k.witness} }

// noteSigner lets a library sign notes with a key of a log or witness, and see no more of it.
type noteSigner struct {
	redacted
	_    [0]func()
	note ed25519.PrivateKey
}

func (s noteSigner) Public() crypto.PublicKey { return s.note.Public() }

func (s noteSigner) Sign(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.note.Sign(rand, message, opts)
}

// A LogPublic is the public half of a LogKey: 32 bytes, comparable. The zero LogPublic is that
// of a domain without a log.
type LogPublic struct{ log point }

// ParseLogPublic takes 32 bytes. Points of small order are refused.
func ParseLogPublic(b []byte) (LogPublic, error) {
	p, err := parsePoint(b)
	return LogPublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p LogPublic) Bytes() []byte { return p.log[:] }

// IsZero reports whether there is no log.
func (p LogPublic) IsZero() bool { return p == LogPublic{} }

// A WitnessPublic is the public half of a WitnessKey: 32 bytes, comparable. The zero
// WitnessPublic is that of a domain that is no witness.
type WitnessPublic struct{ witness point }

// ParseWitnessPublic takes 32 bytes. Points of small order are refused.
func ParseWitnessPublic(b []byte) (WitnessPublic, error) {
	p, err := parsePoint(b)
	return WitnessPublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p WitnessPublic) Bytes() []byte { return p.witness[:] }

// IsZero reports whether there is no witness.
func (p WitnessPublic) IsZero() bool { return p == WitnessPublic{} }
