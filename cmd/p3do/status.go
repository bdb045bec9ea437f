package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/mor"
)

const statusHelp = `Show what became of your messages

  p3do status        all that are still on their way
  p3do status ID     one message

It asks your server first what it has heard.`

// statusWait is how long the state of one message is waited for to change.
const statusWait = 3 * time.Second

func (c *command) statusCommand() *cobra.Command {
	return c.subcommand("status [ID]", statusHelp, cobra.MaximumNArgs(1), func(ctx context.Context, args []string) (err error) {
		var id mor.MessageID
		if len(args) > 0 {
			if id, err = mor.ParseMessageID(args[0]); err != nil {
				return cli.Fail(cli.Input, "p3do status", "%s is not the id of a message.", quoted(args[0]))
			}
		}
		ctx, cancel := c.limited(ctx, defaultTimeout)
		defer cancel()
		a, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		if len(args) > 0 {
			return c.one(ctx, a, id)
		}
		return c.all(ctx, a)
	})
}

// one shows one message.
func (c *command) one(ctx context.Context, a *agent.Agent, id mor.MessageID) error {
	s, err := a.Status(id)
	if err != nil {
		return err
	}
	var trouble error
	if !s.Reached(mor.Acknowledged) {
		if trouble = a.Fetch(ctx); trouble == nil {
			waiting, stop := context.WithTimeout(ctx, statusWait)
			defer stop()
			_, trouble = a.Wait(waiting, id, mor.Acknowledged, func(agent.Status) {})
		}
	}
	var unfinished *agent.UnfinishedError
	if errors.As(trouble, &unfinished) {
		trouble = nil // that is what was asked for
	}
	if s, err = a.Status(id); err != nil {
		return err
	}
	return errors.Join(c.print(s, line(s)), trouble)
}

// all shows all messages that are on their way.
func (c *command) all(ctx context.Context, a *agent.Agent) error {
	trouble := a.Fetch(ctx)
	if err := a.Swaps(); err != nil {
		c.warn(fmt.Errorf("the key to your folder may be written to the disk of this machine while p3do runs: %w", err))
	}
	s, err := a.Summary()
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, message := range s.Outbox {
		fmt.Fprintln(&text, line(message))
	}
	fmt.Fprintf(&text, "%d on their way, %d sent in all, %d came, %d of them not read yet", len(s.Outbox), s.Sent, s.Came, s.Unread)
	if s.Expires.After(time.Now()) {
		fmt.Fprintf(&text, "\nyour server vouches for you until %s (%s)", s.Expires.Format(time.DateOnly), agent.Days(s.DaysLeft))
	}
	if s.Asked > 0 {
		fmt.Fprintf(&text, "\n%s in requests: p3do read --requests", waits(s.Asked))
	}
	if s.Log != "" {
		fmt.Fprintf(&text, "\n%s", s.Log)
	}
	c.warnAll(a)
	return errors.Join(c.print(s, text.String()), trouble, errors.Join(a.Trouble()...))
}

func line(s agent.Status) string {
	return fmt.Sprintf("%s  to %s  %s since %s", s.ID, s.To, s.State, s.Changed.Local().Format("2 Jan 15:04"))
}
