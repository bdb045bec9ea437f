package pki

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestHandedOver(t *testing.T) {
	kn, no := hands(ByOld, 'K', 'N', 'O', 0), hands(ByOld, 'N', 'O', 'P', 0)
	for name, c := range map[string]struct {
		all []SignedSuccession
		is  letter
		way int // steps; 0: there is none
	}{
		"one":                         {[]SignedSuccession{kn}, 'N', 1},
		"two, whichever came first":   {[]SignedSuccession{no, kn}, 'O', 2},
		"on the way":                  {[]SignedSuccession{no, kn}, 'N', 1},
		"as it had committed":         {[]SignedSuccession{kn, hands(ByCommitted, 'N', 'O', 0, 0)}, 'O', 2},
		"nothing":                     {nil, 'N', 0},
		"a gap":                       {[]SignedSuccession{no}, 'O', 0},
		"to another":                  {[]SignedSuccession{kn, no}, 'P', 0},
		"the new key's word alone":    {[]SignedSuccession{hands(ByCommitted, 'K', 'N', 0, 0)}, 'N', 0},
		"not whom it committed to":    {[]SignedSuccession{kn, hands(ByOld, 'N', 'P', 0, 0)}, 'P', 0},
		"to two":                      {[]SignedSuccession{kn, hands(ByOld, 'K', 'P', 0, 0)}, 'N', 0},
		"of another domain":           {[]SignedSuccession{elsewhere(kn)}, 'N', 0},
		"by a root":                   {[]SignedSuccession{hands(ByRoot, 'K', 'N', 0, 'R')}, 'N', 0},
		"a root names another":        {[]SignedSuccession{kn, hands(ByRoot, 'K', 'P', 0, 'R')}, 'N', 0},
		"a root names it":             {[]SignedSuccession{kn, hands(ByRoot, 'P', 'N', 0, 'R')}, 'N', 0},
		"a root, after one":           {[]SignedSuccession{kn, hands(ByRoot, 'N', 'O', 0, 'R')}, 'O', 0},
		"a root, after who is sought": {[]SignedSuccession{kn, no, hands(ByRoot, 'O', 'P', 0, 'R')}, 'O', 2},
	} {
		for range 2 {
			way, err := HandedOver(c.all, lineDomain, key('K'), key(c.is))
			if len(way) != c.way || (err == nil) != (c.way > 0) || err != nil && !isNotHanded(err) {
				t.Errorf("%s: %d steps, %v", name, len(way), err)
			}
			slices.Reverse(c.all)
		}
	}
	if way, err := HandedOver(nil, lineDomain, key('K'), key('K')); len(way) > 0 || err != nil {
		t.Errorf("to itself: %v, %v", way, err)
	}
}

// What a key certified that handed over is good by its word of that, and by no other.
func TestCardsByAFormerAuthority(t *testing.T) {
	w := newWorld(t)
	made := w.successions(t)
	raw := must[SignedCard](t)(SignCard(w.ann, Card{
		Certificate: w.annCert, Serial: 1, Issued: testNow, Expires: testNow.Add(CardLifetime), Spools: []Domain{w.home.Domain()},
	})).Raw()
	card, err := made["old"].VerifyCard(raw, testNow)
	if err != nil || card.Certificate.Name() != w.annCert.Name() {
		t.Fatal(err)
	}
	for _, by := range []string{"alone", "rooted", "root"} {
		if _, err := made[by].VerifyCard(raw, testNow); err == nil {
			t.Errorf("%s: taken", by)
		}
	}
	late := made["old"]
	late.Issued = testNow.Add(-UserLifetime)
	if _, err := late.VerifyCard(raw, testNow); !errors.Is(err, ErrTime) {
		t.Errorf("long after it handed over: %v", err)
	}
	if _, err := made["old"].VerifyCard(raw, testNow.Add(UserLifetime+time.Hour)); !errors.Is(err, ErrTime) {
		t.Errorf("when the card has run out: %v", err)
	}
	other := made["old"]
	other.Old, other.signer = w.peer.CA().Fingerprint(), w.peer.domain.public().domain
	if _, err := other.VerifyCard(raw, testNow); err == nil {
		t.Error("by another key")
	}
	other.Old = made["old"].Old // claims to be that key
	if _, err := other.VerifyCard(raw, testNow); !errors.Is(err, errSignature) {
		t.Errorf("by a key that did not sign: %v", err)
	}
	elsewhere := made["old"]
	elsewhere.Domain = w.peer.Domain()
	if _, err := elsewhere.VerifyCard(raw, testNow); err == nil {
		t.Error("of another domain")
	}
}

func isNotHanded(err error) bool {
	var broken *NotHandedError
	return errors.As(err, &broken)
}
