package message

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/hpke"
	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/pki"
)

// Every label of the format (docs/spec/message.md, sections 2 and 4).
const (
	labelSeal   = "p3do v1 message"     // HPKE info
	labelExport = "p3do message mac"    // HPKE exporter context
	labelMAC    = "p3do v1 message mac" // HKDF info, before both auth keys and the recipient's name
)

// ErrOpen is returned for a sealed part that is not for these keys, was changed, or is
// not by whom it says. Which of them is nobody's to know: drop it in silence.
var ErrOpen = errors.New("message: does not open")

// Seal encrypts c to the keys of its recipient, called name, and authenticates it by from,
// whose auth key c.Auth must be (see [Content.Sign]). The result has Size bytes. It leaves the
// seal key out of c where the text needs its place; a [TooLongError] says that the text
// does not fit even then.
//
// Randomness: the encapsulation, 64 bytes of rand.
func Seal(rand io.Reader, from *PrivateKeys, to Keys, name pki.Name, c Content) ([]byte, error) {
	if c.Auth != from.keys.Auth {
		return nil, fmt.Errorf("%w: not the sender's auth key", ErrContent)
	}
	return c.seal(rand, from, to.Auth, to, name)
}

// seal encrypts c to somebody, and authenticates it by one of the two, of whom other is the auth
// key of the other.
func (c Content) seal(rand io.Reader, one *PrivateKeys, other [AuthSize]byte, to Keys, name pki.Name) ([]byte, error) {
	if err := c.valid(); err != nil {
		return nil, err
	}
	c, err := c.fit()
	if err != nil {
		return nil, err
	}
	enc, sealer, err := setupSender(rand, to)
	if err != nil {
		return nil, err
	}
	body := c.padded()
	mac, err := one.mac(other, parties{c.Auth, to.Auth, name}, sealer, body)
	if err != nil {
		return nil, err
	}
	sealed, err := sealer.Seal(append(mac, body...), nil)
	if err != nil {
		return nil, fmt.Errorf("message: sealing: %w", err)
	}
	return append(enc, sealed...), nil
}

// Open is the inverse of [Seal], with the recipient's keys and name: it returns what the
// holder of Content.Auth wrote to that name, or ErrOpen. Judge it by [Content.Vouched]
// before believing a name.
func Open(to *PrivateKeys, name pki.Name, sealed []byte) (Content, error) {
	if len(sealed) != Size {
		return Content{}, ErrOpen
	}
	receiver, err := suite().NewReceiver(to.seal, []byte(labelSeal))
	if err != nil {
		return Content{}, ErrOpen
	}
	opener, err := receiver.Setup(sealed[:encSize])
	if err != nil {
		return Content{}, ErrOpen
	}
	plain, err := opener.Open(sealed[encSize:], nil)
	if err != nil || len(plain) != plainSize {
		return Content{}, ErrOpen
	}
	body := plain[macSize:]
	c, err := parseContent(body)
	if err != nil {
		return Content{}, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	mac, err := to.mac(c.Auth, parties{c.Auth, to.keys.Auth, name}, opener, body)
	if err != nil || !hmac.Equal(mac, plain[:macSize]) {
		return Content{}, ErrOpen
	}
	return c, nil
}

func suite() hpke.Suite {
	return hpke.NewSuite(hpke.KEM_XWING, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES256GCM)
}

func setupSender(rand io.Reader, to Keys) (enc []byte, sealer hpke.Sealer, err error) {
	public, err := hpke.KEM_XWING.Scheme().UnmarshalBinaryPublicKey(to.Seal[:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the recipient's seal key", ErrKey)
	}
	sender, err := suite().NewSender(public, []byte(labelSeal))
	if err != nil {
		return nil, nil, fmt.Errorf("message: sealing: %w", err)
	}
	enc, sealer, err = sender.Setup(rand)
	if err != nil {
		return nil, nil, fmt.Errorf("message: sealing: %w", err)
	}
	return enc, sealer, nil
}

// padded is the plaintext behind the MAC. c fits.
func (c Content) padded() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, plainSize))
	c.marshal(b)
	body := b.BytesOrPanic()
	return append(body, make([]byte, bodySize-len(body))...)
}

// parties are who a message is between. The recipient's name is among them because anybody
// may state another's public keys as her own: else she could hand on what was written to
// her to whom it was sealed, and it would pass for written to him.
type parties struct {
	sender, recipient [AuthSize]byte
	name              pki.Name // of the recipient
}

// mac authenticates body between two users, of whom p is one and other is the auth key
// of the other:
//
//	secret = X25519(p, other) | HPKE export(labelExport, 32)
//	key    = HKDF-SHA-256(secret, salt empty, info = labelMAC | sender auth | recipient auth | recipient name)
//	mac    = HMAC-SHA-256(key, body)
//
// It fails for an other of low order, with which the secret would be nobody's.
func (p *PrivateKeys) mac(other [AuthSize]byte, between parties, context hpke.Context, body []byte) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(other[:])
	if err != nil {
		return nil, ErrKey
	}
	shared, err := p.auth.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("%w: an auth key of low order", ErrKey)
	}
	secret := append(shared, context.Export([]byte(labelExport), macSize)...)
	info := labelMAC + string(between.sender[:]) + string(between.recipient[:]) + between.name.String()
	key, err := hkdf.Key(sha256.New, secret, nil, info, macSize)
	if err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil), nil
}
