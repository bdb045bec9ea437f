package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/pki"
)

const challengeHelp = `Say that another key which is shown under your name is not yours

  p3do challenge                     your key says so, to your server and others
  p3do challenge --via c.test        hand it in at the server of c.test, if
                                     yours is not there

For 90 days nobody who meets you now is told to trust another key than yours, and
nobody's program takes another one in place of yours by itself. Your server can
answer by ending your name, in the open. It is written into its key log.`

func (c *command) challengeCommand() *cobra.Command {
	var server string
	cmd := c.subcommand("challenge [--via SERVER]", challengeHelp, cobra.NoArgs, func(ctx context.Context, _ []string) error {
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
	cmd.Flags().StringVar(&server, "via", "", "hand it in at the server of `SERVER`")
	return cmd
}

func (c *command) challenge(ctx context.Context, via pki.Domain) (err error) {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	in, err := a.Challenge(ctx, via, [32]byte{})
	if err != nil {
		return notHandedIn(err, "p3do challenge", "Nobody was told.", via)
	}
	return c.print(in, fmt.Sprintf("Your key says that any other one under %s is not yours.\nhanded in at: %s", in.Name, pki.JoinDomains(in.At, ", ")))
}
