package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/pki"
)

const challengeHelp = `Say that another key which is shown under your name is not yours

  p3do challenge                     your key says so, to your server, and over
                                     relays to others
  p3do challenge --direct            connect to servers for it, if yours is not
                                     there: they see your address
  p3do challenge --via c.test        hand it in at the server of c.test alone

It says who has confirmed it. What nobody has is kept, and tried again while you are
connected. For 90 days nobody who meets you now is told to trust another key than yours, and
nobody's program takes another one in place of yours by itself. Your server can
answer by ending your name, in the open. It is written into its key log.`

func (c *command) challengeCommand() *cobra.Command {
	var server string
	cmd := c.subcommand("challenge [--via SERVER] [--direct]", challengeHelp, cobra.NoArgs, func(ctx context.Context, _ []string) error {
		var via pki.Domain
		var err error
		if server != "" {
			if via, err = pki.ParseDomain(server); err != nil {
				return cli.Fail(cli.Input, "p3do challenge --via c.test", "%s is not a server like c.test.", quoted(server))
			}
		}
		ctx, cancel := c.limited(ctx, defaultTimeout)
		defer cancel()
		return c.challenge(ctx, via)
	})
	cmd.Flags().BoolVar(&c.direct, "direct", false, "connect to the servers that are to have it: they see your address")
	cmd.Flags().StringVar(&server, "via", "", "hand it in at the server of `SERVER`")
	return cmd
}

func (c *command) challenge(ctx context.Context, via pki.Domain) (err error) {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	in, err := a.Challenge(ctx, via, c.direct)
	var away *agent.HomeError
	if err == agent.ErrNotTaken || !c.direct && errors.As(err, &away) {
		hint := "p3do challenge --direct"
		if !via.IsZero() {
			hint += " --via " + via.String()
		}
		return cli.Fail(cli.Network, hint+"   (by which servers see your address)", "No server has confirmed it yet. It is kept, and tried again while you are connected.")
	}
	if err != nil {
		return notHandedIn(err, "p3do challenge --direct", "It is kept, and tried again while you are connected.", via)
	}
	return c.print(in, fmt.Sprintf("Your key says that any other one under %s is not yours.\nconfirmed by: %s", in.Name, pki.JoinDomains(in.At, ", ")))
}
