package message

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A world is two users of two homes.
type world struct {
	rand           *rand.ChaCha8
	now            time.Time
	home           *pki.Authority
	ann            pki.IdentityKey
	certificate    pki.UserCert
	annKeys, bob   *PrivateKeys
	bobName        pki.Name
	otherHome      *pki.Authority
	stranger       pki.IdentityKey
	strangersProof pki.UserCert
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{rand: rand.NewChaCha8([32]byte{1}), now: time.Unix(1_795_000_000, 0).UTC()}
	w.home, w.ann, w.certificate = user(t, w, "ann@a.test")
	w.otherHome, w.stranger, w.strangersProof = user(t, w, "eve@a.test")
	w.annKeys, w.bob = keys(t, w), keys(t, w)
	var err error
	w.bobName, err = pki.ParseName("bob@b.test")
	check(t, err)
	return w
}

func user(t testing.TB, w *world, text string) (*pki.Authority, pki.IdentityKey, pki.UserCert) {
	t.Helper()
	name, err := pki.ParseName(text)
	check(t, err)
	home, err := pki.NewAuthority(w.rand, name.Domain(), w.now)
	check(t, err)
	identity, err := pki.NewIdentityKey(w.rand)
	check(t, err)
	request, err := pki.NewUserRequest(w.rand, identity, name)
	check(t, err)
	certificate, err := home.SignUser(w.rand, w.now, request, pki.UserLifetime)
	check(t, err)
	return home, identity, certificate
}

func keys(t testing.TB, w *world) *PrivateKeys {
	t.Helper()
	k, err := NewPrivateKeys(w.rand)
	check(t, err)
	return k
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content is a text by ann.
func (w *world) content(text string) Content {
	spool, err := pki.ParseDomain("a.test")
	if err != nil {
		panic(err)
	}
	c := Content{
		Kind: Text, ID: mor.MessageID{7}, At: w.now, Text: text, Name: w.certificate.Name(),
		Certificate: w.certificate.DER(), Secret: [32]byte{9}, Spools: []pki.Domain{spool},
	}
	c.Sign(w.ann, w.annKeys.Public())
	return c
}

func (w *world) seal(t testing.TB, c Content) []byte {
	t.Helper()
	sealed, err := Seal(w.rand, w.annKeys, w.bob.Public(), w.bobName, c)
	check(t, err)
	return sealed
}

func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	ack := w.content("")
	ack.Kind, ack.About = Acknowledgement, mor.MessageID{8}
	long := w.content("x")
	for _, c := range []Content{w.content("hello"), ack, w.content(strings.Repeat("é", long.MaxText()/2))} {
		sealed := w.seal(t, c)
		if len(sealed) != Size {
			t.Fatalf("%d bytes, want %d", len(sealed), Size)
		}
		got, err := Open(w.bob, w.bobName, sealed)
		check(t, err)
		if got.Kind != c.Kind || got.ID != c.ID || got.About != c.About || !got.At.Equal(c.At) || got.Text != c.Text ||
			got.Name != c.Name || got.Secret != c.Secret || len(got.Spools) != 1 || got.Spools[0] != c.Spools[0] {
			t.Errorf("got %+v, want %+v", got, c)
		}
		certificate, err := got.Vouched(w.home.CA(), w.now)
		check(t, err)
		if certificate.Key() != w.ann.Public() {
			t.Error("vouched for another key")
		}
	}
}

// The size of what is sealed is the same whatever the text, and the seal key stays as
// long as there is room.
func TestSizeIsConstant(t *testing.T) {
	w := newWorld(t)
	room := w.content("x").MaxText()
	if room < 4200 {
		t.Errorf("room for %d bytes of text, want 4200", room)
	}
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, room).Draw(r, "bytes")
		sealed := w.seal(t, w.content(strings.Repeat("a", n)))
		got, err := Open(w.bob, w.bobName, sealed)
		if err != nil || len(sealed) != Size || len(got.Text) != n {
			r.Fatalf("%d bytes sealed, text of %d, %v", len(sealed), len(got.Text), err)
		}
		if (got.Seal != nil) != (n <= room-pki.SealSize) {
			r.Errorf("text of %d bytes: seal key there: %t", n, got.Seal != nil)
		}
	})
	var tooLong *TooLongError
	_, err := Seal(w.rand, w.annKeys, w.bob.Public(), w.bobName, w.content(strings.Repeat("a", room+1)))
	if !errors.As(err, &tooLong) || tooLong.Max != room || tooLong.Size != room+1 {
		t.Errorf("got %v, want a TooLongError with %d", err, room)
	}
}

func TestAnyFlipIsRefused(t *testing.T) {
	w := newWorld(t)
	sealed := w.seal(t, w.content("hello"))
	rapid.Check(t, func(r *rapid.T) {
		bit := rapid.IntRange(0, Size*8-1).Draw(r, "bit")
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := Open(w.bob, w.bobName, changed); !errors.Is(err, ErrOpen) {
			r.Fatalf("bit %d: %v, want ErrOpen", bit, err)
		}
	})
}

func TestOnlyItsRecipientOpens(t *testing.T) {
	w := newWorld(t)
	sealed := w.seal(t, w.content("hello"))
	for name, k := range map[string]*PrivateKeys{"the sender": w.annKeys, "a stranger": keys(t, w)} {
		if _, err := Open(k, w.bobName, sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v, want ErrOpen", name, err)
		}
	}
	for _, size := range []int{0, encSize, Size - 1, Size + 1} {
		if _, err := Open(w.bob, w.bobName, make([]byte, size)); !errors.Is(err, ErrOpen) {
			t.Errorf("%d bytes: %v, want ErrOpen", size, err)
		}
	}
}

// Whoever holds only the recipient's public keys cannot write in ann's name.
func TestForgery(t *testing.T) {
	w := newWorld(t)
	eve := keys(t, w)
	c := w.content("I am ann")
	if _, err := Seal(w.rand, eve, w.bob.Public(), w.bobName, c); !errors.Is(err, ErrContent) {
		t.Errorf("sealed with another's auth key: %v", err)
	}
	lying := *eve
	lying.keys.Auth = w.annKeys.keys.Auth // says ann's key, computes with eve's
	sealed, err := Seal(w.rand, &lying, w.bob.Public(), w.bobName, c)
	check(t, err)
	if _, err := Open(w.bob, w.bobName, sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("opened a forgery: %v", err)
	}
}

// What was written to somebody who states bob's keys as her own does not pass for written
// to bob when she hands it on.
func TestHandedOn(t *testing.T) {
	w := newWorld(t)
	toEve, err := Seal(w.rand, w.annKeys, w.bob.Public(), w.strangersProof.Name(), w.content("you, eve"))
	check(t, err)
	if _, err := Open(w.bob, w.bobName, toEve); !errors.Is(err, ErrOpen) {
		t.Errorf("opened what was written to eve: %v", err)
	}
}

// A certificate that leaves no room is an error, not a panic.
func TestNoRoom(t *testing.T) {
	w := newWorld(t)
	c := w.content("")
	c.Kind, c.About[0], c.Certificate = Acknowledgement, 1, make([]byte, pki.MaxCertificateSize)
	var tooLong *TooLongError
	if _, err := Seal(w.rand, w.annKeys, w.bob.Public(), w.bobName, c); !errors.As(err, &tooLong) || tooLong.Max != 0 {
		t.Errorf("%v, want a TooLongError", err)
	}
}

// The recipient alone can make a message that opens as one from ann to him: nothing in
// it convinces anybody else (row C13).
func TestDeniable(t *testing.T) {
	w := newWorld(t)
	true1, err := Open(w.bob, w.bobName, w.seal(t, w.content("what ann wrote")))
	check(t, err)
	invented := true1
	invented.Text = "what bob made up"
	body := invented.padded()
	enc, sealer, err := setupSender(w.rand, w.bob.Public())
	check(t, err)
	mac, err := w.bob.mac(invented.Auth, parties{invented.Auth, w.bob.keys.Auth, w.bobName}, sealer, body)
	check(t, err)
	sealed, err := sealer.Seal(append(mac, body...), nil)
	check(t, err)
	got, err := Open(w.bob, w.bobName, append(enc, sealed...))
	check(t, err)
	if _, err := got.Vouched(w.home.CA(), w.now); err != nil || got.Text != "what bob made up" {
		t.Errorf("the transcript can be told apart: %v", err)
	}
}

func TestVouched(t *testing.T) {
	w := newWorld(t)
	good := w.content("hello")
	for name, c := range map[string]struct {
		ca     pki.CACert
		now    time.Time
		change func(*Content)
	}{
		"another authority":   {w.otherHome.CA(), w.now, func(*Content) {}},
		"expired":             {w.home.CA(), w.now.Add(pki.UserLifetime + time.Hour), func(*Content) {}},
		"another name":        {w.home.CA(), w.now, func(c *Content) { c.Name = w.strangersProof.Name() }},
		"keys of another":     {w.home.CA(), w.now, func(c *Content) { c.Sign(w.stranger, w.annKeys.Public()) }},
		"another auth key":    {w.home.CA(), w.now, func(c *Content) { c.Auth[3] ^= 1 }},
		"another seal key":    {w.home.CA(), w.now, func(c *Content) { c.SealHash[3] ^= 1 }},
		"certificate changed": {w.home.CA(), w.now, func(c *Content) { c.Certificate = c.Certificate[1:] }},
	} {
		changed := good
		c.change(&changed)
		if _, err := changed.Vouched(c.ca, c.now); err == nil {
			t.Errorf("%s: vouched", name)
		}
	}
}

// Whose key wrote can be seen without her home, and which authority she says is hers.
func TestClaimed(t *testing.T) {
	w := newWorld(t)
	good := w.content("hello")
	identity, authority, err := good.Claimed()
	check(t, err)
	if identity != w.ann.Public() || authority != w.home.CA().Fingerprint() {
		t.Errorf("claimed to be of %s by %s", identity.Fingerprint(), authority)
	}
	for name, change := range map[string]func(*Content){
		"another name":        func(c *Content) { c.Name = w.strangersProof.Name() },
		"her certificate":     func(c *Content) { c.Sign(w.stranger, w.annKeys.Public()) },
		"another auth key":    func(c *Content) { c.Auth[3] ^= 1 },
		"certificate changed": func(c *Content) { c.Certificate = c.Certificate[1:] },
	} {
		changed := good
		change(&changed)
		if _, _, err := changed.Claimed(); err == nil {
			t.Errorf("%s: taken for hers", name)
		}
	}
}

func TestContentThatCannotBe(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Content){
		"no text":               func(c *Content) { c.Text = "" },
		"not UTF-8":             func(c *Content) { c.Text = "\xff" },
		"a text about":          func(c *Content) { c.About[0] = 1 },
		"kind":                  func(c *Content) { c.Kind = 3 },
		"acknowledges nothing":  func(c *Content) { c.Kind, c.Text = Acknowledgement, "" },
		"acknowledges, talks":   func(c *Content) { c.Kind, c.About[0] = Acknowledgement, 1 },
		"no name":               func(c *Content) { c.Name = pki.Name{} },
		"no certificate":        func(c *Content) { c.Certificate = nil },
		"no spool":              func(c *Content) { c.Spools = nil },
		"too many spools":       func(c *Content) { c.Spools = make([]pki.Domain, pki.MaxSpools+1) },
		"before 1970":           func(c *Content) { c.At = time.Unix(-1, 0) },
		"another's seal key":    func(c *Content) { c.SealHash = sha256.Sum256(nil) },
		"not the sender's auth": func(c *Content) { c.Auth = w.bob.Public().Auth },
	} {
		c := w.content("hello")
		change(&c)
		if _, err := Seal(w.rand, w.annKeys, w.bob.Public(), w.bobName, c); !errors.Is(err, ErrContent) {
			t.Errorf("%s: %v, want ErrContent", name, err)
		}
	}
}

// The standard library's HPKE opens what circl's sealed: a second judge.
func TestSecondHPKE(t *testing.T) {
	w := newWorld(t)
	sealed := w.seal(t, w.content("hello"))
	key, err := hpke.MLKEM768X25519().NewPrivateKey(w.bob.seed[:keySeedSize])
	check(t, err)
	r, err := hpke.NewRecipient(sealed[:encSize], key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(labelSeal))
	check(t, err)
	plain, err := r.Open(nil, sealed[encSize:])
	check(t, err)
	if len(plain) != plainSize || !bytes.Contains(plain, []byte("hello")) {
		t.Error("another plaintext")
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	again, err := ParsePrivateKeys(w.bob.Seed())
	check(t, err)
	if again.Public() != w.bob.Public() {
		t.Error("the seed gives other keys")
	}
	if _, err := ParsePrivateKeys(make([]byte, SeedSize-1)); !errors.Is(err, ErrKey) {
		t.Errorf("short seed: %v", err)
	}
	var bad Keys
	for i := range bad.Seal {
		bad.Seal[i] = 0xff
	}
	if _, err := Seal(w.rand, w.annKeys, bad, w.bobName, w.content("x")); err == nil {
		t.Error("sealed to a key that is none")
	}
	lowOrder := w.bob.Public()
	lowOrder.Auth = [AuthSize]byte{}
	if _, err := Seal(w.rand, w.annKeys, lowOrder, w.bobName, w.content("x")); !errors.Is(err, ErrKey) {
		t.Errorf("low order: %v, want ErrKey", err)
	}
}

// FuzzOpenSeal: no bytes make Open panic, and none but the sealed ones open.
func FuzzOpenSeal(f *testing.F) {
	w := newWorld(f)
	sealed := w.seal(f, w.content("hello"))
	f.Add(sealed)
	f.Add(sealed[:encSize])
	f.Add(make([]byte, Size))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := Open(w.bob, w.bobName, raw); (err == nil) != bytes.Equal(raw, sealed) {
			t.Errorf("opened: %v", err)
		}
	})
}

// FuzzContent: what parses is what marshal writes.
func FuzzContent(f *testing.F) {
	w := newWorld(f)
	for _, c := range []Content{w.content("hello"), w.content(strings.Repeat("a", 4000))} {
		fitting, err := c.fit()
		check(f, err)
		f.Add(fitting.padded())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseContent(raw)
		if err != nil || len(raw) != bodySize {
			return
		}
		if !bytes.Equal(c.padded(), raw) {
			t.Error("parsed bytes that marshal would not have written")
		}
	})
}
