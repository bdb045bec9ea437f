package pki

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// SealSize is the length of the hybrid public key of a Card in bytes:
	// MLKEM768X25519, an ML-KEM-768 encapsulation key (1 184) and an X25519
	// public key (32).
	SealSize = 1216

	// MaxSpools bounds the spools of a Card. There is one at least.
	MaxSpools = 4

	// CardLifetime is how long a card is valid by default, and MaxCardLifetime
	// the longest that is accepted.
	CardLifetime    = 30 * 24 * time.Hour
	MaxCardLifetime = MaxLifetime

	// MaxCardSize is the greatest length of a signed card in bytes. That of
	// ann@a.test has about 1 800, and 184 more for each of her devices.
	MaxCardSize = 8192

	cardVersion = 2
)

// A Card is what a user says of herself to whoever wants to write to her.
type Card struct {
	Certificate UserCert       // by her home; its key signs the card
	Serial      uint64         // of two cards of one key, the greater serial wins
	Issued      time.Time      // whole seconds, UTC
	Expires     time.Time      // whole seconds, UTC; at most MaxCardLifetime later
	Seal        [SealSize]byte // public key to seal messages to; not looked into here
	Auth        [32]byte       // X25519 public key that authenticates her messages; not looked into here
	Requests    [32]byte       // mailbox address for strangers
	Spools      []Domain       // 1 to MaxSpools different domains whose nodes hold her mail
	Devices     []Device       // 0 to MaxDevices, each key once, ascending; beside the one with the identity key
}

// A SignedCard is a card that its owner signed and whose certificate her home
// signed. Its fields are to be read only.
type SignedCard struct {
	Card
	raw []byte
}

// SignCard signs a card by the key that its certificate is for. Issued, Expires
// and Since of its devices lose their fractions of a second, and these are put
// in the order of their keys.
func SignCard(key IdentityKey, c Card) (SignedCard, error) {
	c.Issued, c.Expires, c.Devices = seconds(c.Issued), seconds(c.Expires), sortedDevices(c.Devices)
	if err := c.check(); err != nil {
		return SignedCard{}, fmt.Errorf("pki: signing a card: %w", err)
	}
	if key.Public() != c.Certificate.key {
		return SignedCard{}, errors.New("pki: signing a card: the certificate is of another key")
	}
	c.Spools = append([]Domain(nil), c.Spools...)
	return SignedCard{Card: c, raw: sealStatement(key.identity, LabelCard, c.body())}, nil
}

// An UnvouchedCard is a card whose owner's signature is good, but whose name
// nobody has vouched for. CACert.VerifyCard makes a SignedCard of the same bytes.
type UnvouchedCard struct {
	card Card
	raw  []byte
}

// ParseCard reads a signed card of at most MaxCardSize bytes. It verifies the
// signature by the key in the certificate inside, and all bounds. It does not
// know who signed the certificate, and does not look at the time.
func ParseCard(raw []byte) (UnvouchedCard, error) {
	card, err := parseCard(raw)
	if err != nil {
		return UnvouchedCard{}, fmt.Errorf("pki: card: %w", err)
	}
	return UnvouchedCard{card: card, raw: bytes.Clone(raw)}, nil
}

func parseCard(raw []byte) (Card, error) {
	body, signature, err := splitStatement(raw, MaxCardSize)
	if err != nil {
		return Card{}, err
	}
	var c Card
	if err := c.read(body); err != nil {
		return Card{}, err
	}
	if err := c.check(); err != nil {
		return Card{}, err
	}
	if !c.Certificate.key.Verify(LabelCard, body, signature) {
		return Card{}, errSignature
	}
	return c, nil
}

// Name returns the name that the card claims.
func (u UnvouchedCard) Name() Name { return u.card.Certificate.name }

// Key returns the identity key that signed the card.
func (u UnvouchedCard) Key() IdentityPublic { return u.card.Certificate.key }

// Issuer returns the fingerprint of the authority that it claims to be
// certified by.
func (u UnvouchedCard) Issuer() Fingerprint { return u.card.Certificate.issuer }

// Spools returns the domains that it names as those that hold its owner's mail.
func (u UnvouchedCard) Spools() []Domain { return slices.Clone(u.card.Spools) }

// Raw returns the bytes that ParseCard read.
func (u UnvouchedCard) Raw() []byte { return bytes.Clone(u.raw) }

// Certificate returns the certificate in it, DER, which nobody has verified: a revocation can be
// made for it, and is judged by whoever gets that.
func (u UnvouchedCard) Certificate() []byte { return u.card.Certificate.DER() }

// Own returns the card as that of the holder of the key, whoever certified the name: for programs
// of hers, which need nobody's word for who she is.
func (u UnvouchedCard) Own(key IdentityPublic) (SignedCard, error) {
	if u.card.Certificate.cert == nil || u.card.Certificate.key != key {
		return SignedCard{}, errors.New("pki: card: it is another key's")
	}
	return SignedCard{Card: u.card, raw: u.Raw()}, nil
}

// VerifyCard reads a signed card of a user of this domain: ParseCard, then the
// certificate as by VerifyUser, then the time. An error about time is ErrTime.
func (c CACert) VerifyCard(raw []byte, now time.Time) (SignedCard, error) {
	card, err := parseCard(raw)
	if err == nil {
		err = c.vouchUser(card.Certificate, now)
	}
	if err == nil {
		err = checkNow(card.Issued, card.Expires, now)
	}
	if err != nil {
		return SignedCard{}, fmt.Errorf("pki: card: %w", err)
	}
	return SignedCard{Card: card, raw: bytes.Clone(raw)}, nil
}

// Raw returns the bytes that CACert.VerifyCard reads.
func (c SignedCard) Raw() []byte { return bytes.Clone(c.raw) }

// CheckTime returns nil if the card is valid now: from ClockSkew before it was
// issued until it expires. Else the error is ErrTime.
func (c SignedCard) CheckTime(now time.Time) error {
	if err := checkNow(c.Issued, c.Expires, now); err != nil {
		return fmt.Errorf("pki: card of %s: %w", c.Certificate.name, err)
	}
	return nil
}

// check holds the rules that the layout alone does not.
func (c Card) check() error {
	if c.Certificate.cert == nil {
		return errors.New("it has no certificate")
	}
	if err := checkSpan(c.Issued, c.Expires, MaxCardLifetime); err != nil {
		return err
	}
	if len(c.Spools) < 1 || len(c.Spools) > MaxSpools {
		return fmt.Errorf("want 1 to %d spools, not %d", MaxSpools, len(c.Spools))
	}
	for i, spool := range c.Spools {
		for _, before := range c.Spools[:i] {
			if spool == before {
				return fmt.Errorf("the spool %s is there twice", spool)
			}
		}
		if spool.IsZero() {
			return errors.New("a spool is a domain")
		}
	}
	return c.checkDevices()
}

// body writes what is signed, all integers big-endian.
//
//	1     version, 2
//	2+n   certificate of the user, DER
//	8     serial
//	8     issued, seconds since 1970
//	8     expires, seconds since 1970
//	1216  seal: public key to seal messages to
//	32    auth: X25519 public key
//	32    requests: mailbox address for strangers
//	1     number of spools, 1 to 4; for each
//	1+n     domain
//	1     number of devices, 0 to 8; for each, ascending by key
//	32      public key
//	8       since, seconds since 1970
//	144     sealed for it
//
// The signature follows, 64 bytes, with the label "user card v1".
func (c Card) body() []byte {
	var b cryptobyte.Builder
	b.AddUint8(cardVersion)
	addBytes16(&b, c.Certificate.DER())
	b.AddUint64(c.Serial)
	addTime(&b, c.Issued)
	addTime(&b, c.Expires)
	b.AddBytes(c.Seal[:])
	b.AddBytes(c.Auth[:])
	b.AddBytes(c.Requests[:])
	b.AddUint8(uint8(len(c.Spools)))
	for _, spool := range c.Spools {
		addText8(&b, spool.String())
	}
	addDevices(&b, c.Devices)
	return b.BytesOrPanic()
}

// read takes the fields that body wrote.
func (c *Card) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var certificate []byte
	var spools []string
	if !input.ReadUint8(&version) || version != cardVersion ||
		!readBytes16(&input, &certificate) || !input.ReadUint64(&c.Serial) ||
		!readTime(&input, &c.Issued) || !readTime(&input, &c.Expires) ||
		!input.CopyBytes(c.Seal[:]) || !input.CopyBytes(c.Auth[:]) || !input.CopyBytes(c.Requests[:]) ||
		!readTexts8(&input, MaxSpools, &spools) || !readDevices(&input, &c.Devices) || !input.Empty() {
		return errMalformed
	}
	for _, text := range spools {
		spool, err := ParseDomain(text)
		if err != nil {
			return err
		}
		c.Spools = append(c.Spools, spool)
	}
	var err error
	c.Certificate, err = parseUserCert(certificate)
	return err
}
