package pki

import (
	"bytes"
	"testing"
)

// What a parser accepts it also writes, byte for byte: there is one way only to
// say a thing.

func FuzzParseDomain(f *testing.F) {
	for _, seed := range []string{"a.test", "xn--mnchen-3ya.example", "A.test", "127.0.0.1", "a..b", "-a.b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDomain(text); err == nil && (d.String() != text || d.IsZero()) {
			t.Fatalf("%q became %q", text, d)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"ann@a.test", `"a@b"@c.test`, "Ann@a.test", "a.b@c.test", "a@@b.c", "@", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseName(text)
		if err == nil && (n.String() != text || n.Local()+"@"+n.Domain().String() != text) {
			t.Fatalf("%q became %q", text, n)
		}
	})
}

func FuzzParseFingerprint(f *testing.F) {
	for _, seed := range []string{Fingerprint{}.String(), Fingerprint{0xff, 0xfe}.String(), "AAAA", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if fp, err := ParseFingerprint(text); err == nil && fp.String() != text {
			t.Fatalf("%q became %q", text, fp)
		}
	})
}

func FuzzCheckEndpoint(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:1", "[::1]:7001", "a.test:443", ":", "[]:1", "a:00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if CheckEndpoint(text) == nil && (len(text) < 3 || len(text) > MaxEndpointSize) {
			t.Fatalf("%q is accepted", text)
		}
	})
}

func FuzzParseDescriptor(f *testing.F) {
	w := newWorld(f)
	d := w.descriptor(f)
	f.Add(d.body())
	f.Add(bytes.Replace(d.body(), []byte("a.test:"), []byte("b.test:"), 1))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ParseDescriptor(body); err == nil {
			t.Fatal("accepted without a signature of the authority")
		}
		// Signed, so that the fields behind the signature are reached.
		raw := sealStatement(w.home.domain.domain, LabelDescriptor, body)
		if d, err := ParseDescriptor(raw); err == nil && !bytes.Equal(d.Descriptor.body(), body) {
			t.Fatalf("%x is written as %x", body, d.Descriptor.body())
		}
	})
}

func FuzzParseCard(f *testing.F) {
	w := newWorld(f)
	c := w.card(f)
	f.Add(c.body())
	f.Add(c.Raw())
	c.Devices = devicesOf(f, MaxDevices)
	f.Add(c.body())
	f.Fuzz(func(t *testing.T, body []byte) {
		raw := sealStatement(w.ann.identity, LabelCard, body)
		if u, err := ParseCard(raw); err == nil && (!bytes.Equal(u.card.body(), body) || u.Key() != w.ann.Public()) {
			t.Fatalf("%x is written as %x", body, u.card.body())
		}
	})
}

func FuzzParseUserRequest(f *testing.F) {
	w := newWorld(f)
	f.Add(must[UserRequest](f)(NewUserRequest(w.rand, w.ann, mustName(f, "ann@a.test"))).DER())
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := ParseUserRequest(der)
		if err != nil {
			return
		}
		if _, err := ParseName(r.Name().String()); err != nil || !bytes.Equal(r.DER(), der) {
			t.Fatalf("accepted for %q", r.Name())
		}
	})
}

func FuzzParseCACert(f *testing.F) {
	w := newWorld(f)
	for _, der := range [][]byte{w.home.CA().DER(), w.cross.DER(), w.home.root.Raw, w.annCert.DER(), w.linkCert.DER()} {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if ca, err := ParseCACert(der); err == nil {
			if _, err := ParseDomain(ca.Domain().String()); err != nil || !bytes.Equal(ca.DER(), der) {
				t.Fatalf("accepted for %q", ca.Domain())
			}
		}
		if cross, err := ParseCrossCert(der); err == nil && !bytes.Equal(cross.DER(), der) {
			t.Fatal("a cross-certificate is written otherwise")
		}
		if _, err := w.peer.CA().VerifyUser(der, testNow); err == nil {
			t.Fatal("b.test has signed no user in this corpus")
		}
	})
}

func FuzzParseAuthority(f *testing.F) {
	w := newWorld(f)
	f.Add(w.home.Marshal())
	f.Fuzz(func(t *testing.T, secret []byte) {
		if a, err := ParseAuthority(secret); err == nil && !bytes.Equal(a.Marshal(), secret) {
			t.Fatal("it is written otherwise")
		}
	})
}

func FuzzParseView(f *testing.F) {
	w := newWorld(f)
	v := must[SignedView](f)(w.home.SignView(w.view(f)))
	f.Add(v.body())
	f.Add(must[SignedView](f)(w.home.SignView(View{Issued: testNow, Expires: testNow.Add(ViewLifetime)})).body())
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := w.home.CA().VerifyView(body, testNow); err == nil {
			t.Fatal("accepted without a signature of the authority")
		}
		raw := sealStatement(w.home.domain.domain, LabelView, body)
		u, err := ParseView(raw)
		if err == nil && !bytes.Equal(u.view.body(), body) {
			t.Fatalf("%x is written as %x", body, u.view.body())
		}
		if v, good := w.home.CA().VerifyView(raw, testNow); good == nil && (err != nil || v.Domain != w.home.Domain()) {
			t.Fatalf("verified for %q, and parsed: %v", v.Domain, err)
		}
	})
}

func FuzzParseRevocation(f *testing.F) {
	w := newWorld(f)
	for by, r := range w.revocations(f) {
		f.Add(r.body(), byte(by))
	}
	keys := []signer{w.ann.identity, w.revoker.revoker, w.home.domain.domain, w.offline.offline}
	f.Fuzz(func(t *testing.T, body []byte, key byte) {
		if _, err := ParseRevocation(body); err == nil {
			t.Fatal("accepted without a signature")
		}
		r, err := ParseRevocation(sealStatement(keys[int(key)%len(keys)], LabelRevocation, body))
		if err != nil {
			return
		}
		if !bytes.Equal(r.body(), body) {
			t.Fatalf("%x is written as %x", body, r.body())
		}
		if r.Check(w.known()) == nil && r.Name() != w.annCert.Name() {
			t.Fatalf("%s is revoked, whom a.test has not certified", r.Name())
		}
	})
}

func FuzzParseMove(f *testing.F) {
	w := newWorld(f)
	f.Add(w.move(f).body())
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ParseMove(body); err == nil {
			t.Fatal("accepted without a signature")
		}
		m, err := ParseMove(sealStatement(w.ann.identity, LabelMove, body))
		if err != nil {
			return
		}
		if !bytes.Equal(m.body(), body) || m.Key() != w.ann.Public() {
			t.Fatalf("%x is written as %x", body, m.body())
		}
		if m.Check(w.known(), w.peerKnown()) == nil && m.From() != w.annCert.Name() {
			t.Fatalf("%s is moved, whom a.test has not certified", m.From())
		}
	})
}

func FuzzParseChallenge(f *testing.F) {
	w := newWorld(f)
	f.Add(w.challenge(f).body())
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ParseChallenge(body); err == nil {
			t.Fatal("accepted without a signature")
		}
		c, err := ParseChallenge(sealStatement(w.ann.identity, LabelChallenge, body))
		if err != nil {
			return
		}
		if !bytes.Equal(c.body(), body) || c.Key() != w.ann.Public() {
			t.Fatalf("%x is written as %x", body, c.body())
		}
		if c.Check(w.known(), testNow) == nil && c.Name() != w.annCert.Name() {
			t.Fatalf("a challenge of %s, whom a.test has not certified", c.Name())
		}
	})
}

func FuzzParseSuccession(f *testing.F) {
	w := newWorld(f)
	kinds := w.successions(f)
	for i, name := range []string{"old", "alone", "rooted", "root"} {
		f.Add(kinds[name].body(), byte(i))
	}
	keys := []signer{w.home.domain.domain, w.successor.successor, w.offline.offline, w.offline.offline}
	pinned := w.home.Commitment()
	f.Fuzz(func(t *testing.T, body []byte, key byte) {
		if _, err := ParseSuccession(body); err == nil {
			t.Fatal("accepted without signatures")
		}
		signed := sealStatement(w.successor.successor, LabelPossession, body)
		s, err := ParseSuccession(sealStatement(keys[int(key)%len(keys)], LabelSuccession, signed))
		if err != nil {
			return
		}
		if !bytes.Equal(s.body(), body) || s.New() != w.successor.Fingerprint() {
			t.Fatalf("%x is written as %x", body, s.body())
		}
		if len(pinned.Heirs([]SignedSuccession{s})) > 0 && s.Signer() != pinned.Key {
			t.Fatal("another key has handed over")
		}
	})
}

func FuzzParseStatement(f *testing.F) {
	w := newWorld(f)
	f.Add(must[SignedView](f)(w.home.SignView(w.view(f))).Statement().Marshal())
	f.Add(must[Revocation](f)(w.ann.RevokeKey(w.annCert.DER(), testNow)).Statement().Marshal())
	f.Add(w.successions(f)["old"].Statement().Marshal())
	f.Add(w.move(f).Statement().Marshal())
	f.Fuzz(func(t *testing.T, raw []byte) {
		kind, inner, err := ParseStatement(raw)
		if err == nil && !bytes.Equal(Statement{Kind: kind, Raw: inner}.Marshal(), raw) {
			t.Fatal("it is written otherwise")
		}
	})
}
