package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

func subject(t *testing.T, text string) agent.Subject {
	t.Helper()
	s, err := agent.ParseSubject(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The line that a check comes to.
func TestCheckInOneLine(t *testing.T) {
	since := time.Date(time.Now().Year(), 10, 3, 12, 0, 0, 0, time.Local)
	key := pki.Fingerprint{1}
	home := func(change func(*agent.DomainReport)) *agent.DomainReport {
		r := &agent.DomainReport{
			Domain: subject(t, "b.test").Domain, Key: key, Confirmed: parseAll(t, "a.test", "c.test"), Since: since, DNS: "agrees",
		}
		change(r)
		return r
	}
	same := func(*agent.DomainReport) {}
	for want, c := range map[string]struct {
		of     string
		report agent.Report
	}{
		"bob@b.test: vouched by b.test; b.test confirmed by a.test, c.test since 3 Oct; DNS agrees. Not yet verified by you.": {
			"bob@b.test", agent.Report{Trust: agent.Vouched, Key: key, Home: home(same)}},
		"bob@b.test: vouched by b.test; b.test confirmed by a.test, c.test since 3 Oct; DNS says nothing; home offline. Verified by you.": {
			"bob@b.test", agent.Report{Trust: agent.Verified, Key: key, Offline: true, Home: home(func(r *agent.DomainReport) { r.DNS = "silent" })}},
		"b.test: confirmed by a.test, c.test since 3 Oct; DNS names another key. Not yet verified by you.": {
			"b.test", agent.Report{Trust: agent.Vouched, Key: key, Home: home(func(r *agent.DomainReport) { r.DNS = "differs" })}},
		"bob@b.test: CHANGED: b.test shows another key; b.test confirmed by a.test, c.test since 3 Oct; DNS agrees. Not yet verified by you.": {
			"bob@b.test", agent.Report{Trust: agent.Changed, Key: key, Shown: pki.Fingerprint{2}, Home: home(same)}},
		"bob@b.test: CHANGED: b.test shows another key than the known one; b.test confirmed by a.test, c.test since 3 Oct. Not yet verified by you.": {
			"bob@b.test", agent.Report{Trust: agent.Changed, Key: key, Home: home(same)}},
		"b.test: CHANGED: b.test shows another key than the known one; b.test known by the key first seen, which nobody else confirms. Not yet verified by you.": {
			"b.test", agent.Report{Trust: agent.Changed, Key: key, Shown: pki.Fingerprint{2}, Home: home(func(r *agent.DomainReport) { r.Confirmed = nil })}},
		"b.test: unconfirmed (only DNS names this key so far); DNS agrees. Not yet verified by you.": {
			"b.test", agent.Report{Trust: agent.Unconfirmed, Home: home(func(r *agent.DomainReport) {
				r.Key, r.Confirmed, r.Reason = pki.Fingerprint{}, nil, "only DNS names this key so far"
			})}},
	} {
		if got := summary(subject(t, c.of), c.report); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// Nothing is sent where peers vouch for another key than is shown: the text of it is fixed.
func TestChangedKeyInWords(t *testing.T) {
	bob := subject(t, "bob@b.test")
	old, shown := pki.Fingerprint{1, 2, 3}, pki.Fingerprint{4, 5, 6}
	o, s := strings.Fields(words.Of(old)), strings.Fields(words.Of(shown))
	changed := agent.TrustError{
		Name: bob.Name, Subject: "b.test", Pinned: old, Shown: shown,
		Verdict: pki.Verdict{Row: pki.RowHomeAltered, For: parseAll(t, "a.test", "c.test")},
	}
	alone, nobody := changed, changed
	alone.Verdict.For = parseAll(t, "c.test")
	nobody.Verdict.For = nil
	new2, old1 := s[0]+" "+s[1]+" …", o[0]+" …"
	why := "p3do check bob@b.test --why   "
	for name, c := range map[string]struct {
		err        error
		text, hint string
	}{
		"two vouch": {&changed, "b.test now shows a different key (" + new2 + "), but a.test and c.test still vouch for the old one (" + old1 + "). Nothing was sent.",
			why + "(if bob told you in person: p3do check bob@b.test --accept " + strings.Join(s, "-") + ")"},
		"one vouches":   {&alone, "b.test now shows a different key (" + new2 + "), but c.test still vouches for the old one (" + old1 + "). Nothing was sent.", why},
		"nobody speaks": {&nobody, "b.test now shows a different key (" + new2 + ") than the known one (" + old1 + "). Nothing was sent.", why},
		"unconfirmed": {&agent.TrustError{Name: bob.Name, Subject: "b.test", Shown: shown, Verdict: pki.Verdict{Row: pki.RowProvisional}},
			"b.test is unconfirmed: only DNS names this key so far. Nothing was sent.", why + "(it is judged again"},
		"revoked": {&agent.TrustError{Name: bob.Name, Subject: "bob@b.test", Pinned: old, Verdict: pki.Verdict{Row: pki.RowRevoked}},
			"bob@b.test has revoked the key that is known of it (" + old1 + "). Nothing was sent.", why},
		"another domain signed": {&agent.MisissuedError{Name: bob.Name, By: parseAll(t, "a.test")[0]}, "a.test may not sign for b.test. Nothing was sent.", why},
		"in a letter": {&agent.MisissuedError{Name: bob.Name, By: parseAll(t, "a.test")[0], Letter: true},
			"a letter says that it is from bob@b.test: a.test may not sign for b.test. It was thrown away.", why},
	} {
		var f *cli.Failure
		if !errors.As(failure(c.err), &f) || f.Status != cli.KeyChanged || f.Text != c.text || !strings.HasPrefix(f.Hint, c.hint) {
			t.Errorf("%s: %+v\nwant %s\n%s", name, f, c.text, c.hint)
		}
	}
}

// All evidence is shown by --why, and what to do.
func TestWhy(t *testing.T) {
	bob, key := subject(t, "bob@b.test"), pki.Fingerprint{1}
	r := agent.Report{Trust: agent.Vouched, Key: key, Words: words.Of(key), Home: &agent.DomainReport{
		Domain: bob.Domain, Key: key, Row: 6, Reason: "nothing contradicts the known key",
		Evidence: []agent.Said{
			{By: "pin", Key: key, Words: words.Of(key)}, {By: "dns", Key: key, Words: words.Of(key)},
			{By: "home", Key: key, Words: words.Of(key)}, {By: "c.test", Key: key, Words: words.Of(key)},
		},
	}}
	text := why(bob, r)
	for _, want := range []string{"you, so far", "\n  DNS, plain ", "b.test itself", "\n  c.test ", words.Of(key), "row 6, nothing contradicts", "next: p3do check bob@b.test --accept"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
