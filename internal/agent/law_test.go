package agent

import (
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

func sorted(m map[string]*pki.Authority) []string { return slices.Sorted(maps.Keys(m)) }

// Two others who agree are enough, the home is none of them, and neither is the domain itself.
func TestQuorum(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says      []string // who has b.test's key pinned
		confirmed bool
	}{
		"the home alone":             {[]string{"a.test"}, false},
		"the home and one other":     {[]string{"a.test", "c.test"}, false},
		"two others":                 {[]string{"c.test", "d.test"}, true},
		"the home and two others":    {[]string{"a.test", "c.test", "d.test"}, true},
		"all, and nobody of himself": {[]string{"a.test", "b.test", "c.test", "d.test"}, true},
	} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
		w.agree(func(by string, s *pki.Sighting) {
			if s.Domain == domainOf(t, "b.test") && !slices.Contains(c.says, by) {
				*s = pki.Sighting{Domain: s.Domain, DNS: s.DNS}
			}
		})
		w.directory()
		bob := w.user(w.domains["b.test"])
		err := w.write(bob)
		var trust *TrustError
		if confirmed := err == nil; confirmed != c.confirmed || !confirmed && !errors.As(err, &trust) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!trust.Pinned.IsZero() || !strings.HasPrefix(err.Error(), "b.test is unconfirmed: ")) {
			t.Errorf("%s: %v", name, err)
		}
		if s := w.trust(bob); c.confirmed && s.String() != "vouched (2 peers)" || !c.confirmed && s.Trust != Unconfirmed {
			t.Errorf("%s: %s", name, s)
		}
	}
}

// DNS alone replaces no pin and stops nothing that is sent: it is warned of, and seen by a check.
func TestDNSAlone(t *testing.T) {
	t.Parallel()
	for _, first := range []byte{0, 0xff} { // before the true one in any order, and behind it
		dnsAlone(t, pki.Fingerprint{first, 1})
	}
}

// dnsAlone has DNS show that key.
func dnsAlone(t *testing.T, hijack pki.Fingerprint) {
	t.Helper()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	must(t, w.write(bob))
	if len(w.a.Warnings()) > 0 {
		t.Error("warned of nothing")
	}
	w.met(bob)
	for _, one := range []bool{true, false} { // one that sees it is enough
		w.agree(func(by string, s *pki.Sighting) {
			if s.Domain == domainOf(t, "b.test") && (by == "d.test" || !one) {
				s.DNS = hijack
			}
		})
		w.learn()
		must(t, w.write(bob))
		s, warnings := w.standing("b.test"), w.a.Warnings()
		if s.pin.Key != w.key("b.test") || s.verdict.Row != pki.RowDNSAltered || w.trust(bob).Trust != Vouched {
			t.Errorf("row %d, %s", s.verdict.Row, w.trust(bob))
		}
		r, err := w.a.report(Subject{bob.name, bob.name.Domain()}, bob.key.Fingerprint())
		must(t, err)
		var altered *DNSAlteredError
		if len(warnings) != 1 || !errors.As(warnings[0], &altered) || altered.Shown != hijack || r.Home.DNS != "differs" {
			t.Errorf("warned of %v, DNS %s", warnings, r.Home.DNS)
		}
		want := "b.test changed its key in DNS (" + brief(hijack, 2) + "); 2 of 2 peers still vouch for the old one (" + brief(w.key("b.test"), 1) + ")"
		if !errors.As(r.Problem(), &altered) || altered.Error() != want {
			t.Errorf("checked: %v", r.Problem())
		}
	}
}

// Home, key server and DNS of a domain show another key, and its peers vouch for the known one:
// nothing is sent, and the words say who vouches.
func TestHomeAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob, evil, old := w.user(w.domains["b.test"]), w.authority("b.test"), w.key("b.test")
	w.met(bob)
	w.agree(func(_ string, s *pki.Sighting) {
		if s.Domain == domainOf(t, "b.test") {
			s.DNS = evil.CA().Fingerprint()
		}
	})
	w.learn()
	want := "b.test now shows a different key (" + brief(evil.CA().Fingerprint(), 2) + "), but c.test and d.test still vouch for the old one (" + brief(old, 1) + ")"
	for name, show := range map[string]func() error{
		"the directory": func() error { return w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(evil)}) },
		"a look-up": func() error {
			var trust *TrustError
			if err := w.a.showsOther(bob.name.Domain(), evil.CA().Fingerprint()); !errors.As(err, &trust) {
				return errors.Join(err, errors.New("nothing was wrong with it"))
			}
			return nil
		},
	} {
		must(t, show())
		w.learn()
		err := w.write(bob)
		var trust *TrustError
		var changed *pki.KeyChangedError
		if !errors.As(err, &trust) || err.Error() != want || !errors.As(err, &changed) || changed.Shown != evil.CA().Fingerprint() {
			t.Errorf("%s: %v\nwant %s", name, err, want)
		}
		if s := w.standing("b.test"); s.pin.Key != old || s.verdict.Row != pki.RowHomeAltered || w.trust(bob).Trust != Changed {
			t.Errorf("%s: row %d, %s", name, s.verdict.Row, w.trust(bob))
		}
		must(t, w.a.agrees(bob.name, bob.key.Fingerprint())) // the next look-up is all right
		w.now = w.now.Add(time.Second)
		must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(w.domains["b.test"])}))
		must(t, w.write(bob))
	}
}

// That which key is shown is not known says no more than that it is another one.
func TestSomeOtherKeyIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	err := w.a.showsOther(bob.name.Domain(), pki.Fingerprint{})
	if want := "b.test now shows a different key, but c.test and d.test still vouch for the old one (" + brief(w.key("b.test"), 1) + ")"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// Absence is never disagreement: what is pinned goes on when all views have run out.
func TestSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	w.now = w.now.Add(40 * 24 * time.Hour)
	w.learn()
	bob := w.user(w.domains["b.test"])
	must(t, w.write(bob))
	if s := w.standing("b.test"); s.verdict.Row != pki.RowAgreed || len(s.verdict.For) > 0 {
		t.Errorf("row %d, for it %v", s.verdict.Row, s.verdict.For)
	}
	if text := w.trust(bob).String(); text != "vouched" {
		t.Error(text)
	}
}

// A domain whose key handed over is known by the new one as soon as its own servers show it,
// without a word; what the old one certified is good then as before. Without the old key's word
// nothing is sent.
func TestHandOver(t *testing.T) {
	t.Parallel()
	for name, byRight := range map[string]bool{"signed by the old key": true, "by nobody": false} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
		w.agree(nil)
		w.directory()
		old := w.domains["b.test"]
		bob := w.user(old)
		w.met(bob)
		next, err := pki.NewSuccessor(rand.Reader)
		must(t, err)
		fresh, signed, err := next.Succeed(rand.Reader, w.now, old, pki.Fingerprint{})
		must(t, err)
		if byRight {
			w.feed = append(w.feed, signed.Statement().Marshal())
		}
		w.domains["b.test"] = fresh
		must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(fresh)}))
		w.learn()
		if err := w.write(bob); byRight != (err == nil) {
			t.Errorf("%s, before the peers follow: %v", name, err)
		}
		w.agree(nil)
		w.directory()
		again := w.certified(fresh, bob.name, bob.key)
		for _, card := range []somebody{bob, again} {
			if err := w.write(card); byRight != (err == nil) {
				t.Errorf("%s, then: %v", name, err)
			}
		}
		s := w.standing("b.test")
		if moved := s.pin.Key == fresh.CA().Fingerprint(); moved != byRight {
			t.Errorf("%s: another key is pinned: %t", name, moved)
		}
		if byRight && (len(s.line) != 2 || s.pin.Trust != pki.Vouched || len(w.a.Warnings()) > 0) {
			t.Errorf("%s: %d authorities, trust %s", name, len(s.line), s.pin.Trust)
		}
	}
}

// A revoked key is written to no more, and what its owner says is known for hers; an ended
// name takes nobody's pin away.
func TestRevocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob, carol, eve := w.user(w.domains["b.test"]), w.user(w.domains["b.test"]), w.user(w.domains["c.test"])
	for _, s := range []somebody{bob, carol, eve} {
		w.met(s)
	}
	revoked, err := bob.key.RevokeKey(bob.cert, w.now)
	must(t, err)
	ended, err := w.domains["b.test"].RevokeName(carol.cert, w.now)
	must(t, err)
	stranger := w.authority("c.test") // that is not c.test's
	forged, err := stranger.RevokeName(w.certified(stranger, eve.name, eve.key).cert, w.now)
	must(t, err)
	for _, r := range []pki.Revocation{revoked, ended, forged} {
		w.feed = append(w.feed, r.Statement().Marshal())
	}
	w.learn()

	var trust *TrustError
	if err := w.write(bob); !errors.As(err, &trust) || trust.Verdict.Row != pki.RowRevoked || w.trust(bob).Trust != Revoked {
		t.Errorf("a revoked key: %v, %s", err, w.trust(bob))
	}
	if told := w.a.Warnings(); len(told) != 1 || !strings.Contains(told[0].Error(), bob.name.String()+" has revoked the key") {
		t.Errorf("told of %v", told)
	}
	other, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	if err := w.write(w.certified(w.domains["b.test"], bob.name, other)); !errors.As(err, &trust) {
		t.Errorf("another key after that: %v", err)
	}
	must(t, w.write(carol))
	if text := w.trust(carol).String(); text != "vouched (2 peers), name ended by its domain" {
		t.Error(text)
	}
	must(t, w.write(eve))
	if s := w.trust(eve); s.Ended {
		t.Error("ended by somebody else's word")
	}
}

// What was sent to somebody and has not come yet is tried no more when her key is revoked.
func TestRecalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	w.met(bob)
	id, err := w.a.messageID()
	must(t, err)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		return errors.Join(
			save(tx, prefixOutbox+id.String(), outgoing{Kind: kindText, To: bob.name, Identity: bob.key.Fingerprint(), State: "queued"}),
			save(tx, prefixSent+id.String(), Status{ID: id.String(), State: "queued", To: bob.name}))
	}))
	revoked, err := bob.key.RevokeKey(bob.cert, w.now)
	must(t, err)
	w.feed = append(w.feed, revoked.Statement().Marshal())
	w.learn()
	s, err := w.a.Status(id)
	must(t, err)
	if left := keysOf(t, w.a, prefixOutbox); len(left) > 0 || s.State != "expired" {
		t.Errorf("%s, left %q", s.State, left)
	}
}

// Relays are servers that others stand by; those of long standing are not young.
func TestRelays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	w.agree(func(by string, s *pki.Sighting) {
		switch s.Domain.String() {
		case "c.test":
			s.Since = w.now.Add(-time.Hour)
		case "d.test":
			s.Standing = pki.Seen
		case "e.test":
			*s = pki.Sighting{Domain: s.Domain, DNS: s.DNS}
		}
	})
	w.directory()
	got := make(map[string][2]bool)
	must(t, w.a.vault.View(func(tx *vault.Tx) error {
		b, err := w.a.bench(tx)
		must(t, err)
		for _, name := range sorted(w.domains) {
			s, err := w.a.judgedBy(tx, b, domainOf(t, name))
			must(t, err)
			may, young := b.relays(s, w.now)
			got[name] = [2]bool{may, young && may}
		}
		return nil
	}))
	want := map[string][2]bool{"a.test": {true, false}, "b.test": {true, false}, "c.test": {true, true}, "d.test": {}, "e.test": {}}
	if !maps.Equal(got, want) {
		t.Errorf("relays %v", got)
	}
}

// Our home shows another key under our own name: we are told.
func TestOwnName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	other, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	own := w.a.self.name
	for _, c := range []struct {
		by    *pki.Authority
		key   pki.IdentityKey
		wrong bool
	}{
		{w.domains["a.test"], w.a.self.key, false},
		{w.authority("a.test"), other, false}, // that is nobody's word
		{w.domains["a.test"], other, true},
		{w.domains["a.test"], w.a.self.key, false},
	} {
		must(t, w.a.watching(w.certified(c.by, own, c.key).card.Raw()))
		wrong, err := w.a.Own()
		must(t, err)
		if (wrong != nil) != c.wrong || c.wrong && wrong.Shown != other.Fingerprint() {
			t.Errorf("wrong: %v", wrong)
		}
	}
	cert := w.certified(w.domains["a.test"], own, w.a.self.key).cert
	ended, err := w.domains["a.test"].RevokeName(cert, w.now)
	must(t, err)
	w.feed = append(w.feed, ended.Statement().Marshal())
	w.learn()
	wrong, err := w.a.Own()
	must(t, err)
	if wrong == nil || !wrong.Ended || wrong.Revoked {
		t.Errorf("an ended name: %v", wrong)
	}
}

// A statement that is none, is somebody else's, or is older than the known one changes nothing.
func TestBadStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	old := slices.Clone(w.feed)
	w.directory()
	w.agree(func(_ string, s *pki.Sighting) { s.DNS = pki.Fingerprint{} })
	w.learn()
	before := keysOf(t, w.a, "")
	forger := w.authority("c.test")
	forged, err := forger.SignView(pki.View{Serial: 1 << 40, Issued: w.now, Expires: w.now.Add(time.Hour)})
	must(t, err)
	w.feed = append(old, forged.Statement().Marshal(), nil, []byte{1}, []byte(strings.Repeat("\x02", 500)), []byte(strings.Repeat("\x03", 500)), []byte{9, 9, 9})
	w.learn()
	if after := keysOf(t, w.a, ""); !slices.Equal(after, before) {
		t.Errorf("kept %q", after)
	}
	if s := w.standing("b.test"); !s.evidence.DNS.Key.IsZero() || len(s.verdict.For) != 2 {
		t.Errorf("an older view counts: %+v", s.evidence)
	}
}

// Who was met while nobody confirmed her home gives way to whom the confirmed home certifies.
func TestMetTooEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	impostor := w.authority("b.test")
	must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(impostor)}))
	early := w.user(impostor)
	w.met(early)
	if s := w.trust(early); s.Trust != Unconfirmed {
		t.Error(s)
	}
	w.agree(nil)
	w.directory()
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	bob := w.certified(w.domains["b.test"], early.name, key)
	must(t, w.write(bob))
	w.met(bob)
	if s := w.trust(bob); s.Trust != Vouched {
		t.Error(s)
	}
}
