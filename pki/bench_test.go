package pki

import (
	"crypto/ed25519"
	"slices"
	"testing"
	"time"
)

// BenchmarkIssueUser parses a request, verifies its proof of possession, and
// signs the certificate.
func BenchmarkIssueUser(b *testing.B) {
	w := newWorld(b)
	der := must[UserRequest](b)(NewUserRequest(w.rand, w.ann, mustName(b, "ann@a.test"))).DER()
	b.ReportAllocs()
	for b.Loop() {
		request, err := ParseUserRequest(der)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.home.SignUser(w.rand, testNow, request, UserLifetime); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFloorIssue is what no implementation of BenchmarkIssueUser gets
// under: one signature and two verifications, of the request and of what was
// signed.
func BenchmarkFloorIssue(b *testing.B) {
	w := newWorld(b)
	message := make([]byte, 300)
	public := ed25519.PublicKey(w.ann.Public().Bytes())
	b.ReportAllocs()
	for b.Loop() {
		signature := ed25519.Sign(w.ann.identity, message)
		for range 2 {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("a good signature is refused")
			}
		}
	}
}

// BenchmarkIssueAgainstFloor runs the two above by turns, so that what else the
// machine does falls on both, and reports the ratio of their medians.
func BenchmarkIssueAgainstFloor(b *testing.B) {
	w := newWorld(b)
	der := must[UserRequest](b)(NewUserRequest(w.rand, w.ann, mustName(b, "ann@a.test"))).DER()
	message := make([]byte, 300)
	public := ed25519.PublicKey(w.ann.Public().Bytes())
	var issue, floor []time.Duration
	for b.Loop() {
		start := time.Now()
		request := must[UserRequest](b)(ParseUserRequest(der))
		must[UserCert](b)(w.home.SignUser(w.rand, testNow, request, UserLifetime))
		middle := time.Now()
		signature := ed25519.Sign(w.ann.identity, message)
		for range 2 {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("a good signature is refused")
			}
		}
		issue = append(issue, middle.Sub(start))
		floor = append(floor, time.Since(middle))
	}
	b.ReportMetric(float64(median(issue))/float64(median(floor)), "x-floor")
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
