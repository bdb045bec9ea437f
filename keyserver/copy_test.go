package keyserver

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

var testLeaf = keylog.Leaf{Kind: keylog.Card, Time: time.Unix(1_800_000_000, 0).UTC()}

func sealedCopy(t testing.TB, who pki.Name, key pki.Fingerprint, card []byte) SealedCopy {
	t.Helper()
	sealed, err := sealCopy(who, key, testLeaf, bytes.Repeat([]byte{7}, keylog.LabelProofSize), card)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// A copy is opened by who knows the name or the key, and by nobody else; it does not say whose it is, and no
// bit of it can be changed.
func TestSealedCopy(t *testing.T) {
	ann, key, card := name(t, "ann@a.test"), pki.Fingerprint{1}, []byte("the card of ann@a.test")
	sealed := sealedCopy(t, ann, key, card)
	if bytes.Contains(sealed, []byte("ann")) || bytes.Contains(sealed, key[:8]) {
		t.Error("it says whose it is")
	}
	for _, of := range []Subject{{Name: ann}, {Key: key}} {
		o, err := sealed.Open(of)
		if err != nil || !bytes.Equal(o.Card, card) || o.Time != 1_800_000_000 || o.Label[79] != 7 {
			t.Errorf("%+v: %+v, %v", of, o, err)
		}
		for i := range sealed {
			bent := bytes.Clone(sealed)
			bent[i] ^= 1
			o, err := SealedCopy(bent).Open(of)
			wrapped := 64 <= i && i < 64+copyKeySize+copyTag && of.Key.IsZero() // the other's half
			if !wrapped && !errors.Is(err, ErrCopy) || wrapped && !bytes.Equal(o.Card, card) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
		}
	}
	for _, of := range []Subject{{Name: name(t, "anna@a.test")}, {Name: name(t, "ann@b.test")}, {Key: pki.Fingerprint{2}}, {}} {
		if _, err := sealed.Open(of); !errors.Is(err, ErrCopy) {
			t.Errorf("opened by %+v: %v", of, err)
		}
	}
	if _, err := sealCopy(ann, key, testLeaf, make([]byte, keylog.LabelProofSize), make([]byte, pki.MaxCardSize+1)); err == nil {
		t.Error("sealed a card that is too long")
	}
}

func FuzzSealedCopy(f *testing.F) {
	who, err := pki.ParseName("ann@a.test")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(sealedCopy(f, who, pki.Fingerprint{1}, []byte("card"))))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := SealedCopy(raw).Open(Subject{Name: who})
		if err == nil && (len(o.Card) == 0 || len(o.Card) > pki.MaxCardSize) {
			t.Errorf("a card of %d bytes", len(o.Card))
		}
	})
}

// What the log of her home says was replaced, or has ended, is shown by no copy: neither the one that her home gave nor
// the one that was fetched before that. One that was fetched after it is newer.
func TestReplacedCopiesAreMissed(t *testing.T) {
	bob := newPerson(t, authority(t, "b.test"), "bob@b.test")
	given := bob.card(t, 2)
	w := newWorld(t, "a.test", func(c *Config) {
		c.Copied = func(context.Context, Subject) (Copied, error) { return Copied{Card: given}, ErrOldCopy }
	})
	for serial := uint64(1); serial <= 3; serial++ {
		card := bob.card(t, serial)
		must(t, w.store.PutCachedUser(t.Context(), store.User{
			Name: "bob@b.test", Fingerprint: bob.key.Fingerprint(), Certificate: bob.cert.DER(), Card: card.Raw(), Serial: serial,
			NotAfter: bob.cert.NotAfter(), StoredAt: time.Now().Add(-2 * CacheFresh),
		}))
		for _, target := range []string{"/v1/user/bob@b.test", "/v1/key/" + bob.key.Fingerprint().String()} {
			if out, want := asked(w.server, target), map[bool]int{true: 200, false: 404}[serial > given.Serial]; out.Code != want {
				t.Errorf("%s, of serial %d: %d", target, serial, out.Code)
			}
		}
	}
	if out := asked(w.server, "/v1/proof/user/bob@b.test"); out.Code != 404 {
		t.Errorf("proof: %d", out.Code)
	}
}
