package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/pki"
)

const newHelp = `Make a name of your own at a server

  p3do new ann@a.test

finds the server of a.test, makes your keys, and registers the name. Your keys
never leave your folder. If something goes wrong on the way, type it again: it
goes on where it was.`

func (c *command) newCommand() *cobra.Command {
	return c.subcommand("new NAME@DOMAIN", newHelp, cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		name, err := parseName(args[0], "p3do new yourname@some.server")
		if err != nil {
			return err
		}
		return c.create(ctx, name)
	})
}

func (c *command) create(ctx context.Context, name pki.Name) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	home, err := c.folder()
	if err != nil {
		return err
	}
	_, missing := os.Stat(home)
	cfg, err := c.config(missing != nil) // an existing folder has its passphrase already
	if err != nil {
		return err
	}
	a, err := agent.New(ctx, cfg, name)
	var away *agent.HomeError
	var changed *pki.KeyChangedError
	if errors.As(err, &away) && !errors.As(err, &changed) {
		hint := "p3do new " + name.String()
		var lost *agent.DNSError
		if errors.As(err, &lost) {
			return cli.Fail(cli.Network, dnsHint(lost, hint), "%v.", away)
		}
		return cli.Fail(cli.Network, hint+"   (it goes on where it was)", "%v.", away)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	self, err := a.Self()
	if err != nil {
		return err
	}
	return c.print(self, fmt.Sprintf("Created %s\nfingerprint: %s\nhome: %s (%s)\nNext: p3do send NAME@DOMAIN \"hello\"",
		self.Name, self.Fingerprint, self.Home, agent.FirstSeen))
}

// parseName reads a name that was typed.
func parseName(text, hint string) (pki.Name, error) {
	name, err := pki.ParseName(text)
	if err != nil {
		return pki.Name{}, cli.Fail(cli.Input, hint, "%q is not a name like ann@a.test.", text)
	}
	return name, nil
}
