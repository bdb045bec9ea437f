package pki

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// view is what a.test says of three others.
func (w *world) view(t testing.TB) View {
	t.Helper()
	return View{
		Serial: 5, Issued: testNow, Expires: testNow.Add(ViewLifetime),
		Sightings: []Sighting{
			{
				Domain: mustDomain(t, "b.test"), Key: w.peer.CA().Fingerprint(), Since: testNow.Add(-time.Hour),
				Standing: Mutual, DNS: w.peer.CA().Fingerprint(), Secure: true,
			},
			{Domain: mustDomain(t, "c.test"), Key: Fingerprint{3}, Since: time.Unix(0, 0).UTC()},
			{Domain: mustDomain(t, "d.test"), DNS: Fingerprint{4}},
		},
	}
}

func TestViewRoundTrip(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		issued := time.Unix(rapid.Int64Range(0, lastSecond-1_000_000_000).Draw(rt, "issued"), 0).UTC()
		v := View{
			Serial:  rapid.Uint64().Draw(rt, "serial"),
			Issued:  issued,
			Expires: issued.Add(time.Duration(rapid.Int64Range(1, 31*24*3600).Draw(rt, "span")) * time.Second),
		}
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[b-z][a-z0-9]{0,20}\.test`), 0, 20, rapid.ID[string]).Draw(rt, "domains")
		slices.Sort(names)
		for _, name := range names {
			v.Sightings = append(v.Sightings, drawSighting(rt, mustDomain(t, name)))
		}
		signed, err := w.home.SignView(v)
		if err != nil {
			rt.Fatal(err)
		}
		back, err := w.home.CA().VerifyView(signed.Raw(), issued)
		if err != nil {
			rt.Fatal(err)
		}
		v.Domain = w.home.Domain()
		if !bytes.Equal(back.Raw(), signed.Raw()) || !bytes.Equal(back.body(), v.body()) {
			rt.Fatal("it came back as another")
		}
		if len(v.Sightings) > 0 && !reflect.DeepEqual(back.View, v) {
			rt.Fatalf("%+v came back as %+v", v, back.View)
		}
		for _, s := range v.Sightings {
			if got, ok := back.Of(s.Domain); !ok || got != s {
				rt.Fatalf("the sighting of %s is not found", s.Domain)
			}
		}
	})
}

func drawSighting(rt *rapid.T, domain Domain) Sighting {
	s := Sighting{Domain: domain}
	if rapid.Bool().Draw(rt, "pinned") {
		s.Key = Fingerprint{rapid.Byte().Draw(rt, "key"), 1}
		s.Since = time.Unix(rapid.Int64Range(0, lastSecond).Draw(rt, "since"), 0).UTC()
		s.Standing = Standing(rapid.IntRange(0, int(Mutual)).Draw(rt, "standing"))
	}
	if s.Key.IsZero() || rapid.Bool().Draw(rt, "in DNS") {
		s.DNS = Fingerprint{rapid.Byte().Draw(rt, "record"), 2}
		s.Secure = rapid.Bool().Draw(rt, "secure")
	}
	return s
}

// A view holds 512 sightings, and 65 536 bytes, and no more of either.
func TestViewBounds(t *testing.T) {
	w := newWorld(t)
	full := func(n, size int) View {
		v := w.view(t)
		v.Sightings = nil
		for i := range n {
			name := fmt.Sprintf("%s%04d.test", strings.Repeat("n", size-9), i)
			v.Sightings = append(v.Sightings, Sighting{Domain: mustDomain(t, name), Key: Fingerprint{1}, Since: testNow})
		}
		return v
	}
	for _, c := range []struct {
		n, size int
		good    bool
	}{{MaxSightings, 52, true}, {MaxSightings, 53, false}, {MaxSightings + 1, 20, false}, {0, 20, true}} {
		v := full(c.n, c.size)
		signed, err := w.home.SignView(v)
		if (err == nil) != c.good {
			t.Errorf("%d sightings of %d bytes: %v", c.n, c.size, err)
		}
		if err == nil && len(signed.Raw()) > MaxViewSize {
			t.Errorf("%d sightings of %d bytes: %d in all", c.n, c.size, len(signed.Raw()))
		}
		v.Domain = w.home.Domain()
		if _, err := ParseView(sealStatement(w.home.domain.domain, LabelView, v.body())); (err == nil) != c.good {
			t.Errorf("%d sightings of %d bytes, parsed: %v", c.n, c.size, err)
		}
	}
}

func TestViewRefuses(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*View){
		"of another's domain":           func(v *View) { v.Domain = w.peer.Domain() },
		"expires when issued":           func(v *View) { v.Expires = v.Issued },
		"for too long":                  func(v *View) { v.Expires = v.Issued.Add(MaxViewLifetime + time.Second) },
		"before 1970":                   func(v *View) { v.Issued = time.Unix(-1, 0) },
		"of no domain":                  func(v *View) { v.Sightings[0].Domain = Domain{} },
		"of itself":                     func(v *View) { v.Sightings[0].Domain = w.home.Domain() },
		"one domain twice":              func(v *View) { v.Sightings[0].Domain = v.Sightings[1].Domain },
		"descending":                    func(v *View) { slices.Reverse(v.Sightings) },
		"a sighting that says nothing":  func(v *View) { v.Sightings[2].DNS = Fingerprint{} },
		"since, and no key":             func(v *View) { v.Sightings[2].Since = testNow },
		"a standing, and no key":        func(v *View) { v.Sightings[2].Standing = Countersigned },
		"an unknown standing":           func(v *View) { v.Sightings[0].Standing = Mutual + 1 },
		"a key since before 1970":       func(v *View) { v.Sightings[0].Since = time.Unix(-1, 0) },
		"a key since the zero time":     func(v *View) { v.Sightings[0].Since = time.Time{} },
		"a key since after 9999":        func(v *View) { v.Sightings[0].Since = time.Unix(lastSecond+1, 0) },
		"DNSSEC for a record not there": func(v *View) { v.Sightings[1].Secure = true },
	} {
		v := w.view(t)
		change(&v)
		if _, err := w.home.SignView(v); err == nil {
			t.Errorf("%s: signed", name)
		}
		// Signed all the same, by an authority that does not look: refused.
		if v.Domain.IsZero() {
			v.Domain = w.home.Domain()
		}
		if _, err := w.home.CA().VerifyView(sealStatement(w.home.domain.domain, LabelView, v.body()), testNow); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

func TestViewByAnother(t *testing.T) {
	w := newWorld(t)
	signed := must[SignedView](t)(w.home.SignView(w.view(t)))
	body := signed.body()
	for name, raw := range map[string][]byte{
		"another key":        sealStatement(w.peer.domain.domain, LabelView, body),
		"another label":      sealStatement(w.home.domain.domain, LabelDescriptor, body),
		"a user":             sealStatement(w.ann.identity, LabelView, body),
		"the federation key": sealStatement(w.home.federation.federation, LabelView, body),
	} {
		if _, err := w.home.CA().VerifyView(raw, testNow); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if u, err := ParseView(raw); err != nil || u.Domain() != w.home.Domain() || u.Serial() != 5 || !bytes.Equal(u.Raw(), raw) {
			t.Errorf("%s: its shape is good, and yet: %v", name, err)
		}
	}
	if _, err := w.peer.CA().VerifyView(signed.Raw(), testNow); err == nil || !strings.Contains(err.Error(), "b.test may not sign for a.test") {
		t.Errorf("under another domain: %v", err)
	}
}

func TestViewTimes(t *testing.T) {
	w := newWorld(t)
	signed := must[SignedView](t)(w.home.SignView(w.view(t)))
	for at, want := range map[time.Duration]error{
		-ClockSkew - time.Second: ErrTime, -ClockSkew: nil, 0: nil, ViewLifetime - time.Second: nil, ViewLifetime: ErrTime,
	} {
		_, err := w.home.CA().VerifyView(signed.Raw(), testNow.Add(at))
		if !errors.Is(err, want) || !errors.Is(signed.CheckTime(testNow.Add(at)), want) {
			t.Errorf("%s after: %v, want %v", at, err, want)
		}
	}
}

func TestEveryBitOfAViewCounts(t *testing.T) {
	w := newWorld(t)
	raw := must[SignedView](t)(w.home.SignView(w.view(t))).Raw()
	judge := func(b []byte) error { _, err := w.home.CA().VerifyView(b, testNow); return err }
	flipEach(t, raw, 1, judge)
	cutEach(t, raw, 1, judge)
}

// What a view says is evidence: of keys that are pinned, and of no others.
func TestViewVouches(t *testing.T) {
	w := newWorld(t)
	v := must[SignedView](t)(w.home.SignView(w.view(t)))
	if got, ok := v.Vouch(w.peer.Domain()); !ok || got != (Vouch{Peer: w.home.Domain(), Key: w.peer.CA().Fingerprint()}) {
		t.Errorf("of b.test: %+v, %v", got, ok)
	}
	for _, domain := range []string{"d.test", "e.test", "a.test"} {
		if got, ok := v.Vouch(mustDomain(t, domain)); ok {
			t.Errorf("of %s: %+v", domain, got)
		}
	}
	if got := fmt.Sprint(Seen, Countersigned, Mutual); got != "seen countersigned mutual" {
		t.Errorf("standings are written %q", got)
	}
}
