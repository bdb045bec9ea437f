package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestChainsThatAreGood(t *testing.T) {
	w := newWorld(t)
	user, err := w.home.CA().VerifyUser(w.annCert.DER(), testNow)
	if err != nil || user.Name().String() != "ann@a.test" || user.Key() != w.ann.Public() || user.Issuer() != w.home.CA().Fingerprint() {
		t.Fatalf("ann at home: %v, %v", user.Name(), err)
	}
	user, err = w.home.VerifyPeerUser(w.cross, w.bobCert.DER(), testNow)
	if err != nil || user.Name().String() != "bob@b.test" || user.Key() != w.bob.Public() {
		t.Fatalf("bob away from home: %v, %v", user.Name(), err)
	}
	leaf := must[*x509.Certificate](t)(x509.ParseCertificate(w.linkCert.DER()))
	if err := w.peer.CA().VerifyLink(leaf, testNow); err != nil {
		t.Fatalf("the node of b.test, by pin: %v", err)
	}
	domain, issuer, err := LinkIssuer(leaf)
	if err != nil || domain != w.peer.Domain() || issuer != w.cross.Fingerprint() {
		t.Fatalf("LinkIssuer: %v, %v, %v", domain, issuer, err)
	}
	if domain, err := w.home.VerifyPeer(w.cross, leaf, testNow); err != nil || domain != w.peer.Domain() {
		t.Fatalf("the node of b.test, as a peer: %v, %v", domain, err)
	}
}

func TestAuthoritySurvivesItsFile(t *testing.T) {
	w := newWorld(t)
	secret := w.home.Marshal()
	back := must[*Authority](t)(ParseAuthority(secret))
	if !bytes.Equal(back.Marshal(), secret) || back.Domain() != w.home.Domain() {
		t.Fatal("it came back as another")
	}
	if _, err := back.VerifyPeerUser(w.cross, w.bobCert.DER(), testNow); err != nil {
		t.Fatalf("it does not know its own cross-certificate: %v", err)
	}
	other := w.peer.Marshal()
	mixed := append(append([]byte{2}, other[1:33]...), secret[33:]...)
	for name, bad := range map[string][]byte{
		"empty": nil, "short": secret[:len(secret)-1], "long": append(bytes.Clone(secret), 0),
		"another version": append([]byte{1}, secret[1:]...), "another's key": mixed,
		"another's root key": append(append(bytes.Clone(secret[:33]), other[33:65]...), secret[65:]...),
	} {
		_, err := ParseAuthority(bad)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), string(secret[1:9])) {
			t.Errorf("%s: the error shows a secret", name)
		}
	}
}

func TestEveryBitOfAnAuthoritysCertificatesCounts(t *testing.T) {
	w := newWorld(t)
	ca, cross := w.home.CA().DER(), w.cross.DER()
	flipEach(t, ca, 1, func(b []byte) error { _, err := ParseCACert(b); return err })
	flipEach(t, cross, 3, func(b []byte) error {
		c, err := ParseCrossCert(b)
		if err != nil {
			return err
		}
		_, err = w.home.VerifyPeerUser(c, w.bobCert.DER(), testNow)
		return err
	})
	flipEach(t, w.annCert.DER(), 3, func(b []byte) error {
		_, err := w.home.CA().VerifyUser(b, testNow)
		return err
	})
}

// flipEach flips every step-th bit of raw and wants an error each time.
func flipEach(t *testing.T, raw []byte, step int, judge func([]byte) error) {
	t.Helper()
	if err := judge(raw); err != nil {
		t.Fatalf("unflipped: %v", err)
	}
	for bit := 0; bit < 8*len(raw); bit += step {
		bent := bytes.Clone(raw)
		bent[bit/8] ^= 1 << (bit % 8)
		if judge(bent) == nil {
			t.Fatalf("bit %d of byte %d can be flipped", bit%8, bit/8)
		}
	}
}

func TestMayNotSignForAnother(t *testing.T) {
	w := newWorld(t)
	request := must[UserRequest](t)(NewUserRequest(w.rand, w.bob, mustName(t, "bob@b.test")))
	_, err := w.home.SignUser(w.rand, testNow, request, UserLifetime)
	if err == nil || !strings.Contains(err.Error(), "a.test may not sign for b.test") {
		t.Fatalf("got %v", err)
	}
	if _, err := w.home.SignDescriptor(Descriptor{Domain: w.peer.Domain()}); err == nil ||
		!strings.Contains(err.Error(), "a.test may not sign for b.test") {
		t.Fatalf("got %v", err)
	}
	if _, err := w.home.Countersign(w.rand, testNow, w.home.CA()); err == nil {
		t.Fatal("a domain introduces itself")
	}
	if _, err := w.home.Countersign(w.rand, testNow, CACert{}); err == nil {
		t.Fatal("no certificate was countersigned")
	}
}

func TestLifetimes(t *testing.T) {
	w := newWorld(t)
	request := must[UserRequest](t)(NewUserRequest(w.rand, w.ann, mustName(t, "ann@a.test")))
	for _, bad := range []time.Duration{-time.Hour, 0, time.Millisecond, MaxLifetime + time.Second} {
		if _, err := w.home.SignUser(w.rand, testNow, request, bad); err == nil {
			t.Errorf("a lifetime of %v was granted", bad)
		}
		if _, err := w.home.SignLink(w.rand, testNow, w.link.Public(), bad); err == nil {
			t.Errorf("a lifetime of %v was granted", bad)
		}
	}
	late := w.home.CA().NotAfter().Add(-time.Hour)
	cert := must[UserCert](t)(w.home.SignUser(w.rand, late, request, UserLifetime))
	if !cert.NotAfter().Equal(w.home.CA().NotAfter()) {
		t.Error("a user's certificate outlives its authority")
	}
	cross := must[CrossCert](t)(w.home.Countersign(w.rand, late, w.peer.CA()))
	if cross.NotAfter().After(w.peer.CA().NotAfter()) {
		t.Error("a cross-certificate outlives what it is over")
	}
	if _, err := w.home.SignUser(w.rand, late.Add(2*time.Hour), request, UserLifetime); !errors.Is(err, ErrTime) {
		t.Errorf("an ended authority signs: %v", err)
	}
	if _, err := w.home.SignLink(w.rand, testNow, LinkPublic{}, LinkLifetime); err == nil {
		t.Error("the zero key was certified")
	}
}

func TestTimeIsAnErrorOfItsOwn(t *testing.T) {
	w := newWorld(t)
	leaf := must[*x509.Certificate](t)(x509.ParseCertificate(w.linkCert.DER()))
	judges := map[string]func(time.Time) error{
		"VerifyUser":     func(now time.Time) error { _, err := w.home.CA().VerifyUser(w.annCert.DER(), now); return err },
		"VerifyPeerUser": func(now time.Time) error { _, err := w.home.VerifyPeerUser(w.cross, w.bobCert.DER(), now); return err },
		"VerifyLink":     func(now time.Time) error { return w.peer.CA().VerifyLink(leaf, now) },
		"VerifyPeer":     func(now time.Time) error { _, err := w.home.VerifyPeer(w.cross, leaf, now); return err },
		"VerifyCard":     func(now time.Time) error { _, err := w.home.CA().VerifyCard(w.card(t).Raw(), now); return err },
		"descriptor":     w.descriptor(t).CheckTime,
		"card":           w.card(t).CheckTime,
	}
	for name, judge := range judges {
		for _, c := range []struct {
			now  time.Time
			good bool
		}{
			{testNow, true}, {testNow.Add(-ClockSkew), true}, {testNow.Add(-ClockSkew - time.Second), false},
			{testNow.Add(time.Hour), true}, {testNow.Add(500 * 24 * time.Hour), false},
		} {
			if err := judge(c.now); (err == nil) != c.good || !c.good && !errors.Is(err, ErrTime) {
				t.Errorf("%s at %v: %v", name, c.now.Sub(testNow), err)
			}
		}
	}
}

func TestZeroValuesVouchForNothing(t *testing.T) {
	w := newWorld(t)
	leaf := must[*x509.Certificate](t)(x509.ParseCertificate(w.linkCert.DER()))
	if _, err := (CACert{}).VerifyUser(w.annCert.DER(), testNow); err == nil {
		t.Error("no authority vouches for a user")
	}
	if err := (CACert{}).VerifyLink(leaf, testNow); err == nil {
		t.Error("no authority vouches for a node")
	}
	if _, err := w.home.VerifyPeer(CrossCert{}, leaf, testNow); err == nil {
		t.Error("no cross-certificate vouches for a node")
	}
	if _, err := w.home.VerifyPeer(w.cross, nil, testNow); err == nil {
		t.Error("a node without a certificate is a peer")
	}
	if err := w.home.CA().VerifyLink(nil, testNow); err == nil {
		t.Error("a node without a certificate is vouched for")
	}
	if (CACert{}).DER() != nil || (UserCert{}).DER() != nil || (LinkCert{}).DER() != nil || (CrossCert{}).DER() != nil {
		t.Error("the zero certificates have bytes")
	}
}

// The same randomness and time make the same bytes: nothing here looks at a
// clock or draws randomness of its own.
func TestSameSeedSameBytes(t *testing.T) {
	one, two := newWorld(t), newWorld(t)
	for _, pair := range [][2][]byte{
		{one.home.Marshal(), two.home.Marshal()}, {one.cross.DER(), two.cross.DER()},
		{one.annCert.DER(), two.annCert.DER()}, {one.linkCert.DER(), two.linkCert.DER()},
		{one.descriptor(t).Raw(), two.descriptor(t).Raw()}, {one.card(t).Raw(), two.card(t).Raw()},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Error("two runs differ")
		}
	}
}

func TestLongestNamesFit(t *testing.T) {
	w := newWorld(t)
	longest := strings.Repeat("a.", 126) + "b" // 253 bytes, 127 labels
	domain := mustDomain(t, longest)
	a := must[*Authority](t)(NewAuthority(w.rand, domain, testNow))
	must[CACert](t)(ParseCACert(a.CA().DER()))
	cross := must[CrossCert](t)(w.home.Countersign(w.rand, testNow, a.CA()))
	must[CrossCert](t)(ParseCrossCert(cross.DER()))
	cert := w.user(t, a, w.ann, strings.Repeat("x", 64)+"@"+longest)
	card := Card{Certificate: cert, Issued: testNow, Expires: testNow.Add(time.Hour)}
	for _, c := range "abcd" {
		card.Spools = append(card.Spools, mustDomain(t, string(c)+longest[1:]))
	}
	signed := must[SignedCard](t)(SignCard(w.ann, card))
	must[SignedCard](t)(a.CA().VerifyCard(signed.Raw(), testNow))
	d := Descriptor{Issued: testNow, Expires: testNow.Add(time.Hour)}
	for i := range MaxServerKeys {
		d.ServerKeys = append(d.ServerKeys, ServerKey{Period: Period(i)})
	}
	endpoint := strings.Repeat("a.", 124) + "b:65535"
	for range MaxLinks {
		d.Links = append(d.Links, endpoint)
	}
	for range MaxKeyServers {
		d.KeyServers = append(d.KeyServers, endpoint)
	}
	descriptor := must[SignedDescriptor](t)(a.SignDescriptor(d))
	t.Logf("longest: CA %d, user %d, card %d, descriptor %d bytes",
		len(a.CA().DER()), len(cert.DER()), len(signed.Raw()), len(descriptor.Raw()))
}

func TestUsualSizes(t *testing.T) {
	w := newWorld(t)
	t.Logf("a.test: CA %d, cross %d, user %d, link %d, card %d, descriptor %d bytes",
		len(w.home.CA().DER()), len(w.cross.DER()), len(w.annCert.DER()), len(w.linkCert.DER()),
		len(w.card(t).Raw()), len(w.descriptor(t).Raw()))
}
