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
		"bob@b.test: vouched by b.test; b.test confirmed by a.test, c.test since 3 Oct; DNS agrees; the key log of b.test contradicts itself: nothing new is believed of it. Not yet verified by you.": {
			"bob@b.test", agent.Report{Trust: agent.Vouched, Key: key, Home: home(func(r *agent.DomainReport) { r.Row = pki.RowForked })}},
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

// A domain whose log has two histories is told of as a changed key is, with the way back.
func TestForkedInWords(t *testing.T) {
	bob := subject(t, "bob@b.test")
	forked := &agent.ForkedError{Domain: bob.Domain, Says: "b.test signed two logs of 4 leaves"}
	var f *cli.Failure
	if err := disagreement(forked, bob); !errors.As(err, &f) || f.Status != cli.KeyChanged || !strings.HasPrefix(f.Hint, "p3do check b.test --accept \"WORDS\"") ||
		f.Text != "b.test signed two logs of 4 leaves: no new key is believed of b.test, and whom you know there is written to by the key that you know." {
		t.Errorf("%+v", f)
	}
	for hint, err := range map[string]error{
		"p3do check b.test --why": forked,
		"p3do check b.test --why   (ask whoever runs it; p3do new NAME@OTHER.SERVER --move leaves it)":                                                   &agent.UnreadLogError{Domain: bob.Domain},
		"p3do challenge   (ask whoever runs the home what became of its key of labels; if nothing did, somebody may be shown another key for your name)": &agent.UnshownLabelsError{Domain: bob.Domain},
		"p3do challenge   (only if no other folder of yours has your key: a device's has not)":                                                           &agent.UnsureEntryError{Name: bob.Name},
		"": &agent.OwnKeyError{Name: bob.Name},
	} {
		if got := warningHint(err); got != hint {
			t.Errorf("%v: hint %q, want %q", err, got, hint)
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
	r.Log = &agent.LogReport{State: "none", Domain: bob.Domain}
	text := why(bob, r)
	for _, want := range []string{"you, so far", "\n  DNS, plain ", "b.test itself", "\n  c.test ", words.Of(key), "row 6, nothing contradicts", "next: p3do check bob@b.test --accept", "\nlog of b.test: it keeps none\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// The place in the log is told in plain words, and what it means.
func TestWhyLog(t *testing.T) {
	b, c, d, e := subject(t, "b.test").Domain, subject(t, "c.test").Domain, subject(t, "d.test").Domain, subject(t, "e.test").Domain
	since := time.Date(time.Now().Year(), 10, 3, 12, 0, 0, 0, time.Local)
	place := func(change func(*agent.LogReport)) *agent.LogReport {
		l := &agent.LogReport{
			State: "current", Domain: b, Entry: 12, Entries: 40, Since: since, Head: time.Now().Add(-150 * time.Minute),
			Cosigned: []pki.Domain{c, d}, Watchers: []pki.Domain{c, d, e}, Wanted: 2,
		}
		change(l)
		return l
	}
	for name, test := range map[string]struct {
		l          *agent.LogReport
		short, why string
	}{
		"in the log": {place(func(*agent.LogReport) {}), "",
			"log of b.test: the key is entry 12 of 40, since 3 Oct; cosigned by c.test, d.test, the last 2 h ago\n" +
				"  (2 of 3 servers that you know to watch it; 2 are enough, if not older than 7 days)\n" +
				"  It shows everybody the same: a key that is not its owner's would be found there.\n"},
		"nobody watches": {place(func(l *agent.LogReport) { l.Cosigned, l.Watchers, l.Wanted = nil, nil, 0 }), "",
			"log of b.test: the key is entry 12 of 40, since 3 Oct\n  (no server that you know watches it)\n" +
				"  Everybody who reads that log sees the key; but to you it may show another one than to the rest.\n"},
		"not shown": {place(func(l *agent.LogReport) { *l = agent.LogReport{State: "missing", Domain: b} }), "not shown in its log",
			"log of b.test: it has not shown that the key is in it\n" +
				"  You have not known the key before: nothing is sent before it is shown there, or its owner has told you its words.\n"},
		"not shown, and known": {place(func(l *agent.LogReport) { *l = agent.LogReport{State: "missing", Domain: b, Known: true} }), "not shown in its log",
			"log of b.test: it has not shown that the key is in it\n  You know the key from before, so that stops nothing. A new one would not be taken.\n"},
		"refuted": {place(func(l *agent.LogReport) { *l = agent.LogReport{State: "missing", Domain: b, Refuted: true} }), "not shown in its log",
			"log of b.test: what it showed as a proof does not hold\n" +
				"  You have not known the key before: nothing is sent before it is shown there, or its owner has told you its words.\n"},
		"dropped": {place(func(l *agent.LogReport) {
			*l = agent.LogReport{State: "missing", Domain: b, Dropped: true, Known: true}
		}), "not shown in its log",
			"log of b.test: it kept one, and shows none now\n  You know the key from before, so that stops nothing. A new one would not be taken.\n"},
		"stale": {place(func(l *agent.LogReport) {
			l.State, l.Known, l.Head = "stale", true, time.Now().Add(-9*24*time.Hour-time.Minute)
		}), "its log stands still",
			"log of b.test: the key is entry 12 of 40, since 3 Oct; cosigned by c.test, d.test, the last 9 days ago\n" +
				"  (2 of 3 servers that you know to watch it; 2 are enough, if not older than 7 days)\n" +
				"  You know the key from before, so that stops nothing. A new one would not be taken.\n"},
		"too few": {place(func(l *agent.LogReport) { l.State, l.Cosigned = "missing", []pki.Domain{c} }), "too few have seen it in its log",
			"log of b.test: the key is entry 12 of 40, since 3 Oct; cosigned by c.test, the last 2 h ago\n" +
				"  (1 of 3 servers that you know to watch it; 2 are enough, if not older than 7 days)\n" +
				"  You have not known the key before: nothing is sent before it is shown there, or its owner has told you its words.\n"},
		"a domain": {nil, "", ""},
	} {
		if got := inLog(test.l); got != test.short {
			t.Errorf("%s: %q", name, got)
		}
		if got := whyLog(test.l); got != test.why {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.why)
		}
	}
}
