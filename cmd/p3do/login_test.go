package main

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// How a login that fails ends: another domain's signature is a key that is not to be trusted, a
// bad proof or a revoked key a refusal, and a server that is not there the network.
func TestNotIn(t *testing.T) {
	domain, err := pki.ParseDomain("c.test")
	if err != nil {
		t.Fatal(err)
	}
	for text, x := range map[string]struct {
		err    error
		status int
	}{
		"b.test may not sign for a.test.":              {session.Errorf(session.WrongKey, "b.test may not sign for a.test"), cli.KeyChanged},
		"the proof is not good on this link.":          {session.Errorf(session.Refused, "the proof is not good on this link"), cli.Refused},
		"nobody whom c.test knows vouches for a.test.": {session.Errorf(session.Unavailable, "nobody whom c.test knows vouches for a.test"), cli.Network},
		"c.test has no room.":                          {session.Errorf(session.Full, "c.test has no room"), cli.Network},
		"c.test does not answer.":                      {&agent.EntryError{Domain: domain, Cause: errors.New("gone")}, cli.Network},
	} {
		var f *cli.Failure
		if !errors.As(failure(notIn(x.err)), &f) || f.Status != x.status || f.Text != text || f.Hint == "" {
			t.Errorf("%v: %+v", x.err, f)
		}
	}
}

// What somebody whose home does not answer is told to type.
func TestElsewhere(t *testing.T) {
	name, err := pki.ParseName("ann@a.test")
	if err != nil {
		t.Fatal(err)
	}
	home := &agent.HomeError{Domain: name.Domain()}
	if got := elsewhere(home); got != "p3do status   (nothing is lost; try again later)" {
		t.Errorf("of nobody: %s", got)
	}
	home.Name = name
	for _, x := range []struct{ add, want string }{
		{"c.test", "p3do login ann@a.test --via c.test   (c.test knows your home's key)"},
		{"d.test", "p3do login ann@a.test --via c.test   (c.test and d.test know your home's key)"},
		{"e.test", "p3do login ann@a.test --via c.test   (c.test, d.test and e.test know your home's key)"},
	} {
		domain, err := pki.ParseDomain(x.add)
		if err != nil {
			t.Fatal(err)
		}
		home.Knowing = append(home.Knowing, domain)
		if got := elsewhere(home); got != x.want {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
}
