package onion

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	stdhpke "crypto/hpke"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"github.com/cloudflare/circl/hpke"
	"pgregory.net/rapid"
)

// These tests hold what this package computes itself against complete implementations by other hands: the standard
// library's hpke, hkdf and hmac, and circl's hpke.

type (
	sendFunc    func(rand io.Reader) (enc []byte, export secret, err error)
	receiveFunc func(enc []byte) (export secret, err error)
)

// judged is one tier with the two complete HPKEs that speak its suite.
type judged struct {
	name   string
	label  string
	random int // bytes of randomness that an encapsulation takes
	key    func(seed []byte) (public []byte, send sendFunc, receive receiveFunc, err error)
	circl  hpke.Suite
	stdKEM stdhpke.KEM
}

func judgedTiers() []judged {
	const kdf, aead = hpke.KDF_HKDF_SHA256, hpke.AEAD_AES256GCM
	return []judged{
		{"outer", labelOuter, 32, contextKey, hpke.NewSuite(hpke.KEM_X25519_HKDF_SHA256, kdf, aead), stdhpke.DHKEM(ecdhX25519())},
		{"inner", labelInner, 64, serverKey, hpke.NewSuite(hpke.KEM_XWING, kdf, aead), stdhpke.MLKEM768X25519()},
	}
}

func bytesOf(n int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), n, n) }

// What is encapsulated, the standard library opens to the same secret; and with the same randomness circl makes
// the same encapsulation.
func TestEncapsulateAgreesWithBothHPKEs(t *testing.T) {
	for _, j := range judgedTiers() {
		t.Run(j.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				key := drawKey(t, j)
				seed := bytesOf(j.random).Draw(t, "randomness")
				enc, shared, err := key.send(bytes.NewReader(seed))
				noError(t, err)

				sender, err := j.circl.NewSender(key.circl, []byte(j.label))
				noError(t, err)
				circlEnc, sealer, err := sender.Setup(bytes.NewReader(seed))
				noError(t, err)
				same(t, "encapsulation by circl", enc, circlEnc)
				same(t, "secret by circl", shared[:], sealer.Export([]byte(labelExport), 32))

				recipient, err := stdhpke.NewRecipient(enc, key.std, stdhpke.HKDFSHA256(), stdhpke.AES256GCM(), []byte(j.label))
				noError(t, err)
				exported, err := recipient.Export(labelExport, 32)
				noError(t, err)
				same(t, "secret by crypto/hpke", shared[:], exported)

				received, err := key.receive(enc)
				noError(t, err)
				same(t, "secret received", shared[:], received[:])
			})
		})
	}
}

// What the standard library encapsulates with randomness of its own, decapsulate opens.
func TestDecapsulateAgreesWithStandardLibrary(t *testing.T) {
	for _, j := range judgedTiers() {
		t.Run(j.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				key := drawKey(t, j)
				enc, sender, err := stdhpke.NewSender(key.std.PublicKey(), stdhpke.HKDFSHA256(), stdhpke.AES256GCM(), []byte(j.label))
				noError(t, err)
				exported, err := sender.Export(labelExport, 32)
				noError(t, err)
				received, err := key.receive(enc)
				noError(t, err)
				same(t, "secret", received[:], exported)
			})
		})
	}
}

func TestKeyDerivationAgreesWithStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := secret(bytesOf(32).Draw(t, "key"))
		label := rapid.StringN(0, 40, 80).Draw(t, "label")
		dst := make([]byte, rapid.IntRange(0, 300).Draw(t, "length"))
		expand(dst, &key, label)
		want, err := hkdf.Expand(sha256.New, key[:], label, len(dst))
		noError(t, err)
		same(t, "HKDF-Expand", dst, want)

		short := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "short key")
		text := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "text")
		mac := hmac.New(sha256.New, short)
		mac.Write(text)
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		got := hmacSHA256(short, text[:cut], text[cut:])
		same(t, "HMAC", got[:], mac.Sum(nil))

		hint := Hint(bytesOf(32).Draw(t, "hint"))
		salt, err := hkdf.Expand(sha256.New, hint[:], labelHintLayer, 32)
		noError(t, err)
		prk, err := hkdf.Extract(sha256.New, key[:], salt)
		noError(t, err)
		mixed := hint.layerSecret(key)
		same(t, "HKDF-Extract", mixed[:], prk)
	})
}

// lowOrderEncodings are all 14 encodings of low-order points: seven values, with the top bit clear and set.
func lowOrderEncodings() [][]byte {
	var all [][]byte
	for _, p := range []string{pointZero, pointOne, pointOrder8, pointOther8, pointMinus1, pointP, pointPPlus1} {
		high := []byte(p)
		high[31] |= 0x80
		all = append(all, []byte(p), high)
	}
	return all
}

// The list of low-order points is complete and has nothing else in it: crypto/ecdh, which looks at the result of the
// multiplication instead, refuses exactly these.
func TestLowOrderListAgreesWithECDH(t *testing.T) {
	scalar, err := ecdhX25519().NewPrivateKey(bytes.Repeat([]byte{9}, 32))
	noError(t, err)
	refused := func(u []byte) bool {
		point, err := ecdhX25519().NewPublicKey(u)
		noError(t, err)
		_, err = scalar.ECDH(point)
		return err != nil
	}
	for _, u := range lowOrderEncodings() {
		if !isLowOrder([32]byte(u)) || !refused(u) {
			t.Errorf("%x: list says %v, crypto/ecdh refuses: %v", u, isLowOrder([32]byte(u)), refused(u))
		}
		neighbour := append([]byte(nil), u...)
		neighbour[7] ^= 0x40
		if isLowOrder([32]byte(neighbour)) || refused(neighbour) {
			t.Errorf("%x: a neighbour of a low-order point is refused", neighbour)
		}
	}
}

func TestLowOrderPointsAreRefusedEverywhere(t *testing.T) {
	rand := seeded("low order")
	server, err := NewServerKey(rand)
	noError(t, err)
	context, err := NewContextKey(rand)
	noError(t, err)
	for _, u := range lowOrderEncodings() {
		if _, err := ParseContextKey(u); !errors.Is(err, ErrLowOrder) {
			t.Errorf("ParseContextKey(%x) = %v", u, err)
		}
		public := server.Public().Bytes()
		copy(public[ServerKeySize-32:], u)
		if _, err := ParseServerKey(public); !errors.Is(err, ErrLowOrder) {
			t.Errorf("ParseServerKey(... %x) = %v", u, err)
		}
		if _, err := context.decapsulate(u); !errors.Is(err, ErrLowOrder) {
			t.Errorf("outer share %x: %v", u, err)
		}
		raw := make([]byte, InnerSize)
		copy(raw[xwingSize-32:], u)
		if _, err := PeelInner(server, newInner((*[InnerSize]byte)(raw))); !errors.Is(err, ErrLowOrder) {
			t.Errorf("inner share %x: %v", u, err)
		}
		hop := OuterHop{Key: ContextKey{[32]byte(u)}}
		if _, err := Wrap(rand, 1, []OuterHop{hop}, OuterEnd{Drop: true}, Inner{}); !errors.Is(err, ErrLowOrder) {
			t.Errorf("Wrap for %x: %v", u, err)
		}
	}
}
