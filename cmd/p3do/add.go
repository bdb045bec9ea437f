package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/pki"
)

const addHelp = `Make somebody a contact

  p3do add bob@b.test     look up who that is and keep the key; nothing is sent
  p3do add --invite       make an invitation: whoever takes it is a contact of
                          yours at once, and you are one of hers
  p3do add -              take one: it asks for it, or reads what comes in
  p3do add FILE           take one that is in a file

The name is looked up through two servers of other domains, so that no server learns
that it was you who asked for it. With --direct your own server asks for you, and
learns the name.

What a contact writes is shown by p3do read. What anybody else writes waits in
requests, and is shown by p3do read --requests only. Whom you write to is a
contact, too.

An invitation works once, for --expires (7d) and 28 days at most. Until it is taken
it is a secret: give it to one person, and in person or where nobody else reads.
Who takes it believes your key by it. You may have 16 at a time.`

func (c *command) addCommand() *cobra.Command {
	var invite, picture bool
	var expires string
	cmd := c.subcommand("add NAME@DOMAIN|FILE|-", addHelp, cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
		switch {
		case invite && len(args) > 0:
			return cli.Fail(cli.Input, "p3do add --invite", "an invitation is for whoever has it: it is made without a name.")
		case invite:
			return c.invite(ctx, expires, picture)
		case len(args) == 0:
			return cli.Fail(cli.Input, "p3do add bob@b.test", "who shall it be?")
		}
		if err := c.looking("p3do add " + args[0]); err != nil {
			return err
		}
		name, err := pki.ParseName(args[0])
		if err == nil {
			return c.add(ctx, func(ctx context.Context, a *agent.Agent) (agent.Added, error) { return a.Add(ctx, name) })
		}
		if strings.Contains(args[0], "@") {
			_, err := parseName(args[0], "p3do add bob@b.test")
			return err
		}
		i, err := readSecret(c, args[0], "p3do add -   (and then the whole of it)", invitation.ParsePersonal)
		if err != nil {
			return err
		}
		return c.add(ctx, func(ctx context.Context, a *agent.Agent) (agent.Added, error) { return a.Take(ctx, i) })
	})
	c.lookFlags(cmd)
	cmd.Flags().BoolVar(&invite, "invite", false, "invite somebody to write to you")
	cmd.Flags().StringVar(&expires, "expires", "7d", "with --invite: it is good for `D`, like 7d or 12h")
	cmd.Flags().BoolVar(&picture, "qr", true, "with --invite: draw it, for a telephone to look at")
	return cmd
}

func (c *command) add(ctx context.Context, add func(context.Context, *agent.Agent) (agent.Added, error)) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout+c.lookFor)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	added, err := add(ctx, a)
	if err != nil {
		return err
	}
	c.warnAll(a)
	line := fmt.Sprintf("Added %s (%s)", added.Name, added.Standing)
	if added.Moved > 0 {
		line += fmt.Sprintf("\n%s to be read: p3do read", waits(added.Moved))
	}
	return c.print(added, line)
}

// An invitedBy is what add --invite prints.
type invitedBy struct {
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

func (c *command) invite(ctx context.Context, expires string, picture bool) (err error) {
	life, err := parseLife(expires)
	if err != nil {
		return err
	}
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	i, err := a.Invite(ctx, life)
	if errors.Is(err, agent.ErrInvitations) {
		return cli.Fail(cli.Quota, "p3do add NAME@DOMAIN   (without one; or wait until they are taken, or over)", "%v.", err)
	} else if err != nil {
		return err
	}
	c.warnAll(a)
	text := i.String()
	if picture {
		drawn, err := cli.QR(text)
		if err != nil {
			return err
		}
		text = drawn + text
	}
	return c.print(invitedBy{i.String(), i.Expires}, fmt.Sprintf("%s\nworks once, until %s", text, i.Expires.Local().Format("2 Jan")))
}

// parseLife reads 7d, or what Go calls a duration.
func parseLife(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	life, err := time.ParseDuration(text)
	if err != nil || life <= 0 {
		return 0, cli.Fail(cli.Input, "p3do add --invite --expires 7d", "%q is not a time like 7d or 12h.", text)
	}
	return life, nil
}
