package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Which of the two is away, the home or the DNS server that was asked for it, is said, with
// what can be done about that.
func TestWhoIsAway(t *testing.T) {
	domain, err := pki.ParseDomain("a.test")
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("dnstxt: the server answered SERVFAIL")
	lost := func(moved bool, cause error) error {
		return &agent.HomeError{Domain: domain, Cause: &agent.DNSError{Domain: domain, Server: "192.0.2.1:53", Moved: moved, Cause: cause}}
	}
	for _, c := range []struct {
		err        error
		text, hint string
	}{
		{&agent.HomeError{Domain: domain, Cause: errors.New("gone")}, "your home a.test does not answer.", "p3do status   (nothing is lost"},
		{&agent.HomeError{Domain: domain, Cause: agent.ErrNoDNS}, "your home a.test does not answer.", "P3DO_DNS=IP:PORT p3do status"},
		{lost(false, context.DeadlineExceeded), "the DNS server 192.0.2.1:53, which was asked where a.test is, does not answer.", "are you connected"},
		{lost(true, context.DeadlineExceeded), "your home a.test does not answer where it was last, and the DNS server 192.0.2.1:53, which was asked where it is now, does not answer.", "are you connected"},
		{lost(false, fmt.Errorf("asking: %w", context.Canceled)), "stopped before it was done.", "p3do"},
		{&agent.HomeError{Domain: domain, Cause: context.Canceled}, "stopped before it was done.", "p3do"},
		{lost(false, refused), "the DNS server 192.0.2.1:53, which was asked where a.test is, does not say: the server answered SERVFAIL.", "ask whoever runs a.test"},
	} {
		var f *cli.Failure
		if !errors.As(failure(c.err), &f) || f.Status != cli.Network || f.Text != c.text || !strings.Contains(f.Hint, c.hint) {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
}

// A look-up that came to nothing says why, and how else the name can be looked up.
func TestLookupFailed(t *testing.T) {
	name, err := pki.ParseName("bob@b.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err        error
		status     int
		text, hint string
	}{
		{&agent.SilentError{Name: name, After: 30 * time.Second}, cli.Network, "no answer about bob@b.test came through the mesh within 30 s.", "p3do check bob@b.test --wait 2m   (or with --direct"},
		{&agent.SilentError{Name: name, Said: true}, cli.Network, "the server of b.test does not answer, and nobody who was asked has a copy of the key of bob@b.test.", "--direct"},
		{&agent.WayError{Name: name, Cause: &mor.RouteError{Reason: "2 relays outside a.test and b.test are needed, 1 known"}}, cli.Network,
			"bob@b.test cannot be looked up through the mesh: 2 relays outside a.test and b.test are needed, 1 known.", "p3do check bob@b.test --direct   (your server then learns"},
		{&agent.NoUserError{Name: name, Cause: &agent.NoServerError{Domain: name.Domain()}}, cli.Input, "there is no bob@b.test: no server of b.test is known.", "p3do check bob@b.test --direct"},
		{&agent.NoUserError{Name: name}, cli.Input, "there is no bob@b.test: nobody of that name was found.", "look at the spelling"},
	} {
		var f *cli.Failure
		if !errors.As(failure(c.err), &f) || f.Status != c.status || f.Text != c.text || !strings.Contains(f.Hint, c.hint) {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
}
