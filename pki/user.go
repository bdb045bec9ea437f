package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// UserLifetime is how long a user's certificate is valid by default.
	UserLifetime = 30 * 24 * time.Hour

	// MaxLifetime is the longest validity that an Authority grants to a user
	// or to a link.
	MaxLifetime = 400 * 24 * time.Hour
)

// A UserRequest asks a domain's authority to certify a key under a name. It is
// a PKCS #10 request (RFC 2986) with an empty subject and one rfc822Name,
// signed by the key: a proof that whoever asks holds it.
type UserRequest struct {
	der  []byte
	name Name
	key  IdentityPublic
}

// NewUserRequest makes the request of key for name. It draws nothing from
// rand: Ed25519 signs without randomness.
func NewUserRequest(_ io.Reader, key IdentityKey, name Name) (UserRequest, error) {
	if name.IsZero() || len(key.identity) == 0 {
		return UserRequest{}, errors.New("pki: requesting a certificate: a name and a key are needed")
	}
	der := signDER(key.identity, requestInfo(name, key.Public().identity))
	return UserRequest{der: der, name: name, key: key.Public()}, nil
}

// ParseUserRequest reads a request of at most MaxCertificateSize bytes of DER.
// It verifies the proof of possession, and accepts one rfc822Name and nothing
// else that is asked for.
func ParseUserRequest(der []byte) (UserRequest, error) {
	request, err := parseUserRequest(der)
	if err != nil {
		return UserRequest{}, fmt.Errorf("pki: certificate request: %w", err)
	}
	return request, nil
}

func parseUserRequest(der []byte) (UserRequest, error) {
	if len(der) > MaxCertificateSize {
		return UserRequest{}, fmt.Errorf("longer than %d bytes", MaxCertificateSize)
	}
	var outer, info, algorithm cryptobyte.String
	var signature []byte
	input := cryptobyte.String(der)
	if !input.ReadASN1(&outer, cbasn1.SEQUENCE) || !input.Empty() ||
		!outer.ReadASN1Element(&info, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!outer.ReadASN1BitStringAsBytes(&signature) || !outer.Empty() {
		return UserRequest{}, errors.New("it is not one of PKCS #10")
	}
	name, key, err := readRequestInfo(info)
	if err != nil {
		return UserRequest{}, err
	}
	var ours cryptobyte.Builder
	addAlgorithm(&ours)
	if !bytes.Equal(algorithm, ours.BytesOrPanic()) || !ed25519.Verify(key[:], info, signature) {
		return UserRequest{}, errors.New("it has no proof of possession: its key has not signed it")
	}
	return UserRequest{der: bytes.Clone(der), name: name, key: IdentityPublic{key}}, nil
}

// readRequestInfo finds the name and the key, and then compares with what is
// written for them: so nothing else is asked for, in no other way.
func readRequestInfo(info cryptobyte.String) (Name, point, error) {
	var body, public, attributes, attribute, set, extensions, extension, value cryptobyte.String
	input := info
	if !input.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipASN1(cbasn1.INTEGER) || !body.SkipASN1(cbasn1.SEQUENCE) ||
		!body.ReadASN1Element(&public, cbasn1.SEQUENCE) ||
		!body.ReadASN1(&attributes, cbasn1.Tag(0).ContextSpecific().Constructed()) ||
		!attributes.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.SkipASN1(cbasn1.OBJECT_IDENTIFIER) ||
		!attribute.ReadASN1(&set, cbasn1.SET) || !set.ReadASN1(&extensions, cbasn1.SEQUENCE) ||
		!extensions.ReadASN1(&extension, cbasn1.SEQUENCE) || !extension.SkipASN1(cbasn1.OBJECT_IDENTIFIER) ||
		!extension.SkipASN1(cbasn1.BOOLEAN) || !extension.ReadASN1(&value, cbasn1.OCTET_STRING) {
		return Name{}, point{}, errors.New("it does not ask for a critical subjectAltName")
	}
	text, err := readOnlyName(value, tagMail)
	if err != nil {
		return Name{}, point{}, err
	}
	name, err := ParseName(text)
	if err != nil {
		return Name{}, point{}, err
	}
	key, err := parsePoint(bytes.TrimPrefix(public, []byte(spkiPrefix)))
	if err != nil {
		return Name{}, point{}, err
	}
	if !bytes.Equal(info, requestInfo(name, key)) {
		return Name{}, point{}, errors.New("it asks for something beside one name, or in another way")
	}
	return name, key, nil
}

// DER returns the request as ParseUserRequest reads it.
func (r UserRequest) DER() []byte { return bytes.Clone(r.der) }

// Name returns the name asked for.
func (r UserRequest) Name() Name { return r.name }

// Key returns the key that asks, which signed the request.
func (r UserRequest) Key() IdentityPublic { return r.key }

// A UserCert is a certificate that a domain signed for one of its names:
// empty subject, exactly one rfc822Name. Only CACert.VerifyUser,
// Authority.VerifyPeerUser and Authority.SignUser make one, so its name is its
// authority's to give.
type UserCert struct {
	cert   *x509.Certificate
	name   Name
	key    IdentityPublic
	issuer Fingerprint
}

// parseUserCert checks the shape only: who signed it is for the caller.
func parseUserCert(der []byte) (UserCert, error) {
	cert, key, err := parseCertificate(der)
	if err != nil {
		return UserCert{}, err
	}
	text, err := onlyName(cert.Extensions, tagMail)
	if err != nil {
		return UserCert{}, err
	}
	name, err := ParseName(text)
	if err != nil {
		return UserCert{}, err
	}
	issuer, err := issuerKey(cert)
	if err != nil {
		return UserCert{}, err
	}
	authority := authoritySubject(name.domain, roleDomain)
	if !bytes.Equal(cert.RawIssuer, authority) {
		return UserCert{}, otherIssuer(cert, name.domain)
	}
	if err := checkProfile(cert, emptySubject(), authority, userProfile(name, issuer)); err != nil {
		return UserCert{}, err
	}
	return UserCert{cert: cert, name: name, key: IdentityPublic{key}, issuer: issuer}, nil
}

// UserIssuer returns which name and key a user's certificate is for, and which authority
// key it claims to be certified by. Nothing is verified yet: whoever likes can make one.
func UserIssuer(der []byte) (Name, IdentityPublic, Fingerprint, error) {
	user, err := parseUserCert(der)
	if err != nil {
		return Name{}, IdentityPublic{}, Fingerprint{}, fmt.Errorf("pki: user certificate: %w", err)
	}
	return user.name, user.key, user.issuer, nil
}

// issuerKey reads the authority key identifier, which is a whole fingerprint.
func issuerKey(cert *x509.Certificate) (Fingerprint, error) {
	if len(cert.AuthorityKeyId) != FingerprintSize {
		return Fingerprint{}, errors.New("its authority key identifier is not a fingerprint")
	}
	return Fingerprint(cert.AuthorityKeyId), nil
}

// Name returns the name that the certificate is for.
func (c UserCert) Name() Name { return c.name }

// Key returns the identity key that the certificate is for.
func (c UserCert) Key() IdentityPublic { return c.key }

// Issuer returns the fingerprint of the authority's key.
func (c UserCert) Issuer() Fingerprint { return c.issuer }

// DER returns the certificate as CACert.VerifyUser reads it; nil for the zero
// UserCert.
func (c UserCert) DER() []byte {
	if c.cert == nil {
		return nil
	}
	return bytes.Clone(c.cert.Raw)
}

// NotAfter returns the last second of its validity, in UTC.
func (c UserCert) NotAfter() time.Time {
	if c.cert == nil {
		return time.Time{}
	}
	return c.cert.NotAfter
}
