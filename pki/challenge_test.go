package pki

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// challenge is ann's, against an entry that she did not make.
func (w *world) challenge(t testing.TB) Challenge {
	t.Helper()
	return must[Challenge](t)(w.ann.Challenge(w.annCert.DER(), [32]byte{1, 2, 3}, testNow))
}

func TestChallengeRoundTrip(t *testing.T) {
	w := newWorld(t)
	c := w.challenge(t)
	back, err := ParseChallenge(c.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if back.Name() != w.annCert.Name() || back.Key() != w.ann.Public() || back.Record != [32]byte{1, 2, 3} || !back.Issued.Equal(testNow) ||
		back.Says() != c.Says() || !bytes.Equal(back.Raw(), c.Raw()) {
		t.Errorf("came back as %+v", back)
	}
	if back.Against(w.ann.Public().Fingerprint()) || !back.Against(w.bob.Public().Fingerprint()) {
		t.Error("it speaks against her own key, or not against another one")
	}
}

// Nobody objects but a key that the domain has certified for the name, and not for longer than 90 days.
func TestWhoMayChallenge(t *testing.T) {
	w := newWorld(t)
	if _, err := w.bob.Challenge(w.annCert.DER(), [32]byte{}, testNow); err == nil || !strings.Contains(err.Error(), "of another key") {
		t.Errorf("bob objects for ann: %v", err)
	}
	c := w.challenge(t)
	for what, row := range map[string]struct {
		known Known
		now   time.Time
		want  error
	}{
		"now":                           {w.known(), testNow, nil},
		"at its end":                    {w.known(), testNow.Add(ChallengeLifetime - time.Second), nil},
		"after it":                      {w.known(), testNow.Add(ChallengeLifetime), ErrTime},
		"before it was made":            {w.known(), testNow.Add(-time.Hour), ErrTime},
		"of another domain":             {Known{CA: w.peer.CA()}, testNow, errOtherKey},
		"of an authority that was lost": {Known{CA: w.peer.CA(), Lost: []CACert{w.home.CA()}}, testNow, errOtherKey},
	} {
		if err := c.Check(row.known, row.now); !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, row.want)
		}
	}
	late := w.annCert.NotAfter().Add(ChallengeAfter)
	for at, want := range map[time.Time]error{late: nil, late.Add(time.Second): ErrTime} {
		lapsed := must[Challenge](t)(w.ann.Challenge(w.annCert.DER(), [32]byte{}, at))
		if err := lapsed.Check(w.known(), at); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("at %s, by a key whose certificate ended on %s: %v", at, w.annCert.NotAfter(), err)
		}
	}
	raw := c.Raw()
	raw[20] ^= 1
	if _, err := ParseChallenge(raw); err == nil {
		t.Error("altered, and accepted")
	}
	if _, err := ParseChallenge(append(c.Raw(), 0)); err == nil {
		t.Error("with a byte more, and accepted")
	}
}
