package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDescriptorRoundTrip(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		issued := time.Unix(rapid.Int64Range(0, lastSecond-1_000_000_000).Draw(rt, "issued"), 0).UTC()
		d := Descriptor{
			Serial:     rapid.Uint64().Draw(rt, "serial"),
			Issued:     issued,
			Expires:    issued.Add(time.Duration(rapid.Int64Range(1, 31*24*3600).Draw(rt, "span")) * time.Second),
			Links:      rapid.SliceOfN(rapid.StringMatching(`[a-z0-9]{1,20}\.test:[1-9][0-9]{0,3}`), 1, MaxLinks).Draw(rt, "links"),
			KeyServers: rapid.SliceOfN(rapid.StringMatching(`10\.[1-9]\.0\.1:[1-9][0-9]{0,3}`), 1, MaxKeyServers).Draw(rt, "key servers"),
		}
		period := Period(rapid.Uint32Range(0, 1<<31).Draw(rt, "period"))
		for i := range rapid.IntRange(1, MaxServerKeys).Draw(rt, "keys") {
			d.ServerKeys = append(d.ServerKeys, ServerKey{Period: period + Period(i), Public: [ServerKeySize]byte{byte(i), 7}})
		}
		if rapid.Bool().Draw(rt, "log") {
			d.Log, d.Witness, d.Labels = w.log.Public(), w.witness.Public(), [LabelsSize]byte{9}
		}
		signed, err := w.home.SignDescriptor(d)
		if err != nil {
			rt.Fatal(err)
		}
		if signed.HasLog() != !d.Log.IsZero() {
			rt.Fatal("it says otherwise whether there is a log")
		}
		back, err := ParseDescriptor(signed.Raw())
		if err != nil {
			rt.Fatal(err)
		}
		d.Domain, d.CA = w.home.Domain(), w.home.CA()
		if !bytes.Equal(back.body(), d.body()) || !bytes.Equal(back.Raw(), signed.Raw()) {
			rt.Fatal("it came back as another")
		}
		back.CA, d.CA = CACert{}, CACert{}
		if !reflect.DeepEqual(back.Descriptor, d) {
			rt.Fatalf("%+v came back as %+v", d, back.Descriptor)
		}
	})
}

func TestDescriptorLooksUpPeriods(t *testing.T) {
	d := newWorld(t).descriptor(t)
	if key, ok := d.ServerKeyFor(PeriodAt(testNow)); !ok || key != d.ServerKeys[0] {
		t.Error("the key of this period is not found")
	}
	if _, ok := d.ServerKeyFor(PeriodAt(testNow) + 2); ok {
		t.Error("a key of no period is found")
	}
}

func TestSignDescriptorRefuses(t *testing.T) {
	w := newWorld(t)
	good := w.descriptor(t).Descriptor
	for name, change := range map[string]func(*Descriptor){
		"no server key":        func(d *Descriptor) { d.ServerKeys = nil },
		"four server keys":     func(d *Descriptor) { d.ServerKeys = append(d.ServerKeys, d.ServerKeys...) },
		"a period twice":       func(d *Descriptor) { d.ServerKeys = []ServerKey{d.ServerKeys[0], d.ServerKeys[0]} },
		"periods descend":      func(d *Descriptor) { d.ServerKeys = []ServerKey{d.ServerKeys[1], d.ServerKeys[0]} },
		"no link":              func(d *Descriptor) { d.Links = nil },
		"nine links":           func(d *Descriptor) { d.Links = make([]string, 9) },
		"a link with no port":  func(d *Descriptor) { d.Links = []string{"a.test"} },
		"no key server":        func(d *Descriptor) { d.KeyServers = []string{} },
		"five key servers":     func(d *Descriptor) { d.KeyServers = make([]string, 5) },
		"a bad key server":     func(d *Descriptor) { d.KeyServers = []string{"https://a.test:1"} },
		"expires when issued":  func(d *Descriptor) { d.Expires = d.Issued },
		"for too long":         func(d *Descriptor) { d.Expires = d.Issued.Add(MaxDescriptorLifetime + time.Second) },
		"before 1970":          func(d *Descriptor) { d.Issued = time.Unix(-1, 0); d.Expires = time.Unix(9, 0) },
		"after 9999":           func(d *Descriptor) { d.Expires = time.Unix(lastSecond+1, 0); d.Issued = time.Unix(lastSecond-1, 0) },
		"of another's domain":  func(d *Descriptor) { d.Domain = w.peer.Domain() },
		"no log key":           func(d *Descriptor) { d.Log = LogPublic{} },
		"no witness key":       func(d *Descriptor) { d.Witness = WitnessPublic{} },
		"no key of labels":     func(d *Descriptor) { d.Labels = [LabelsSize]byte{} },
		"only a log key":       func(d *Descriptor) { d.Witness = WitnessPublic{}; d.Labels = [LabelsSize]byte{} },
		"log as witness":       func(d *Descriptor) { d.Witness.witness = d.Log.log },
		"log as labels":        func(d *Descriptor) { d.Labels = d.Log.log },
		"witness as labels":    func(d *Descriptor) { d.Labels = d.Witness.witness },
		"authority as log":     func(d *Descriptor) { d.Log.log = w.home.CA().Key().domain },
		"authority as witness": func(d *Descriptor) { d.Witness.witness = w.home.CA().Key().domain },
		"a weak log key":       func(d *Descriptor) { d.Log.log = point{1} },
		"issued at the zero t": func(d *Descriptor) { d.Issued = time.Time{} },
	} {
		d := good
		change(&d)
		if _, err := w.home.SignDescriptor(d); err == nil {
			t.Errorf("%s: signed", name)
		}
		// Signed all the same, by an authority that does not look: refused.
		if d.CA.domain == d.Domain && len(d.Links) < 9 {
			raw := sealStatement(w.home.domain.domain, LabelDescriptor, d.body())
			if _, err := ParseDescriptor(raw); err == nil {
				t.Errorf("%s: parsed", name)
			}
		}
	}
}

func TestDescriptorOfAnotherAuthority(t *testing.T) {
	w := newWorld(t)
	d := w.descriptor(t).Descriptor
	// b.test signs for a.test, with its own certificate or with that of a.test.
	d.CA = w.peer.CA()
	if _, err := ParseDescriptor(sealStatement(w.peer.domain.domain, LabelDescriptor, d.body())); err == nil {
		t.Error("another authority's descriptor is accepted")
	}
	d.CA = w.home.CA()
	if _, err := ParseDescriptor(sealStatement(w.peer.domain.domain, LabelDescriptor, d.body())); err == nil {
		t.Error("another key's signature is accepted")
	}
	if _, err := ParseDescriptor(sealStatement(w.home.domain.domain, LabelCard, d.body())); err == nil {
		t.Error("another label's signature is accepted")
	}
}

func TestEveryBitOfADescriptorCounts(t *testing.T) {
	raw := newWorld(t).descriptor(t).Raw()
	judge := func(b []byte) error { _, err := ParseDescriptor(b); return err }
	flipEach(t, raw, 13, judge)
	cutEach(t, raw, 31, judge)
}

func TestEveryBitOfACardCounts(t *testing.T) {
	w := newWorld(t)
	raw := w.card(t).Raw()
	flipEach(t, raw, 13, func(b []byte) error { _, err := ParseCard(b); return err })
	flipEach(t, raw, 97, func(b []byte) error { _, err := w.home.CA().VerifyCard(b, testNow); return err })
	cutEach(t, raw, 31, func(b []byte) error { _, err := ParseCard(b); return err })
}

// cutEach wants an error for what is too short or too long.
func cutEach(t *testing.T, raw []byte, step int, judge func([]byte) error) {
	t.Helper()
	for n := 0; n < len(raw); n += step {
		if judge(raw[:n]) == nil {
			t.Errorf("the first %d bytes are accepted", n)
		}
	}
	if judge(append(bytes.Clone(raw), 0)) == nil || judge(make([]byte, MaxDescriptorSize+1)) == nil {
		t.Error("a longer one is accepted")
	}
}

func TestAnyBitFlipIsRefused(t *testing.T) {
	w := newWorld(t)
	descriptor, card := w.descriptor(t).Raw(), w.card(t).Raw()
	rapid.Check(t, func(rt *rapid.T) {
		bit := rapid.IntRange(0, 8*len(descriptor)-1).Draw(rt, "bit of the descriptor")
		bent := bytes.Clone(descriptor)
		bent[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseDescriptor(bent); err == nil {
			rt.Fatal("accepted")
		}
		bit = rapid.IntRange(0, 8*len(card)-1).Draw(rt, "bit of the card")
		bent = bytes.Clone(card)
		bent[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseCard(bent); err == nil {
			rt.Fatal("accepted")
		}
	})
}

func TestCardRoundTrip(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := Card{
			Certificate: w.annCert,
			Serial:      rapid.Uint64().Draw(rt, "serial"),
			Issued:      testNow,
			Expires:     testNow.Add(time.Duration(rapid.IntRange(1, 24).Draw(rt, "hours")) * time.Hour),
			Auth:        [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "auth")),
			Requests:    [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "requests")),
			Seal:        [SealSize]byte{rapid.Byte().Draw(rt, "seal")},
		}
		for _, text := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,9}\.test`), 1, MaxSpools, rapid.ID).Draw(rt, "spools") {
			spool, err := ParseDomain(text)
			if err != nil {
				rt.Fatal(err)
			}
			c.Spools = append(c.Spools, spool)
		}
		for i := range rapid.IntRange(0, MaxDevices).Draw(rt, "devices") {
			key, err := NewDeviceKey(testRand(byte(i)))
			if err != nil {
				rt.Fatal(err)
			}
			since := testNow.Add(-time.Duration(rapid.IntRange(0, 1e6).Draw(rt, "since")) * time.Second)
			c.Devices = append(c.Devices, Device{key.Public(), since, [DeviceSealSize]byte{byte(i)}})
		}
		c.Devices = sortedDevices(c.Devices)
		signed, err := SignCard(w.ann, c)
		if err != nil {
			rt.Fatal(err)
		}
		back, err := w.home.CA().VerifyCard(signed.Raw(), testNow)
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(back, signed) || !bytes.Equal(back.body(), c.body()) {
			rt.Fatal("it came back as another")
		}
		claimed, err := ParseCard(signed.Raw())
		if err != nil || claimed.Name() != w.annCert.Name() || claimed.Key() != w.ann.Public() ||
			claimed.Issuer() != w.home.CA().Fingerprint() || !bytes.Equal(claimed.Raw(), signed.Raw()) {
			rt.Fatalf("it claims another: %v, %v", claimed.Name(), err)
		}
	})
}

func TestCardRefuses(t *testing.T) {
	w := newWorld(t)
	good, device := w.card(t).Card, Device{Key: w.device.Public(), Since: testNow}
	for name, change := range map[string]func(*Card){
		"no certificate": func(c *Card) { c.Certificate = UserCert{} },
		"no spool":       func(c *Card) { c.Spools = nil },
		"a spool twice":  func(c *Card) { c.Spools = []Domain{c.Spools[0], c.Spools[0]} },
		"no domain":      func(c *Card) { c.Spools = []Domain{{}} },
		"five spools":    func(c *Card) { c.Spools = append(c.Spools, append(c.Spools, Domain{"c.test"})...) },
		"for too long":   func(c *Card) { c.Expires = c.Issued.Add(MaxCardLifetime + time.Second) },
		"ends first":     func(c *Card) { c.Expires = c.Issued.Add(-time.Second) },
		"a bad spool":    func(c *Card) { c.Spools = []Domain{{"A.test"}} },

		"a device twice":        func(c *Card) { c.Devices = []Device{device, device} },
		"nine devices":          func(c *Card) { c.Devices = devicesOf(t, MaxDevices+1) },
		"a device of no key":    func(c *Card) { c.Devices = []Device{{Since: testNow}} },
		"a device of tomorrow":  func(c *Card) { c.Devices = []Device{{Key: device.Key, Since: testNow.Add(time.Second)}} },
		"a device before 1970":  func(c *Card) { c.Devices = []Device{{Key: device.Key, Since: time.Unix(-1, 0)}} },
		"the identity's device": func(c *Card) { c.Devices = []Device{{Key: DevicePublic{c.Certificate.key.identity}, Since: testNow}} },
	} {
		c := good
		change(&c)
		if _, err := SignCard(w.ann, c); err == nil && name != "a bad spool" {
			t.Errorf("%s: signed", name)
		}
		if _, err := ParseCard(sealStatement(w.ann.identity, LabelCard, c.body())); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	if _, err := SignCard(w.bob, good); err == nil {
		t.Error("bob signs ann's card")
	}
	if _, err := ParseCard(sealStatement(w.bob.identity, LabelCard, good.body())); err == nil {
		t.Error("bob's signature is good under ann's card")
	}
}

func TestVerifyCardNeedsTheRightHome(t *testing.T) {
	w := newWorld(t)
	raw := w.card(t).Raw()
	if _, err := w.peer.CA().VerifyCard(raw, testNow); err == nil || !strings.Contains(err.Error(), "b.test may not sign for a.test") {
		t.Errorf("got %v", err)
	}
	// Eve makes an authority of the same domain: her card is well signed, and
	// nobody who knows the home's key vouches for it.
	eve := must[*Authority](t)(NewAuthority(testRand(4), w.home.Domain(), testNow))
	card := w.card(t).Card
	card.Certificate = w.user(t, eve, w.ann, "ann@a.test")
	forged := must[SignedCard](t)(SignCard(w.ann, card))
	must[UnvouchedCard](t)(ParseCard(forged.Raw()))
	if _, err := w.home.CA().VerifyCard(forged.Raw(), testNow); err == nil {
		t.Error("a card by another authority of the name is accepted")
	}
}

func TestRequestRefuses(t *testing.T) {
	w := newWorld(t)
	name := mustName(t, "ann@a.test")
	good := must[UserRequest](t)(NewUserRequest(w.rand, w.ann, name))
	back := must[UserRequest](t)(ParseUserRequest(good.DER()))
	if back.Name() != name || back.Key() != w.ann.Public() {
		t.Fatal("it came back as another")
	}
	flipEach(t, good.DER(), 1, func(b []byte) error { _, err := ParseUserRequest(b); return err })
	mail := altName(tagMail, "ann@a.test")
	for what, template := range map[string]x509.CertificateRequest{
		"a subject":       {Subject: pkix.Name{CommonName: "ann@a.test"}, ExtraExtensions: []pkix.Extension{subjectAltName(tagMail, name.String())}},
		"no name":         {},
		"two names":       {ExtraExtensions: []pkix.Extension{altNames(true, mail, mail)}},
		"a host":          {ExtraExtensions: []pkix.Extension{altNames(true, altName(tagDNS, "a.test"))}},
		"an otherName":    {ExtraExtensions: []pkix.Extension{altNames(true, mail, otherName)}},
		"a bad name":      {ExtraExtensions: []pkix.Extension{altNames(true, altName(tagMail, "Ann@a.test"))}},
		"to be an issuer": {ExtraExtensions: append([]pkix.Extension{subjectAltName(tagMail, name.String())}, basicConstraints(0))},
		"not critical":    {ExtraExtensions: []pkix.Extension{altNames(false, mail)}},
	} {
		der := must[[]byte](t)(x509.CreateCertificateRequest(w.rand, &template, w.ann.identity))
		if _, err := ParseUserRequest(der); err == nil {
			t.Errorf("a request with %s is accepted", what)
		}
	}
	if _, err := ParseUserRequest(append(good.DER(), 0)); err == nil {
		t.Error("trailing bytes are accepted")
	}
	if _, err := ParseUserRequest(make([]byte, MaxCertificateSize+1)); err == nil {
		t.Error("a long request is accepted")
	}
	if _, err := NewUserRequest(w.rand, w.ann, Name{}); err == nil {
		t.Error("a request for no name is made")
	}
	if _, err := NewUserRequest(w.rand, IdentityKey{}, name); err == nil {
		t.Error("a request without a key is made")
	}
}

// A request is a proof of possession: bob cannot ask for ann's key.
func TestRequestForAnothersKey(t *testing.T) {
	w := newWorld(t)
	der := must[UserRequest](t)(NewUserRequest(w.rand, w.ann, mustName(t, "bob@a.test"))).DER()
	info := bytes.Clone(der[3 : len(der)-64-10])
	copy(der[len(der)-64:], ed25519.Sign(w.bob.identity, info))
	if _, err := ParseUserRequest(der); err == nil || !strings.Contains(err.Error(), "no proof of possession") {
		t.Errorf("got %v", err)
	}
}
