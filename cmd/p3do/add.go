package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
)

const addHelp = `Make somebody a contact

  p3do add bob@b.test

looks up who that is and keeps the key; nothing is sent. What a contact writes is
shown by p3do read. What anybody else writes waits in requests, and is shown by
p3do read --requests only. Whom you write to is a contact, too.`

func (c *command) addCommand() *cobra.Command {
	return c.subcommand("add NAME@DOMAIN", addHelp, cobra.ExactArgs(1), func(ctx context.Context, args []string) (err error) {
		name, err := parseName(args[0], "p3do add bob@b.test")
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
		added, err := a.Add(ctx, name)
		if err != nil {
			return err
		}
		c.warnAll(a)
		return c.print(added, addedLine(added))
	})
}

func addedLine(added agent.Added) string {
	line := fmt.Sprintf("Added %s (%s)", added.Name, added.Standing)
	if added.Moved > 0 {
		line += fmt.Sprintf("\n%s to be read: p3do read", waits(added.Moved))
	}
	return line
}
