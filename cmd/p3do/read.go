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
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/pki"
)

const readHelp = `Read what has come

fetches all that waits for you at your server, and shows each message once that a
contact wrote: somebody to whom you have written, or whom you have added. If p3do
was stopped by force just then, the message comes again and says that it was
perhaps shown before. The word behind a name says what is known of the key:

  verified      you were told its words by its owner (p3do check NAME --accept)
  vouched       by its server, which others confirm
  first seen    it came with the name from the start; nobody else confirms it
  unconfirmed   nobody but its own server says so: do not rely on it. So is each
                writer whom you do not know, until you look her up (p3do check NAME,
                p3do add NAME, or an answer)
  CHANGED       another key is shown now (p3do check NAME --why)
  revoked       its owner has ended it: it may be a thief who writes

With --follow it goes on until you stop it.

What strangers write waits in requests. Of that you are told how much there is, at
the end and on the side, where scripts do not read:

  p3do read --requests               show it, each message once
  p3do add NAME                      its writer is a contact from now on (so she is
                                     when you answer by p3do send)
  p3do read --requests --drop NAME   forget her, and all that she wrote

100 messages wait in requests at most, and 10 of one writer. Of more, 48 stay at
your server, for 8 days each; the newest are thrown away, and counted as crowded
in p3do status --json. The writer of a message that found no room yet is not told
that you have it.`

func (c *command) readCommand() *cobra.Command {
	var r reading
	cmd := c.subcommand("read", readHelp, cobra.NoArgs, func(ctx context.Context, _ []string) error {
		if r.drop != "" {
			return c.drop(r)
		}
		return c.read(ctx, r)
	})
	cmd.Flags().BoolVar(&r.follow, "follow", false, "go on, and show what comes")
	cmd.Flags().BoolVar(&r.requests, "requests", false, "show what strangers wrote")
	cmd.Flags().StringVar(&r.drop, "drop", "", "with --requests: forget `NAME`, and what she wrote")
	return cmd
}

// A reading is what p3do read is asked for.
type reading struct {
	follow   bool
	requests bool
	drop     string
}

func (c *command) read(ctx context.Context, r reading) (err error) {
	otherwise := defaultTimeout
	if r.follow {
		otherwise = 0
	}
	ctx, cancel := c.limited(ctx, otherwise)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	box := c.box(a, r.requests)
	if r.follow {
		return a.Follow(ctx, func() error { return c.follow(ctx, a, box) })
	}
	failed := errors.Join(a.Fetch(ctx), box.show(ctx), box.note(a))
	c.warnAll(a)
	return errors.Join(failed, errors.Join(a.Trouble()...))
}

// drop forgets a stranger.
func (c *command) drop(r reading) (err error) {
	name, err := parseName(r.drop, "p3do read --requests --drop cid@c.test")
	if err != nil {
		return err
	}
	if !r.requests || r.follow {
		return cli.Fail(cli.Input, "p3do read --requests --drop "+name.String(), "--drop is for --requests alone.")
	}
	a, err := c.open(context.Background())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := a.Drop(name); errors.Is(err, agent.ErrNoRequest) {
		return cli.Fail(cli.Input, "p3do read --requests", "%s is nobody who waits in requests.", name)
	} else if err != nil {
		return err
	}
	return c.print(struct {
		Dropped pki.Name `json:"dropped"`
	}{name}, fmt.Sprintf("%s is forgotten", name))
}

// turnWait is how long following waits for another program that is showing messages, before it
// goes on with what else there is to do.
const turnWait = 200 * time.Millisecond

// follow shows what has come; a changed key does not end it, and neither does another program
// that shows messages and waits for its reader, or for a pager.
func (c *command) follow(ctx context.Context, a *agent.Agent, b *box) error {
	c.warnAll(a)
	for _, trouble := range a.Trouble() {
		c.warn(trouble)
	}
	turn, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	return errors.Join(b.show(turn), b.note(a))
}

// A box is where messages are shown from: of contacts, or requests.
type box struct {
	*command
	next     func(context.Context, func(agent.Message) error) (bool, error)
	requests bool
	last     pki.Name // whose request was shown last
	noted    bool     // what waits, or what to do about it, was said
}

func (c *command) box(a *agent.Agent, requests bool) *box {
	if requests {
		return &box{command: c, next: a.ShowRequest, requests: true}
	}
	return &box{command: c, next: a.Show}
}

// show prints all that was not shown before.
func (b *box) show(ctx context.Context) error {
	for {
		ok, err := b.next(ctx, b.one)
		if err != nil || !ok {
			return err
		}
	}
}

// note says once that there are requests, or what may be done about those that were shown.
func (b *box) note(a *agent.Agent) error {
	n, err := a.Requested()
	if err != nil || b.noted || b.quiet {
		return err
	}
	switch {
	case b.requests && !b.last.IsZero():
		fmt.Fprintf(b.stderr, "p3do: hint: p3do add %s   # if you want to hear more; p3do read --requests --drop %s forgets all of it\n", b.last, b.last)
	case !b.requests && n > 0:
		fmt.Fprintf(b.stderr, "p3do: %s in requests: p3do read --requests\n", waits(n))
	default:
		return nil
	}
	b.noted = true
	return nil
}

// waits says how many messages wait.
func waits(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return fmt.Sprintf("%d messages wait", n)
}

// A shown is what read prints of a message.
type shown struct {
	From pki.Name `json:"from"`
	agent.Standing
	Text  string    `json:"text"`
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Again bool      `json:"again,omitempty"`

	Request bool `json:"request,omitempty"` // of a stranger
}

func (b *box) one(m agent.Message) error {
	again := ""
	if m.Again {
		again = " (perhaps shown before)"
	}
	line := fmt.Sprintf("%s (%s), %s%s:\n%s", m.From, m.Standing, m.At.Local().Format("2 Jan 15:04"), again, indented(m.Text))
	if err := b.print(shown{m.From, m.Standing, m.Text, m.ID, m.At, m.Again, b.requests}, line); err != nil {
		return fmt.Errorf("showing a message: %w", err)
	}
	b.last = m.From
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
