package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// MaxSuccessionSize is the greatest length of a succession in bytes. That of
// a.test has about 700; the longest domain with the most labels needs 6 600.
const MaxSuccessionSize = 8192

const successionVersion = 1

// An Office is what a key is for that hands over to another.
type Office uint8

// The offices, as they are written.
const (
	OfficeCA   Office = 1 // the key of a domain's authority
	OfficeRoot Office = 2 // a domain's offline root
)

// A Succession says that one key of a domain follows another.
type Succession struct {
	Office Office
	By     By // ByOld; and for OfficeCA ByCommitted and ByRoot
	Domain Domain
	Issued time.Time   // whole seconds, UTC
	Old    Fingerprint // of the key that hands over

	CA   CACert      // the new authority; only for OfficeCA
	Next Fingerprint // of the key that may follow that one in turn; zero: not committed to one; only for OfficeCA
	Root RootPublic  // the new offline root; only for OfficeRoot

	signer point
}

// A SignedSuccession is signed by its signer and by the new key. Whether the
// signer had the right to, Commitment.Heirs tells. Its fields are to be read
// only.
type SignedSuccession struct {
	Succession
	raw []byte
}

// New returns the fingerprint of the key that follows.
func (s Succession) New() Fingerprint {
	if s.Office == OfficeRoot {
		return s.Root.Fingerprint()
	}
	return s.CA.Fingerprint()
}

// Signer returns the fingerprint of the key that signed.
func (s Succession) Signer() Fingerprint { return fingerprintOf(s.signer) }

// Says identifies what is said: which key follows which, commits to which, and
// by whom. Of two successions that say the same a store keeps the first.
func (s Succession) Says() [sha256.Size]byte {
	what := []byte{byte(s.Office), byte(s.By)}
	for _, key := range []Fingerprint{s.Old, s.New(), s.Next, s.Signer()} {
		what = append(what, key[:]...)
	}
	return sha256.Sum256(append(what, s.Domain.text...))
}

// Raw returns the bytes that ParseSuccession reads.
func (s SignedSuccession) Raw() []byte { return bytes.Clone(s.raw) }

// Statement returns the succession as it travels.
func (s SignedSuccession) Statement() Statement {
	return Statement{Kind: StatementSuccession, Raw: s.Raw()}
}

// sign appends the proof by the new key that it is held, and the signature.
func (s Succession) sign(next, signer ed25519.PrivateKey) (SignedSuccession, error) {
	s.Issued = seconds(s.Issued)
	if err := s.check(); err != nil {
		return SignedSuccession{}, fmt.Errorf("pki: signing a succession: %w", err)
	}
	raw := sealStatement(signer, LabelSuccession, sealStatement(next, LabelPossession, s.body()))
	return ParseSuccession(raw)
}

// ParseSuccession reads a succession of at most MaxSuccessionSize bytes, and
// verifies both of its signatures. It does not know whether the domain's
// pinned key is Old, had committed to the new one, or has that root.
func ParseSuccession(raw []byte) (SignedSuccession, error) {
	s, err := parseSuccession(raw)
	if err != nil {
		return SignedSuccession{}, fmt.Errorf("pki: succession: %w", err)
	}
	return SignedSuccession{Succession: s, raw: bytes.Clone(raw)}, nil
}

func parseSuccession(raw []byte) (Succession, error) {
	proven, signature, err := splitStatement(raw, MaxSuccessionSize)
	if err != nil {
		return Succession{}, err
	}
	body, possession, err := splitStatement(proven, MaxSuccessionSize)
	if err != nil {
		return Succession{}, err
	}
	var s Succession
	if err := s.read(body); err != nil {
		return Succession{}, err
	}
	if err := s.check(); err != nil {
		return Succession{}, err
	}
	if !verifyStatement(s.heir(), LabelPossession, body, possession) || !verifyStatement(s.signer, LabelSuccession, proven, signature) {
		return Succession{}, errSignature
	}
	return s, nil
}

// heir returns the new key.
func (s Succession) heir() point {
	if s.Office == OfficeRoot {
		return s.Root.offline
	}
	return s.CA.key.domain
}

// check holds the rules that the layout alone does not.
func (s Succession) check() error {
	switch {
	case s.Issued.Unix() < 0 || s.Issued.Unix() > lastSecond:
		return errors.New("its time is not between 1970 and 9999")
	case s.heir() == point{} || s.signer == point{} || s.Domain.IsZero():
		return errors.New("a domain and two keys are needed")
	case s.New() == s.Old:
		return errors.New("a key follows itself")
	case s.Office == OfficeCA && s.CA.domain != s.Domain:
		return errors.New("the new authority is of another domain")
	case s.Office == OfficeCA && (s.Next == s.Old || s.Next == s.New()):
		return errors.New("the key after the new one is one of the two")
	case s.Office == OfficeRoot && !s.Next.IsZero():
		return errors.New("a root commits to no other")
	}
	return s.checkSigner()
}

func (s Succession) checkSigner() error {
	signer, own := s.Signer(), s.signer == s.heir()
	switch {
	case s.By == ByOld && signer == s.Old:
		return nil
	case s.By == ByCommitted && s.Office == OfficeCA && own:
		return nil
	case s.By == ByRoot && s.Office == OfficeCA && !own && signer != s.Old && signer != s.Next:
		return nil
	}
	return errors.New("its signer is not the key that it should be")
}

// body writes what the new key signs.
//
//	1     version, 1
//	1     office: 1 authority, 2 offline root
//	1     by: 4 offline root, 5 the old key, 6 the new key alone
//	1+n   domain
//	8     issued, seconds since 1970
//	32    fingerprint of the old key
//	2+n   of an authority: its new certificate, DER; of a root: its new public key, 32
//	32    of an authority: fingerprint of the key that may follow the new one, or zeros; of a root: zeros
//	32    public key of the signer
//
// Two signatures follow, 64 bytes each: of the new key, with the label
// "succession key v1", over all before; and of the signer, with the label
// "succession v1", over all before.
func (s Succession) body() []byte {
	heir := s.CA.DER()
	if s.Office == OfficeRoot {
		heir = s.Root.Bytes()
	}
	var b cryptobyte.Builder
	b.AddUint8(successionVersion)
	b.AddUint8(uint8(s.Office))
	b.AddUint8(uint8(s.By))
	addText8(&b, s.Domain.String())
	addTime(&b, s.Issued)
	b.AddBytes(s.Old[:])
	addBytes16(&b, heir)
	b.AddBytes(s.Next[:])
	b.AddBytes(s.signer[:])
	return b.BytesOrPanic()
}

// read takes the fields that body wrote.
func (s *Succession) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var heir, signer []byte
	if !input.ReadUint8(&version) || version != successionVersion ||
		!input.ReadUint8((*uint8)(&s.Office)) || !input.ReadUint8((*uint8)(&s.By)) ||
		!readDomain(&input, &s.Domain) || !readTime(&input, &s.Issued) || !input.CopyBytes(s.Old[:]) ||
		!readBytes16(&input, &heir) || !input.CopyBytes(s.Next[:]) ||
		!input.ReadBytes(&signer, len(point{})) || !input.Empty() {
		return errMalformed
	}
	var err error
	if s.signer, err = parsePoint(signer); err != nil {
		return err
	}
	switch s.Office {
	case OfficeCA:
		s.CA, err = ParseCACert(heir)
	case OfficeRoot:
		s.Root, err = ParseRootPublic(heir)
	default:
		err = errors.New("its office is unknown")
	}
	return err
}
