package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The world of the tests: a.test countersigns b.test, ann lives at a.test and
// bob at b.test. All of it follows from one seed.

var testNow = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// testRand returns a stream that is the same in every run.
func testRand(seed byte) io.Reader {
	return rand.NewChaCha8([32]byte{seed})
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func mustDomain(t testing.TB, text string) Domain { return must[Domain](t)(ParseDomain(text)) }

func mustName(t testing.TB, text string) Name { return must[Name](t)(ParseName(text)) }

type world struct {
	rand     io.Reader
	home     *Authority // a.test
	peer     *Authority // b.test
	cross    CrossCert  // a.test's over b.test
	ann, bob IdentityKey
	annCert  UserCert
	bobCert  UserCert
	link     LinkKey // of b.test's node
	linkCert LinkCert

	offline   OfflineRoot   // of a.test
	successor Successor     // of a.test
	revoker   RevocationKey // of ann
	device    DeviceKey     // of ann
	log       LogKey        // of a.test
	witness   WitnessKey    // of a.test
}

func newWorld(t testing.TB) *world {
	t.Helper()
	r := testRand(1)
	w := &world{rand: r}
	w.home = must[*Authority](t)(NewAuthority(r, mustDomain(t, "a.test"), testNow))
	w.peer = must[*Authority](t)(NewAuthority(r, mustDomain(t, "b.test"), testNow))
	w.cross = must[CrossCert](t)(w.home.Countersign(r, testNow, w.peer.CA()))
	w.ann = must[IdentityKey](t)(NewIdentityKey(r))
	w.bob = must[IdentityKey](t)(NewIdentityKey(r))
	w.annCert = w.user(t, w.home, w.ann, "ann@a.test")
	w.bobCert = w.user(t, w.peer, w.bob, "bob@b.test")
	w.link = must[LinkKey](t)(NewLinkKey(r))
	w.linkCert = must[LinkCert](t)(w.peer.SignLink(r, testNow, w.link.Public(), LinkLifetime))
	w.offline = must[OfflineRoot](t)(NewOfflineRoot(r))
	w.successor = must[Successor](t)(NewSuccessor(r))
	w.revoker = must[RevocationKey](t)(NewRevocationKey(r))
	w.device = must[DeviceKey](t)(NewDeviceKey(r))
	w.log = must[LogKey](t)(NewLogKey(r))
	w.witness = must[WitnessKey](t)(NewWitnessKey(r))
	return w
}

func (w *world) user(t testing.TB, a *Authority, key IdentityKey, name string) UserCert {
	t.Helper()
	request := must[UserRequest](t)(NewUserRequest(w.rand, key, mustName(t, name)))
	return must[UserCert](t)(a.SignUser(w.rand, testNow, request, UserLifetime))
}

func (w *world) descriptor(t testing.TB) SignedDescriptor {
	t.Helper()
	key := ServerKey{Period: PeriodAt(testNow)}
	next := ServerKey{Period: key.Period + 1}
	if _, err := io.ReadFull(w.rand, key.Public[:]); err != nil {
		t.Fatal(err)
	}
	return must[SignedDescriptor](t)(w.home.SignDescriptor(Descriptor{
		Serial:     7,
		Issued:     testNow,
		Expires:    testNow.Add(DescriptorLifetime),
		ServerKeys: []ServerKey{key, next},
		Links:      []string{"127.0.0.1:7001", "[2001:db8::1]:7001"},
		KeyServers: []string{"keys.a.test:7002"},
		Log:        w.log.Public(), Witness: w.witness.Public(), Labels: [LabelsSize]byte{8},
	}))
}

func (w *world) card(t testing.TB) SignedCard {
	t.Helper()
	c := Card{
		Certificate: w.annCert,
		Serial:      3,
		Issued:      testNow,
		Expires:     testNow.Add(CardLifetime),
		Spools:      []Domain{mustDomain(t, "a.test"), mustDomain(t, "b.test")},
	}
	if _, err := io.ReadFull(w.rand, c.Seal[:]); err != nil {
		t.Fatal(err)
	}
	return must[SignedCard](t)(SignCard(w.ann, c))
}

// forgeLeaf signs a leaf over bob's key by the true authority of b.test, with
// whatever extensions and subject: all else is as the profile has it, so a
// refusal is about nothing else.
func (w *world) forgeLeaf(t testing.TB, subject []byte, extensions ...pkix.Extension) *x509.Certificate {
	t.Helper()
	return must[*x509.Certificate](t)(issue(w.rand, testNow, w.peer.domain.domain, order{
		subject:    subject,
		key:        w.bob.Public().identity,
		parent:     w.peer.ca.cert,
		notAfter:   testNow.Add(time.Hour),
		extensions: extensions,
	}))
}

// leafWith is userProfile with another subjectAltName, or without any.
func (w *world) leafWith(names ...pkix.Extension) []pkix.Extension {
	profile := []pkix.Extension{keyUsage(usageSignature), extKeyUsage(oidClientAuth, oidServerAuth)}
	return append(append(profile, names...), authorityKey(w.peer.CA().Fingerprint()))
}

// stockAccepts says what crypto/x509 alone thinks of federation root, cross,
// leaf: a test of a pitfall shows with it that the pitfall is real.
func (w *world) stockAccepts(leaf *x509.Certificate, crosses ...*x509.Certificate) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(w.home.root)
	for _, cross := range crosses {
		between.AddCert(cross)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: between,
		CurrentTime:   testNow,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// refuseEverywhere fails unless each of our judges refuses the leaf, and one
// of them for the reason given.
func (w *world) refuseEverywhere(t *testing.T, leaf *x509.Certificate, reason string) {
	t.Helper()
	_, across := w.home.VerifyPeerUser(w.cross, leaf.Raw, testNow)
	_, user := w.peer.CA().VerifyUser(leaf.Raw, testNow)
	_, peer := w.home.VerifyPeer(w.cross, leaf, testNow)
	link := w.peer.CA().VerifyLink(leaf, testNow)
	found := false
	for judge, err := range map[string]error{"VerifyPeerUser": across, "VerifyUser": user, "VerifyPeer": peer, "VerifyLink": link} {
		if err == nil {
			t.Errorf("%s accepts it", judge)
			continue
		}
		found = found || strings.Contains(err.Error(), reason)
	}
	if !found {
		t.Errorf("refused, but not because %q: %v; %v; %v; %v", reason, across, user, peer, link)
	}
}
