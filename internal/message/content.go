package message

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Specification constants (docs/spec/message.md, "Limits").
const (
	// Size is the length of a sealed part in bytes, whatever is in it.
	Size = mor.SealedSize
	// Version is the version of the plaintext.
	Version = 1

	encSize   = 1120
	tagSize   = 16
	macSize   = 32
	plainSize = Size - encSize - tagSize
	bodySize  = plainSize - macSize

	maxUnix = 1 << 40 // seconds: a year far beyond any certificate
)

// A Kind says what a message is.
type Kind uint8

// The kinds of messages.
const (
	Text            Kind = 1 // for a person to read
	Acknowledgement Kind = 2 // of a text that is durable on the recipient's device
	Hello           Kind = 3 // a text by whoever was invited to write
)

// A Content is what is said, by whom, and where to answer.
type Content struct {
	Kind  Kind
	ID    mor.MessageID // of this message, as in its letter
	About mor.MessageID // Acknowledgement: of the message that is acknowledged; Hello: what shows the invitation
	At    time.Time     // by the sender's clock, whole seconds, UTC
	Text  string        // Text: UTF-8, not empty

	Name        pki.Name // of the sender
	Certificate []byte   // of the sender, by her home, DER
	Auth        [AuthSize]byte
	SealHash    [sha256.Size]byte
	Statement   [pki.SignatureSize]byte // the identity's, over Auth and SealHash
	Seal        *[pki.SealSize]byte     // the sender's seal key; nil if the text needs its place

	Secret [32]byte     // what the recipient derives the sender's mailboxes from
	Spools []pki.Domain // servers that keep them, 1 to pki.MaxSpools
}

// ErrContent is returned for a content that cannot be, or bytes that are none.
var ErrContent = errors.New("message: malformed content")

// A TooLongError says that a text does not fit into a message.
type TooLongError struct {
	Size int // of the text in bytes
	Max  int // that there is room for
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the text has %d bytes; a message holds %d", e.Size, e.Max)
}

// Sign fills in the fields by which a sender shows that keys are those of identity.
func (c *Content) Sign(identity pki.IdentityKey, keys Keys) {
	c.State(keys, [pki.SignatureSize]byte(identity.Sign(StatementLabel, keys.Statement())))
}

// State is Sign with a signature that the identity made before, as somebody must who has the
// keys and not the identity's.
func (c *Content) State(keys Keys, statement [pki.SignatureSize]byte) {
	c.Auth, c.SealHash, c.Seal, c.Statement = keys.Auth, sha256.Sum256(keys.Seal[:]), &keys.Seal, statement
}

// Vouched judges who wrote c, an opened content: the certificate by the authority of the
// name's home at now, and the statement by the certificate's key. The certificate
// returned is of c.Name.
func (c Content) Vouched(ca pki.CACert, now time.Time) (pki.UserCert, error) {
	certificate, err := ca.VerifyUser(c.Certificate, now)
	if err != nil {
		return pki.UserCert{}, fmt.Errorf("message: %w", err)
	}
	_, _, err = c.Claimed()
	return certificate, err
}

// Claimed judges an opened content as far as it goes without anybody's authority: that the
// identity key of the certificate has stated the keys, so that its holder wrote c. Whether
// the name is hers it does not say, unless identity is known to be its key already.
// authority is the one that the certificate claims to be of.
func (c Content) Claimed() (identity pki.IdentityPublic, authority pki.Fingerprint, err error) {
	name, key, authority, err := pki.UserIssuer(c.Certificate)
	switch {
	case err != nil:
		return pki.IdentityPublic{}, pki.Fingerprint{}, fmt.Errorf("message: %w", err)
	case name != c.Name:
		return pki.IdentityPublic{}, pki.Fingerprint{}, fmt.Errorf("message: from %s with the certificate of %s", c.Name, name)
	case !key.Verify(StatementLabel, statement(c.Auth, c.SealHash), c.Statement[:]):
		return pki.IdentityPublic{}, pki.Fingerprint{}, fmt.Errorf("message: the keys are not those of %s", c.Name)
	}
	return key, authority, nil
}

// MaxText is how many bytes of text fit beside the rest of c.
func (c Content) MaxText() int { return max(0, c.room()) }

// room is MaxText, or below zero if not even the rest of c fits.
func (c Content) room() int {
	c.Seal, c.Text = nil, ""
	var b cryptobyte.Builder
	c.marshal(&b)
	return bodySize - len(b.BytesOrPanic())
}

// fit returns c, without the seal key if the text needs its place.
func (c Content) fit() (Content, error) {
	room := c.room()
	switch {
	case len(c.Text) > room:
		return Content{}, &TooLongError{len(c.Text), max(0, room)}
	case len(c.Text) > room-pki.SealSize:
		c.Seal = nil
	}
	return c, nil
}

// valid reports why c cannot be a content.
func (c Content) valid() error {
	switch {
	case (c.Kind == Text || c.Kind == Hello) && (c.Text == "" || !utf8.ValidString(c.Text)):
		return fmt.Errorf("%w: a text that is empty or not UTF-8", ErrContent)
	case c.Kind == Text && c.About != mor.MessageID{}:
		return fmt.Errorf("%w: a text about a message", ErrContent)
	case c.Kind == Acknowledgement && (c.Text != "" || c.About == mor.MessageID{}):
		return fmt.Errorf("%w: an acknowledgement of nothing, or with a text", ErrContent)
	case c.Kind == Hello && c.About == mor.MessageID{}:
		return fmt.Errorf("%w: a hello that shows no invitation", ErrContent)
	case c.Kind != Text && c.Kind != Acknowledgement && c.Kind != Hello:
		return fmt.Errorf("%w: kind %d", ErrContent, c.Kind)
	case c.Name.IsZero() || len(c.Certificate) == 0 || len(c.Certificate) > pki.MaxCertificateSize:
		return fmt.Errorf("%w: no name or no certificate", ErrContent)
	case len(c.Spools) == 0 || len(c.Spools) > pki.MaxSpools:
		return fmt.Errorf("%w: %d spools", ErrContent, len(c.Spools))
	case c.At.Unix() < 0 || c.At.Unix() > maxUnix:
		return fmt.Errorf("%w: time out of bounds", ErrContent)
	case c.Seal != nil && sha256.Sum256(c.Seal[:]) != c.SealHash:
		return fmt.Errorf("%w: another seal key than the stated one", ErrContent)
	}
	return nil
}

// marshal adds the plaintext without MAC and padding, as in the package comment.
func (c Content) marshal(b *cryptobyte.Builder) {
	b.AddUint8(Version)
	b.AddUint8(uint8(c.Kind))
	b.AddBytes(c.ID[:])
	b.AddBytes(c.About[:])
	b.AddUint64(uint64(c.At.Unix()))
	b.AddBytes(c.Secret[:])
	b.AddBytes(c.Auth[:])
	b.AddBytes(c.SealHash[:])
	b.AddBytes(c.Statement[:])
	b.AddUint8LengthPrefixed(add(c.Name.String()))
	b.AddUint8(uint8(len(c.Spools)))
	for _, spool := range c.Spools {
		b.AddUint8LengthPrefixed(add(spool.String()))
	}
	b.AddUint16LengthPrefixed(add(string(c.Certificate)))
	b.AddUint16LengthPrefixed(add(string(c.sealKey())))
	b.AddUint16LengthPrefixed(add(c.Text))
}

func (c Content) sealKey() []byte {
	if c.Seal == nil {
		return nil
	}
	return c.Seal[:]
}

func add(text string) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) }
}

// parseContent is the inverse of marshal, and refuses all that marshal would not have
// written. body ends with the padding.
func parseContent(body []byte) (Content, error) {
	var (
		c                        Content
		s                        = cryptobyte.String(body)
		version, kind            uint8
		at                       uint64
		name, der, seal, written cryptobyte.String
	)
	ok := s.ReadUint8(&version) && version == Version && s.ReadUint8(&kind) &&
		s.CopyBytes(c.ID[:]) && s.CopyBytes(c.About[:]) && s.ReadUint64(&at) && at <= maxUnix &&
		s.CopyBytes(c.Secret[:]) && s.CopyBytes(c.Auth[:]) && s.CopyBytes(c.SealHash[:]) &&
		s.CopyBytes(c.Statement[:]) && s.ReadUint8LengthPrefixed(&name) && readSpools(&s, &c.Spools) &&
		s.ReadUint16LengthPrefixed(&der) && s.ReadUint16LengthPrefixed(&seal) &&
		s.ReadUint16LengthPrefixed(&written) && zeros(s)
	if !ok || len(seal) != 0 && len(seal) != pki.SealSize {
		return Content{}, ErrContent
	}
	c.Kind, c.At, c.Certificate, c.Text = Kind(kind), time.Unix(int64(at), 0).UTC(), der, string(written)
	if len(seal) > 0 {
		c.Seal = (*[pki.SealSize]byte)(seal)
	}
	var err error
	if c.Name, err = pki.ParseName(string(name)); err != nil {
		return Content{}, fmt.Errorf("%w: %w", ErrContent, err)
	}
	return c, c.valid()
}

func readSpools(s *cryptobyte.String, spools *[]pki.Domain) bool {
	var count uint8
	if !s.ReadUint8(&count) || count > pki.MaxSpools {
		return false
	}
	for range count {
		var text cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&text) {
			return false
		}
		domain, err := pki.ParseDomain(string(text))
		if err != nil {
			return false
		}
		*spools = append(*spools, domain)
	}
	return true
}

func zeros(padding []byte) bool {
	for _, b := range padding {
		if b != 0 {
			return false
		}
	}
	return true
}
