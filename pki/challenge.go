package pki

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxChallengeSize is the greatest length of a challenge in bytes. That of ann@a.test has about 530.
	MaxChallengeSize = 4096
	// ChallengeLifetime is how long a challenge counts.
	ChallengeLifetime = 90 * 24 * time.Hour
	// ChallengeAfter is for how long after the end of its certificate a key may object: as long as its owner
	// may log in elsewhere while her home is gone.
	ChallengeAfter = 365 * 24 * time.Hour

	challengeVersion = 1
)

// A Challenge is the word of the owner of a name against whatever key but hers is shown for it: what
// stands in the key log of her domain under the name, and is not by her key, she did not make. It
// takes no key from anybody, and gives none: it stops the clock after which another key would be
// taken (Evidence.Log.Challenged), and who does not know her yet is told that two keys say to be hers.
//
// It counts until it has run out, her key is revoked, or her domain has ended the name for her key: a
// domain that rightly gave the name to somebody else can say so at any time, in the open.
type Challenge struct {
	Issued time.Time // whole seconds, UTC
	Record [32]byte  // SHA-256 of the record of the entry that she found; zero: she names none

	cert UserCert // names the name, the identity key and the issuer
	raw  []byte
}

// Challenge objects to other keys than k under the name of a certificate, DER, that k ever had.
func (k IdentityKey) Challenge(certificate []byte, record [32]byte, now time.Time) (Challenge, error) {
	c := Challenge{Issued: seconds(now), Record: record}
	var err error
	if c.cert, err = parseUserCert(certificate); err == nil {
		err = c.check()
	}
	if err == nil && c.Key() != k.Public() {
		err = errors.New("the certificate is of another key")
	}
	if err != nil {
		return Challenge{}, fmt.Errorf("pki: signing a challenge: %w", err)
	}
	if c.raw = sealStatement(k.identity, LabelChallenge, c.body()); len(c.raw) > MaxChallengeSize {
		return Challenge{}, fmt.Errorf("pki: signing a challenge: longer than %d bytes", MaxChallengeSize)
	}
	return c, nil
}

// ParseChallenge reads a challenge of at most MaxChallengeSize bytes, and verifies the signature of
// the identity key in it.
func ParseChallenge(raw []byte) (Challenge, error) {
	c, err := parseChallenge(raw)
	if err != nil {
		return Challenge{}, fmt.Errorf("pki: challenge: %w", err)
	}
	return c, nil
}

func parseChallenge(raw []byte) (c Challenge, err error) {
	body, signature, err := splitStatement(raw, MaxChallengeSize)
	if err != nil {
		return Challenge{}, err
	}
	if err := c.read(body); err != nil {
		return Challenge{}, err
	}
	if err := c.check(); err != nil {
		return Challenge{}, err
	}
	if !verifyStatement(c.Key().identity, LabelChallenge, body, signature) {
		return Challenge{}, errSignature
	}
	c.raw = bytes.Clone(raw)
	return c, nil
}

func (c Challenge) check() error {
	if c.Issued.Unix() < 0 || c.Issued.Unix() > lastSecond {
		return errors.New("its time is not between 1970 and 9999")
	}
	return nil
}

// Check returns nil if the challenge counts at now, but for revocations: its certificate is signed, at
// whatever time, by the domain's authority or one before it whose word counts, had not ended more than
// ChallengeAfter before it was made, and it has not run out.
// One from a time to come, beyond what clocks differ by, is refused: it would count for longer.
func (c Challenge) Check(k Known, now time.Time) error {
	err := checkNow(c.Issued, c.Ends(), now)
	if err == nil {
		err = c.cert.checkSigned(k.issuers())
	}
	if err == nil && c.Issued.After(c.cert.NotAfter().Add(ChallengeAfter)) {
		err = fmt.Errorf("%w: its certificate had ended on %s", ErrTime, c.cert.NotAfter().Format(time.DateOnly))
	}
	if err != nil {
		return fmt.Errorf("pki: challenge of %s: %w", c.Name(), err)
	}
	return nil
}

// Name returns the name that it is about.
func (c Challenge) Name() Name { return c.cert.name }

// Domain returns the domain of the name.
func (c Challenge) Domain() Domain { return c.cert.name.domain }

// Key returns the identity key of the owner.
func (c Challenge) Key() IdentityPublic { return c.cert.key }

// Issuer returns the fingerprint of the authority that the certificate claims to be signed by.
func (c Challenge) Issuer() Fingerprint { return c.cert.issuer }

// Ends is when it counts no more.
func (c Challenge) Ends() time.Time { return c.Issued.Add(ChallengeLifetime) }

// Says identifies who objects: the key, under the name. Of two that agree the newer takes the place of
// the older.
func (c Challenge) Says() [sha256.Size]byte { return Leaving(c.Name(), c.Key()) }

// Against reports whether it speaks against a key under its name: against each but its own.
func (c Challenge) Against(key Fingerprint) bool { return key != c.Key().Fingerprint() }

// Raw returns the bytes that ParseChallenge reads.
func (c Challenge) Raw() []byte { return bytes.Clone(c.raw) }

// Statement returns the challenge as it travels.
func (c Challenge) Statement() Statement { return Statement{Kind: StatementChallenge, Raw: c.Raw()} }

// body writes what is signed.
//
//	1     version, 1
//	8     issued, seconds since 1970
//	2+n   certificate of the user, DER
//	32    SHA-256 of the record of the entry; zeros: of none
//
// The signature of the key in the certificate follows, 64 bytes, with the label "challenge v1".
func (c Challenge) body() []byte {
	var b cryptobyte.Builder
	b.AddUint8(challengeVersion)
	addTime(&b, c.Issued)
	addBytes16(&b, c.cert.DER())
	b.AddBytes(c.Record[:])
	return b.BytesOrPanic()
}

// read takes the fields that body wrote.
func (c *Challenge) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var der []byte
	if !input.ReadUint8(&version) || version != challengeVersion || !readTime(&input, &c.Issued) ||
		!readBytes16(&input, &der) || !input.CopyBytes(c.Record[:]) || !input.Empty() {
		return errMalformed
	}
	var err error
	c.cert, err = parseUserCert(der)
	return err
}
