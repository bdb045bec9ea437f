package dnsserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const secret = "3CJPEY3nIWfLgCv+wTe1fWMm37JIhROUO+EsIKQh35U="

func config(signed bool) Config {
	return Config{
		Zones: []Zone{{Name: "a.test", Signed: signed, Records: []string{`_p3do TXT "hello"`}}, {Name: "b.test"}},
		Keys:  []Key{{Name: "p3do", Secret: secret, Owner: "_p3do.a.test"}, {Name: "other", Algorithm: "hmac-sha512", Secret: secret, Owner: "_p3do.b.test"}},
	}
}

// Both kinds of server serve their zones, sign them, and unbound validates them.
func TestServers(t *testing.T) {
	for name, run := range map[string]func(Test, Config) *Server{"knot": Knot, "bind": BIND} {
		t.Run(name, func(t *testing.T) {
			plain := run(t, config(false))
			if got := plain.Texts(t, "_p3do.a.test"); !slices.Equal(got, []string{"hello"}) {
				t.Errorf("got %q", got)
			}
			run(t, Config{Zones: []Zone{{Name: "c.test"}}}) // that nobody may change
			signed := run(t, config(true))
			anchors := signed.Anchors(t, "a.test")
			unbound := Unbound(t, Resolver{Stubs: map[string]string{"a.test": signed.Addr, "b.test": signed.Addr}, Anchors: anchors})
			for zone, validated := range map[string]bool{"a.test": true, "b.test": false} {
				answer, err := unbound.Ask(zone, dns.TypeSOA)
				if err != nil || answer.Rcode != dns.RcodeSuccess || answer.AuthenticatedData != validated {
					t.Errorf("%s: %v\n%v", zone, err, answer)
				}
			}
			bogus := Unbound(t, Resolver{Stubs: map[string]string{"a.test": plain.Addr}, Anchors: anchors})
			if answer, err := bogus.Ask("a.test", dns.TypeSOA); err != nil || answer.Rcode != dns.RcodeServerFailure {
				t.Errorf("without signatures: %v\n%v", err, answer)
			}
		})
	}
}

// A server ends when it is stopped, and its port is free again.
func TestStop(t *testing.T) {
	s := Knot(t, config(false))
	s.Stop()
	if _, err := s.Ask("a.test", dns.TypeSOA); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("it is still there: %v", err)
	}
}

// A refusal is a Test that notes how it ends.
type refusal struct{ skipped, failed string }

func (*refusal) Helper()        {}
func (*refusal) Cleanup(func()) {}
func (r *refusal) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
}
func (r *refusal) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
}

// A program that is missing skips a test, and fails it where it is required.
func TestProgram(t *testing.T) {
	for required, fails := range map[string]bool{"": false, "openssl,no-such-daemon": true, "no-such-daemon-either": false} {
		t.Setenv("P3DO_REQUIRE", required)
		var r refusal
		path := Program(&r, "no-such-daemon")
		if (r.failed != "") != fails || path != "" || !fails && r.skipped != "no-such-daemon is not installed" {
			t.Errorf("P3DO_REQUIRE=%s: %+v, %q", required, r, path)
		}
	}
}
