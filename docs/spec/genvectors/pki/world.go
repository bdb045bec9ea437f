package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"io"
	"math/big"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/p3do/p3do/pki"
)

// instant is the time at which the vectors are judged, in seconds since 1970.
const instant = 1795334400 // 2026-11-22T08:00:00Z

func now() time.Time { return time.Unix(instant, 0).UTC() }

// A world has a.test with ann, b.test with bob, and a.test's countersignature
// of b.test.
type world struct {
	rand       io.Reader
	home, peer *pki.Authority
	cross      pki.CrossCert
	ann, bob   pki.IdentityKey
	annCert    pki.UserCert
	bobCert    pki.UserCert
	link       pki.LinkCert // of b.test
}

func newWorld() (*world, error) {
	w := &world{rand: rand.NewChaCha8([32]byte([]byte("the vectors of P3DO pki, v1     ")))}
	var err error
	if w.home, err = w.authority("a.test"); err != nil {
		return nil, err
	}
	if w.peer, err = w.authority("b.test"); err != nil {
		return nil, err
	}
	if w.cross, err = w.home.Countersign(w.rand, now(), w.peer.CA()); err != nil {
		return nil, err
	}
	if w.ann, w.annCert, err = w.user(w.home, "ann@a.test"); err != nil {
		return nil, err
	}
	if w.bob, w.bobCert, err = w.user(w.peer, "bob@b.test"); err != nil {
		return nil, err
	}
	key, err := pki.NewLinkKey(w.rand)
	if err != nil {
		return nil, err
	}
	w.link, err = w.peer.SignLink(w.rand, now(), key.Public(), pki.LinkLifetime)
	return w, err
}

func (w *world) authority(text string) (*pki.Authority, error) {
	domain, err := pki.ParseDomain(text)
	if err != nil {
		return nil, err
	}
	return pki.NewAuthority(w.rand, domain, now())
}

func (w *world) user(home *pki.Authority, text string) (key pki.IdentityKey, cert pki.UserCert, err error) {
	name, err := pki.ParseName(text)
	if err != nil {
		return key, cert, err
	}
	if key, err = pki.NewIdentityKey(w.rand); err != nil {
		return key, cert, err
	}
	request, err := pki.NewUserRequest(w.rand, key, name)
	if err != nil {
		return key, cert, err
	}
	cert, err = home.SignUser(w.rand, now(), request, pki.UserLifetime)
	return key, cert, err
}

// forge signs a copy of a certificate of b.test by b.test's own key, with
// another subjectAltName and subject: what a hostile authority could do.
func (w *world) forge(der []byte, subject pkix.Name, names ...asn1.RawValue) ([]byte, error) {
	good, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	parent, err := x509.ParseCertificate(w.peer.CA().DER())
	if err != nil {
		return nil, err
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x4242), Subject: subject, NotBefore: good.NotBefore, NotAfter: good.NotAfter,
	}
	for _, e := range good.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			if len(names) == 0 {
				continue
			}
			e.Value = value
		}
		template.ExtraExtensions = append(template.ExtraExtensions, e)
	}
	seed := w.peer.Marshal()[1 : 1+pki.SeedSize] // the layout is in the specification
	return x509.CreateCertificate(w.rand, template, parent, good.PublicKey, ed25519.NewKeyFromSeed(seed))
}

// general is one GeneralName that is not constructed.
func general(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

// flip returns b with one bit of byte i flipped; i counts from the end if it
// is negative.
func flip(b []byte, i int) []byte {
	bent := append([]byte(nil), b...)
	if i < 0 {
		i += len(b)
	}
	bent[i] ^= 1
	return bent
}

func hexed(b []byte) string { return hex.EncodeToString(b) }

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// A variant is one value of the main input of a kind, judged at a time.
type variant struct {
	comment string
	bytes   []byte
	after   time.Duration // since instant, to be judged at
}

// vectors writes one good vector and its bad variants. The inputs of all are
// those of base, with the bytes as input.
func vectors(kind, input string, base, out map[string]string, good variant, bad ...variant) []vector {
	list := []vector{{Kind: kind, Comment: good.comment, Expect: "accept", In: with(base, input, good), Out: out}}
	for _, v := range bad {
		list = append(list, vector{Kind: kind, Comment: v.comment, Expect: "refuse", In: with(base, input, v)})
	}
	return list
}

func with(base map[string]string, input string, v variant) map[string]string {
	in := map[string]string{input: hexed(v.bytes)}
	for key, value := range base { // into a map again: the order does not show
		in[key] = value
	}
	in["now"] = unix(now().Add(v.after))
	return in
}

// usual are the variants of every signed thing: bent at its begin, middle and
// end, too short, too long.
func usual(b []byte) []variant {
	return []variant{
		{"a bit of the first byte flipped", flip(b, 0), 0},
		{"a bit in the middle flipped", flip(b, len(b)/2), 0},
		{"a bit of the signature flipped", flip(b, -1), 0},
		{"the last byte missing", b[:len(b)-1], 0},
		{"a byte too many", append(append([]byte(nil), b...), 0), 0},
		{"nothing", nil, 0},
	}
}
