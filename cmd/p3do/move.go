package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// A moved is what new --move prints.
type moved struct {
	agent.Departure
	agent.Self
}

// move leaves the name that the folder has for another one.
func (c *command) move(ctx context.Context, name pki.Name, invite *invitation.Invitation) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	home, err := c.folder()
	if err != nil {
		return err
	}
	if _, err := os.Stat(home); errors.Is(err, os.ErrNotExist) {
		return agent.ErrNoIdentity // before a passphrase is asked for
	}
	cfg, err := c.config(ctx, false)
	if err != nil {
		return err
	}
	cfg.Invite = invite
	a, d, err := agent.Move(ctx, cfg, name)
	if err != nil {
		return unmoved(err, name, invite != nil)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	self, err := a.Self()
	if err != nil {
		return err
	}
	told := "told: nobody yet; it is tried again whenever p3do runs"
	if len(d.At) > 0 {
		told = "told: " + pki.JoinDomains(d.At, ", ") + "   (all others hear it from them, and your contacts follow by themselves)"
	}
	if n := len(self.Devices); n > 0 {
		told += fmt.Sprintf("\nyour devices (%d more) follow by themselves when they are used next; one that does not: p3do device remove N, and link it anew", n)
	}
	return c.print(moved{d, self}, fmt.Sprintf("Moved from %s to %s\nfingerprint: %s\nhome: %s (%s)\n%s\nNext: p3do backup",
		d.From, self.Name, self.Words, self.Home, homeTrust(self, invite), told))
}

// unmoved says why there is no other name.
func unmoved(err error, name pki.Name, invited bool) error {
	var (
		same  *agent.SameNameError
		away  *agent.HomeError
		there *agent.EntryError
		lost  *agent.DNSError
		no    *session.Error
	)
	again := fmt.Sprintf("p3do new %s --move", name)
	switch {
	case errors.As(err, &same):
		return cli.Fail(cli.Input, "p3do whoami", "%v.", same)
	case errors.Is(err, agent.ErrNoHome):
		return cli.Fail(cli.Input, fmt.Sprintf("p3do new %s   (without --move: you have no name yet that you could leave)", name), "%v.", agent.ErrNoHome)
	case errors.As(err, &no) && no.Code == session.Refused && !invited:
		return cli.Fail(cli.Refused, fmt.Sprintf("p3do new ANOTHERNAME@%s --move   (you have the name that you had)", name.Domain()), "%s.", no.Text)
	case errors.As(err, &lost) && errors.As(err, &away):
		return cli.Fail(cli.Network, dnsHint(lost, again), "%v.", away)
	case errors.As(err, &away):
		return cli.Fail(cli.Network, again+"   (it goes on where it was)", "%s does not answer.", away.Domain)
	case errors.As(err, &there):
		return cli.Fail(cli.Network, again+"   (it goes on where it was)", "%v.", there)
	}
	return uncreated(err, name, invited)
}
