package main

import (
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/pki"
)

// What is known of a key is a word, for people and for programs (row H3).
func TestTrustIsShown(t *testing.T) {
	name, err := pki.ParseName("bob@b.test")
	if err != nil {
		t.Fatal(err)
	}
	peers := parseAll(t, "c.test", "d.test")
	for _, c := range []struct {
		standing   agent.Standing
		text, json string
	}{
		{agent.Standing{Trust: agent.Verified, Peers: peers}, "bob@b.test (verified), ", `"trust":"verified"`},
		{agent.Standing{Trust: agent.Vouched, Peers: peers}, "bob@b.test (vouched (2 peers)), ", `"trust":"vouched"`},
		{agent.Standing{Trust: agent.Vouched, Peers: peers[:1]}, "bob@b.test (vouched (1 peer)), ", `"peers":["c.test"]`},
		{agent.Standing{Trust: agent.Vouched, Peers: peers, Offline: true}, "bob@b.test (home offline, key confirmed by c.test, d.test), ", `"offline":true`},
		{agent.Standing{Trust: agent.FirstSeen}, "bob@b.test (first seen), ", `"trust":"first seen"`},
		{agent.Standing{Trust: agent.Unconfirmed}, "bob@b.test (unconfirmed), ", `"trust":"unconfirmed"`},
		{agent.Standing{Trust: agent.Changed}, "bob@b.test (CHANGED), ", `"trust":"CHANGED"`},
		{agent.Standing{Trust: agent.Revoked}, "bob@b.test (revoked), ", `"trust":"revoked"`},
		{agent.Standing{Trust: agent.Vouched, Peers: peers, Ended: true}, "bob@b.test (vouched (2 peers), name ended by its domain), ", `"ended":true`},
	} {
		m := agent.Message{From: name, Text: "hello", Standing: c.standing, At: time.Unix(0, 0)}
		for json, want := range map[bool]string{false: c.text, true: c.json} {
			var out strings.Builder
			if err := (&box{command: &command{stdout: &out, json: json}}).one(m); err != nil || !strings.Contains(out.String(), want) {
				t.Errorf("%v: %q, %v", c.standing, out.String(), err)
			}
		}
	}
}

func parseAll(t *testing.T, names ...string) (all []pki.Domain) {
	t.Helper()
	for _, name := range names {
		d, err := pki.ParseDomain(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// A message that may have been shown before says so, to people and to programs.
func TestShownAgain(t *testing.T) {
	name, err := pki.ParseName("ann@a.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		json, again bool
		want        string
	}{
		{false, false, ":\n  hello\n"}, {false, true, " (perhaps shown before):\n  hello\n"},
		{true, false, "Z\"}\n"}, {true, true, ",\"again\":true}\n"},
	} {
		var out strings.Builder
		shows := &box{command: &command{stdout: &out, json: c.json}}
		if err := shows.one(agent.Message{From: name, Text: "hello", Standing: agent.Standing{Trust: agent.FirstSeen}, At: time.Unix(0, 0).UTC(), Again: c.again}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), c.want) {
			t.Errorf("shown %q, want %q at its end", out.String(), c.want)
		}
	}
}
