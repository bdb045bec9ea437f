package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/pki"
)

const readHelp = `Read what has come

fetches all that waits for you at your server, and shows each message once. If
p3do was stopped by force just then, the message comes again and says that it was
perhaps shown before. The word behind a name says what is known of the key:

  verified      you were told its words by its owner (p3do check NAME --accept)
  vouched       by its server, which others confirm
  first seen    it came with the name from the start; nobody else confirms it
  unconfirmed   nobody but its own server says so: do not rely on it
  CHANGED       another key is shown now (p3do check NAME --why)
  revoked       its owner has ended it: it may be a thief who writes

With --follow it goes on until you stop it.`

func (c *command) readCommand() *cobra.Command {
	follow := false
	cmd := c.subcommand("read", readHelp, cobra.NoArgs, func(ctx context.Context, _ []string) (err error) {
		otherwise := defaultTimeout
		if follow {
			otherwise = 0
		}
		ctx, cancel := c.limited(ctx, otherwise)
		defer cancel()
		a, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		if follow {
			return a.Follow(ctx, func() error { return c.follow(ctx, a) })
		}
		failed := errors.Join(a.Fetch(ctx), c.show(ctx, a))
		c.warnAll(a)
		return errors.Join(failed, errors.Join(a.Trouble()...))
	})
	cmd.Flags().BoolVar(&follow, "follow", false, "go on, and show what comes")
	return cmd
}

// turnWait is how long following waits for another program that is showing messages, before it
// goes on with what else there is to do.
const turnWait = 200 * time.Millisecond

// follow shows what has come; a changed key does not end it, and neither does another program
// that shows messages and waits for its reader, or for a pager.
func (c *command) follow(ctx context.Context, a *agent.Agent) error {
	c.warnAll(a)
	for _, trouble := range a.Trouble() {
		c.warn(trouble)
	}
	turn, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	return c.show(turn, a)
}

// A shown is what read prints of a message.
type shown struct {
	From pki.Name `json:"from"`
	agent.Standing
	Text  string    `json:"text"`
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Again bool      `json:"again,omitempty"`
}

// show prints all that was not shown before.
func (c *command) show(ctx context.Context, a *agent.Agent) error {
	for {
		ok, err := a.Show(ctx, c.showOne)
		if err != nil || !ok {
			return err
		}
	}
}

func (c *command) showOne(m agent.Message) error {
	again := ""
	if m.Again {
		again = " (perhaps shown before)"
	}
	line := fmt.Sprintf("%s (%s), %s%s:\n%s", m.From, m.Standing, m.At.Local().Format("2 Jan 15:04"), again, indented(m.Text))
	if err := c.print(shown{m.From, m.Standing, m.Text, m.ID, m.At, m.Again}, line); err != nil {
		return fmt.Errorf("showing a message: %w", err)
	}
	return nil
}

// indented is a text that somebody else wrote, as it may be shown on a terminal: nothing in
// it can move the cursor or pass for a line of ours.
func indented(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}
