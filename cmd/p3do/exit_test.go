package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
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
