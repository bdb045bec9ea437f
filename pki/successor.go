package pki

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Successor is the key of a domain's next authority, made in advance. Its
// fingerprint is stated now (Authority.Commit); the key itself its operator
// keeps elsewhere, so that whoever steals the key in use cannot name another.
type Successor struct {
	redacted
	_         [0]func()
	successor ed25519.PrivateKey
}

// NewSuccessor makes a key of the next 32 bytes of rand.
func NewSuccessor(rand io.Reader) (Successor, error) {
	private, err := newPrivate(rand)
	return Successor{successor: private}, err
}

// ParseSuccessor takes the 32 bytes that Seed returned.
func ParseSuccessor(seed []byte) (Successor, error) {
	private, err := parsePrivate(seed)
	return Successor{successor: private}, err
}

// Seed returns the 32 secret bytes to store, sealed, away from the node.
func (s Successor) Seed() []byte { return s.successor.Seed() }

// Fingerprint returns the fingerprint to commit to.
func (s Successor) Fingerprint() Fingerprint { return fingerprintOf(publicPoint(s.successor)) }

// Succeed makes the authority that follows old, signed for by old's key. It
// keeps the federation key, and so its countersignatures of others, and the
// offline root, and commits itself to next in turn (zero: to none). Randomness
// is for the serial number of the new certificate. Others believe it if
// old had committed to this key, or to none.
func (s Successor) Succeed(rand io.Reader, now time.Time, old *Authority, next Fingerprint) (*Authority, SignedSuccession, error) {
	return s.take(rand, now, claim{
		by: ByOld, signer: old.domain.domain, was: old.Commitment(), next: next, federation: old.federation.federation,
	})
}

// SucceedAlone makes the authority that follows one whose key is gone: the new
// key alone signs, and others believe it if was.Key had committed to it. With
// the old key the federation key is gone too: a new one is made, and peers must
// be countersigned again.
func (s Successor) SucceedAlone(rand io.Reader, now time.Time, was Commitment, next Fingerprint) (*Authority, SignedSuccession, error) {
	return s.take(rand, now, claim{by: ByCommitted, signer: s.successor, was: was, next: next})
}

// SucceedByRoot makes the authority that follows one whose key is lost or
// stolen, as the offline root wills: others believe it if the root is that
// of was, whatever the old key had committed to. A new federation key is made.
func (s Successor) SucceedByRoot(rand io.Reader, now time.Time, was Commitment, next Fingerprint, root OfflineRoot) (*Authority, SignedSuccession, error) {
	was.Root = root.Fingerprint()
	return s.take(rand, now, claim{by: ByRoot, signer: root.offline, was: was, next: next})
}

// A claim is by which right a Successor follows.
type claim struct {
	by         By
	signer     ed25519.PrivateKey
	was        Commitment         // of the authority that is followed
	next       Fingerprint        // to commit to
	federation ed25519.PrivateKey // to keep; nil: a new one
}

func (s Successor) take(rand io.Reader, now time.Time, c claim) (*Authority, SignedSuccession, error) {
	fail := func(err error) (*Authority, SignedSuccession, error) {
		return nil, SignedSuccession{}, fmt.Errorf("pki: succeeding: %w", err)
	}
	if len(s.successor) == 0 || len(c.signer) == 0 || c.was.Domain.IsZero() {
		return fail(errors.New("a domain and two keys are needed"))
	}
	if c.federation == nil {
		var err error
		if c.federation, err = newPrivate(rand); err != nil {
			return fail(err)
		}
	}
	fresh := &Authority{domain: domainKey{domain: s.successor}, federation: federationKey{federation: c.federation}}
	if err := fresh.certify(rand, c.was.Domain, now); err != nil {
		return fail(err)
	}
	fresh, err := fresh.Commit(c.next, c.was.Root)
	if err != nil {
		return fail(err)
	}
	signed, err := Succession{
		Office: OfficeCA, By: c.by, Domain: c.was.Domain, Issued: now, Old: c.was.Key,
		CA: fresh.ca, Next: c.next, signer: publicPoint(c.signer),
	}.sign(s.successor, c.signer)
	if err != nil {
		return fail(err)
	}
	return fresh, signed, nil
}
