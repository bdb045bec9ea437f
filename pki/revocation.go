package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// MaxRevocationSize is the greatest length of a revocation in bytes. That of
// ann@a.test has about 550.
const MaxRevocationSize = 4096

const revocationVersion = 1

// A Scope says what a revocation ends.
type Scope uint8

// The scopes, as they are written.
const (
	// KeyRevoked ends an identity key, under every name and for good.
	KeyRevoked Scope = 1
	// NameRevoked ends a name for one identity key. The key lives on, and so do
	// its pins; the name may be given to another key.
	NameRevoked Scope = 2
)

// By says which key signed a revocation or a succession.
type By uint8

// The signers, as they are written.
const (
	ByIdentity  By = 1 // a key revocation: the identity key itself
	ByRevoker   By = 2 // a key revocation: the revocation key that it was bound to
	ByAuthority By = 3 // a name revocation: the key of the domain's authority
	ByRoot      By = 4 // a name revocation, or a succession of the authority: the offline root
	ByOld       By = 5 // a succession: the key that hands over
	ByCommitted By = 6 // a succession: the new key, which the old one had committed to
)

// A Revocation ends a key or a name, for good: there is no way back from it.
// All signatures in it are good; whether its certificate and its signer are the
// domain's, Check tells.
type Revocation struct {
	Scope  Scope
	By     By
	Issued time.Time // whole seconds, UTC

	cert    UserCert // names the name, the identity key and the issuer
	signer  point
	binding []byte // only ByRevoker
	raw     []byte
}

// RevokeKey ends the identity key itself. The certificate, DER, is any that it
// ever had, expired ones too.
func (k IdentityKey) RevokeKey(certificate []byte, now time.Time) (Revocation, error) {
	return revoke(k.identity, certificate, Revocation{Scope: KeyRevoked, By: ByIdentity, Issued: now})
}

// RevokeKey ends the identity key that made binding (IdentityKey.BindRevoker).
// The certificate, DER, is any that the identity key ever had.
func (k RevocationKey) RevokeKey(certificate, binding []byte, now time.Time) (Revocation, error) {
	return revoke(k.revoker, certificate, Revocation{Scope: KeyRevoked, By: ByRevoker, Issued: now, binding: bytes.Clone(binding)})
}

// RevokeName ends the name of a certificate for its key. It refuses names of
// other domains.
func (a *Authority) RevokeName(certificate []byte, now time.Time) (Revocation, error) {
	r, err := revoke(a.domain.domain, certificate, Revocation{Scope: NameRevoked, By: ByAuthority, Issued: now})
	if err == nil {
		err = mayName(a.Domain(), r.cert.name.domain)
	}
	if err != nil {
		return Revocation{}, err
	}
	return r, nil
}

// RevokeName ends the name of a certificate for its key. Whether the name is
// of the root's own domain is for those to judge who know that domain.
func (r OfflineRoot) RevokeName(certificate []byte, now time.Time) (Revocation, error) {
	return revoke(r.offline, certificate, Revocation{Scope: NameRevoked, By: ByRoot, Issued: now})
}

func revoke(key ed25519.PrivateKey, certificate []byte, r Revocation) (Revocation, error) {
	cert, err := parseUserCert(certificate)
	if err != nil {
		return Revocation{}, fmt.Errorf("pki: revoking: user certificate: %w", err)
	}
	if len(key) != ed25519.PrivateKeySize {
		return Revocation{}, errors.New("pki: revoking: a key is needed")
	}
	r.cert, r.signer, r.Issued = cert, publicPoint(key), seconds(r.Issued)
	if err := r.check(); err != nil {
		return Revocation{}, fmt.Errorf("pki: revoking: %w", err)
	}
	r.raw = sealStatement(key, LabelRevocation, r.body())
	if len(r.raw) > MaxRevocationSize {
		return Revocation{}, fmt.Errorf("pki: revoking: longer than %d bytes", MaxRevocationSize)
	}
	return r, nil
}

// ParseRevocation reads a revocation of at most MaxRevocationSize bytes, and
// verifies every signature by a key in it: by its signer, and of the identity
// key under a revocation key. Who signed the certificate, and whether an
// authority or a root is the domain's, it cannot know: see Check.
func ParseRevocation(raw []byte) (Revocation, error) {
	r, err := parseRevocation(raw)
	if err != nil {
		return Revocation{}, fmt.Errorf("pki: revocation: %w", err)
	}
	return r, nil
}

func parseRevocation(raw []byte) (Revocation, error) {
	body, signature, err := splitStatement(raw, MaxRevocationSize)
	if err != nil {
		return Revocation{}, err
	}
	var r Revocation
	if err := r.read(body); err != nil {
		return Revocation{}, err
	}
	if err := r.check(); err != nil {
		return Revocation{}, err
	}
	if !verifyStatement(r.signer, LabelRevocation, body, signature) {
		return Revocation{}, errSignature
	}
	r.raw = bytes.Clone(raw)
	return r, nil
}

// check holds the rules that the layout alone does not.
func (r Revocation) check() error {
	own := r.signer == r.cert.key.identity
	switch {
	case r.Issued.Unix() < 0 || r.Issued.Unix() > lastSecond:
		return errors.New("its time is not between 1970 and 9999")
	case r.Scope == KeyRevoked && r.By == ByIdentity:
		if !own {
			return errors.New("it is signed by another identity key")
		}
	case r.Scope == KeyRevoked && r.By == ByRevoker:
		if !r.cert.key.VerifyRevoker(RevocationPublic{r.signer}, r.binding) {
			return errors.New("the identity key has not bound this revocation key")
		}
	case r.Scope == NameRevoked && (r.By == ByAuthority || r.By == ByRoot):
		if own {
			return errors.New("an identity key signs it for an authority")
		}
	default:
		return errors.New("its signer may not revoke that")
	}
	return nil
}

// Check returns nil if the revocation holds: its certificate is signed by the
// domain's authority or one before it, at whatever time, and what ends a name is
// signed by one of these whose word still counts, or by its offline root.
func (r Revocation) Check(k Known) error {
	if err := r.checkBy(k); err != nil {
		return fmt.Errorf("pki: revocation of %s: %w", r.Name(), err)
	}
	return nil
}

func (r Revocation) checkBy(k Known) error {
	if err := r.cert.checkSigned(k.authorities()); err != nil {
		return err
	}
	signer := fingerprintOf(r.signer)
	switch r.By {
	case ByAuthority:
		if !slices.ContainsFunc(k.issuers(), func(ca CACert) bool { return ca.domain == r.Domain() && ca.Fingerprint() == signer }) {
			return errors.New("it is signed by a key that is not its authority's")
		}
	case ByRoot:
		if signer != k.Root && !slices.Contains(k.FormerRoots, signer) {
			return errors.New("it is signed by a key that is not its offline root")
		}
	}
	return nil
}

// checkSigned looks at no clock: an expired certificate, of an expired authority too, says well
// enough who is meant.
func (c UserCert) checkSigned(by []CACert) error {
	for _, ca := range by {
		if ca.cert == nil || ca.Fingerprint() != c.issuer {
			continue
		}
		if err := mayName(ca.domain, c.name.domain); err != nil {
			return err
		}
		return c.cert.CheckSignatureFrom(ca.cert)
	}
	return errOtherKey
}

// Name returns the name in its certificate: the one that is ended, if that is
// its scope.
func (r Revocation) Name() Name { return r.cert.name }

// Domain returns the domain of the name.
func (r Revocation) Domain() Domain { return r.cert.name.domain }

// Key returns the identity key in its certificate.
func (r Revocation) Key() IdentityPublic { return r.cert.key }

// Issuer returns the fingerprint of the authority that the certificate claims
// to be signed by.
func (r Revocation) Issuer() Fingerprint { return r.cert.issuer }

// Signer returns the fingerprint of the key that signed the revocation.
func (r Revocation) Signer() Fingerprint { return fingerprintOf(r.signer) }

// Ends identifies what is ended: the key, or the name for the key. Of two
// revocations that end the same, one says all that the other does: a store
// keeps the first, or whoever may sign one could fill it.
func (r Revocation) Ends() [sha256.Size]byte {
	what := append([]byte{byte(r.Scope)}, r.cert.key.Bytes()...)
	if r.Scope == NameRevoked {
		what = append(what, r.cert.name.String()...)
	}
	return sha256.Sum256(what)
}

// Raw returns the bytes that ParseRevocation reads.
func (r Revocation) Raw() []byte { return bytes.Clone(r.raw) }

// Statement returns the revocation as it travels.
func (r Revocation) Statement() Statement { return Statement{Kind: StatementRevocation, Raw: r.Raw()} }

// Revokes reports whether a certificate is of no use any more by it.
func (r Revocation) Revokes(cert UserCert) bool {
	return cert.key == r.cert.key && (r.Scope == KeyRevoked || cert.name == r.cert.name)
}

// body writes what is signed.
//
//	1     version, 1
//	1     scope: 1 key, 2 name
//	1     by: 1 identity, 2 revocation key, 3 authority, 4 offline root
//	8     issued, seconds since 1970
//	2+n   certificate of the user, DER
//	32    public key of the signer
//	64    only by a revocation key: its binding, with the label "revocation key v1"
//
// The signature follows, 64 bytes, with the label "revocation v1".
func (r Revocation) body() []byte {
	var b cryptobyte.Builder
	b.AddUint8(revocationVersion)
	b.AddUint8(uint8(r.Scope))
	b.AddUint8(uint8(r.By))
	addTime(&b, r.Issued)
	addBytes16(&b, r.cert.DER())
	b.AddBytes(r.signer[:])
	b.AddBytes(r.binding)
	return b.BytesOrPanic()
}

// read takes the fields that body wrote.
func (r *Revocation) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var der, signer []byte
	if !input.ReadUint8(&version) || version != revocationVersion ||
		!input.ReadUint8((*uint8)(&r.Scope)) || !input.ReadUint8((*uint8)(&r.By)) ||
		!readTime(&input, &r.Issued) || !readBytes16(&input, &der) || !input.ReadBytes(&signer, len(point{})) {
		return errMalformed
	}
	if r.By == ByRevoker {
		r.binding = make([]byte, SignatureSize)
		if !input.CopyBytes(r.binding) {
			return errMalformed
		}
	}
	if !input.Empty() {
		return errMalformed
	}
	var err error
	if r.cert, err = parseUserCert(der); err != nil {
		return err
	}
	r.signer, err = parsePoint(signer)
	return err
}
