package pki

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"
	"time"
)

// An issuer is what a node does with a request: parse it, verify its proof of possession,
// sign the certificate.
func issuer(b *testing.B) func() {
	w := newWorld(b)
	der := must[UserRequest](b)(NewUserRequest(w.rand, w.ann, mustName(b, "ann@a.test"))).DER()
	return func() {
		request := must[UserRequest](b)(ParseUserRequest(der))
		must[UserCert](b)(w.home.SignUser(w.rand, testNow, request, UserLifetime))
	}
}

// floors are the signature and the verification that no implementation does without: as
// many bytes are signed as a certificate has.
func floors(b *testing.B) (sign, verify func()) {
	w := newWorld(b)
	message := make([]byte, 300)
	public := ed25519.PublicKey(w.ann.Public().Bytes())
	signature := ed25519.Sign(w.ann.identity, message)
	return func() { ed25519.Sign(w.ann.identity, message) }, func() {
		if !ed25519.Verify(public, message, signature) {
			b.Fatal("a good signature is refused")
		}
	}
}

// BenchmarkIssue is one certificate, the check of its request included.
func BenchmarkIssue(b *testing.B) {
	issue := issuer(b)
	b.ReportAllocs()
	for b.Loop() {
		issue()
	}
}

func BenchmarkFloorSign(b *testing.B) {
	sign, _ := floors(b)
	for b.Loop() {
		sign()
	}
}

func BenchmarkFloorVerify(b *testing.B) {
	_, verify := floors(b)
	for b.Loop() {
		verify()
	}
}

// BenchmarkIssueAgainstFloor runs one certificate, and one signature with two verifications
// (of the request, and of what was signed), by turns, so that what else the machine does
// falls on both, and reports the ratio of their medians.
func BenchmarkIssueAgainstFloor(b *testing.B) {
	issue := issuer(b)
	sign, verify := floors(b)
	againstEachOther(b, "x-floor", issue, func() { sign(); verify(); verify() })
}

// againstEachOther reports the median of one over that of the other.
func againstEachOther(b *testing.B, unit string, one, other func()) {
	var first, second []time.Duration
	for b.Loop() {
		start := time.Now()
		one()
		middle := time.Now()
		other()
		first, second = append(first, middle.Sub(start)), append(second, time.Since(middle))
	}
	b.ReportMetric(float64(median(first))/float64(median(second)), unit)
}

// A judge of many peers picks the one cross-certificate by the key that the leaf names,
// and verifies through that alone.
func chainVerifier(b *testing.B, peers int) func() {
	w := newWorld(b)
	crosses := map[Fingerprint]CrossCert{w.cross.Fingerprint(): w.cross}
	for i := range peers - 1 {
		other := must[*Authority](b)(NewAuthority(w.rand, mustDomain(b, fmt.Sprintf("n%d.test", i)), testNow))
		cross := must[CrossCert](b)(w.home.Countersign(w.rand, testNow, other.CA()))
		crosses[cross.Fingerprint()] = cross
	}
	der := w.bobCert.DER()
	return func() {
		_, _, issuer, err := UserIssuer(der)
		if err == nil {
			_, err = w.home.VerifyPeerUser(crosses[issuer], der, testNow)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyChain10(b *testing.B) {
	verify := chainVerifier(b, 10)
	for b.Loop() {
		verify()
	}
}

func BenchmarkVerifyChain10000(b *testing.B) {
	verify := chainVerifier(b, 10_000)
	for b.Loop() {
		verify()
	}
}

// BenchmarkVerifyChainManyAgainstFew runs the two above by turns.
func BenchmarkVerifyChainManyAgainstFew(b *testing.B) {
	againstEachOther(b, "x-10-peers", chainVerifier(b, 10_000), chainVerifier(b, 10))
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func BenchmarkVerifyUser(b *testing.B) {
	w := newWorld(b)
	der := w.annCert.DER()
	for b.Loop() {
		if _, err := w.home.CA().VerifyUser(der, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPeer(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		if _, err := w.home.VerifyPeer(w.cross, w.linkCert.cert, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDescriptor(b *testing.B) {
	raw := newWorld(b).descriptor(b).Raw()
	for b.Loop() {
		if _, err := ParseDescriptor(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCard(b *testing.B) {
	w := newWorld(b)
	raw := w.card(b).Raw()
	for b.Loop() {
		if _, err := w.home.CA().VerifyCard(raw, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyView is a view of 512 domains.
func BenchmarkVerifyView(b *testing.B) {
	w := newWorld(b)
	v := View{Issued: testNow, Expires: testNow.Add(ViewLifetime)}
	for i := range MaxSightings {
		v.Sightings = append(v.Sightings, Sighting{Domain: mustDomain(b, fmt.Sprintf("n%04d.test", i)), Key: Fingerprint{1}, Since: testNow})
	}
	raw := must[SignedView](b)(w.home.SignView(v)).Raw()
	for b.Loop() {
		if _, err := w.home.CA().VerifyView(raw, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckRevocation(b *testing.B) {
	w := newWorld(b)
	raw := w.revocations(b)[ByRevoker].Raw()
	for b.Loop() {
		r := must[Revocation](b)(ParseRevocation(raw))
		if err := r.Check(w.known()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSuccession(b *testing.B) {
	raw := newWorld(b).successions(b)["old"].Raw()
	for b.Loop() {
		must[SignedSuccession](b)(ParseSuccession(raw))
	}
}
