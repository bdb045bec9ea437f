package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

const sendHelp = `Write to somebody

  p3do send bob@b.test "hello"
  echo hello | p3do send bob@b.test -

The message goes through two servers of other domains, or three with --hops 3, so
that none on the way knows both of you, and waits at bob's server until he reads
it. The states:

  queued         it is in your folder
  sent           your server took it
  stored         bob's server has it safely
  acknowledged   bob's program has it

What you write is not signed: bob knows that it is from you, and can prove it to
nobody, for he could have made it up himself.

The line begins with what is known of bob's key: see p3do read --help. If another
key is shown for him or his server, or nobody confirms that of his server, nothing
is sent and the exit status is 4. Who has moved to another server, and signed that
by the key that is known, is found there by the old name as well.

Before the first message of a day bob's key is looked up, by a way like that of the
message, so that no server learns that it was you who asked for it. With --direct
your own server asks for you, and learns the name.

If it has not come as far as --until when --wait is over, the exit status is 7
and it is tried again whenever p3do runs, for a week.`

// maxInput is how much text is read at most; a message holds less.
const maxInput = 1 << 20

// A sending is the flags of send.
type sending struct {
	wait   time.Duration
	until  string
	hops   int
	via    string
	dryRun bool
	want   mor.State // of until
	way    agent.Way // of hops and via
}

func (c *command) sendCommand() *cobra.Command {
	var s sending
	var cmd *cobra.Command
	cmd = c.subcommand("send NAME@DOMAIN [TEXT|-]", sendHelp, cobra.RangeArgs(1, 2), func(ctx context.Context, args []string) error {
		to, err := parseName(args[0], "p3do send bob@b.test TEXT")
		if err != nil {
			return err
		}
		if err := s.check(cmd.Flags().Changed("hops")); err != nil {
			return err
		}
		if s.dryRun {
			return c.plan(ctx, to, s)
		}
		text, err := c.text(args[1:])
		if err != nil {
			return err
		}
		return c.send(ctx, to, text, s)
	})
	cmd.Flags().DurationVar(&s.wait, "wait", time.Minute, "wait for `D` at most; 0 does not wait")
	cmd.Flags().StringVar(&s.until, "until", string(mor.StoredThere), "wait until it is `STATE`: stored or acknowledged")
	cmd.Flags().IntVar(&s.hops, "hops", mor.DefaultHops, "go through `N` servers: 2 or 3")
	cmd.Flags().StringVar(&s.via, "via", "", "go through these servers: `A,B` or A,B,C")
	c.directFlag(cmd)
	cmd.Flags().BoolVar(&s.dryRun, "dry-run", false, "show a way that it could take, and send nothing")
	return cmd
}

// check reads the flags that need reading. counted says that --hops was given.
func (s *sending) check(counted bool) error {
	hint := "leave --hops away or give 2 or 3"
	switch {
	case s.hops == 1:
		return cli.Fail(cli.Input, hint, "--hops 1 is not allowed: one server would know both ends.")
	case s.hops < mor.MinHops || s.hops > mor.MaxHops:
		return cli.Fail(cli.Input, hint, "--hops %d is not allowed.", s.hops)
	case s.wait < 0:
		return cli.Fail(cli.Input, "leave --wait away or give a time like 60s", "--wait is negative.")
	}
	switch s.want = mor.State(s.until); s.want {
	case mor.StoredThere, mor.Acknowledged:
	default:
		return cli.Fail(cli.Input, "give --until stored or --until acknowledged", "--until %s is not a state to wait for.", s.until)
	}
	s.way.Hops = s.hops
	if s.via == "" {
		return nil
	}
	return s.checkVia(counted)
}

func (s *sending) checkVia(counted bool) error {
	hint := "leave --via away or name 2 or 3 servers: --via c.test,d.test"
	for _, text := range strings.Split(s.via, ",") {
		domain, err := pki.ParseDomain(text)
		if err != nil {
			return cli.Fail(cli.Input, hint, "%s is not a server like c.test%s.", quoted(text), cli.International(text))
		}
		s.way.Via = append(s.way.Via, domain)
	}
	switch n := len(s.way.Via); {
	case n < mor.MinHops:
		return cli.Fail(cli.Input, hint, "--via names one server: it would know both ends.")
	case n > mor.MaxHops:
		return cli.Fail(cli.Input, hint, "--via names %d servers.", n)
	case counted && n != s.hops:
		return cli.Fail(cli.Input, "leave one of the two away", "--via names %d servers, and --hops says %d.", n, s.hops)
	default:
		s.way.Hops = n
	}
	return nil
}

// text is what was typed, or what comes in.
func (c *command) text(args []string) (string, error) {
	hint := `p3do send bob@b.test "hello"`
	text := "-"
	if len(args) > 0 {
		text = args[0]
	}
	if text == "-" {
		raw, err := io.ReadAll(io.LimitReader(c.stdin, maxInput))
		if err != nil {
			return "", fmt.Errorf("reading the text: %w", err)
		}
		text = strings.TrimSuffix(string(raw), "\n")
	}
	switch {
	case text == "":
		return "", cli.Fail(cli.Input, hint, "there is no text to send.")
	case !utf8.ValidString(text):
		return "", cli.Fail(cli.Input, hint, "the text is not UTF-8.")
	}
	return text, nil
}

// A planned is what send --dry-run prints.
type planned struct {
	To    pki.Name  `json:"to"`
	Hops  int       `json:"hops"`
	Route mor.Route `json:"route"`
}

func (c *command) plan(ctx context.Context, to pki.Name, s sending) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	route, err := a.Plan(ctx, to, s.way)
	if err != nil {
		return s.routeError(err)
	}
	return c.print(planned{to, s.way.Hops, route}, route.String())
}

// A sent is what send prints.
type sent struct {
	ID    string    `json:"id"`
	State mor.State `json:"state"`
	To    pki.Name  `json:"to"`
	agent.Standing
	MS    int64     `json:"ms"` // from the start of sending to this state
	Route mor.Route `json:"route"`
}

func (c *command) send(ctx context.Context, to pki.Name, text string, s sending) (err error) {
	ctx, cancel := c.limited(ctx, 0)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	start := time.Now()
	status, err := a.Send(ctx, to, text, s.way)
	if err != nil {
		return s.routeError(err)
	}
	c.warnAll(a)
	to = status.To // who has moved has another name
	standing, err := a.Standing(to)
	if err != nil {
		return err
	}
	id, err := mor.ParseMessageID(status.ID)
	if err != nil {
		return err
	}
	if full := a.Full(); full != nil {
		return errors.Join(c.print(sent{status.ID, status.State, to, standing, time.Since(start).Milliseconds(), status.Route}, status.ID), full)
	}
	progress := c.progress(fmt.Sprintf("%s, %s: ", to, standing))
	progress(agent.Status{State: mor.Queued})
	waiting, stop := context.WithTimeout(ctx, s.wait)
	defer stop()
	status, err = a.Wait(waiting, id, s.want, progress)
	took := time.Since(start)
	line := status.ID
	if !c.quiet {
		line = fmt.Sprintf(" (%.1f s)\n%s", took.Seconds(), status.ID) // behind the progress
	}
	return errors.Join(c.print(sent{status.ID, status.State, to, standing, took.Milliseconds(), status.Route}, line), s.outcome(status, err))
}

// progress returns a function that shows each state once, in one line that begins with first:
// with the result, or on the side if the result is an object.
func (c *command) progress(first string) func(agent.Status) {
	out, between, last := c.stdout, first, mor.State("")
	if c.json {
		out = c.stderr
	}
	return func(s agent.Status) {
		if c.quiet || s.State == last {
			return
		}
		last = s.State
		if c.json {
			fmt.Fprintln(out, s.State)
			return
		}
		fmt.Fprint(out, between, s.State)
		between = " … "
	}
}

// outcome is the error of a message that did not come as far as it was waited for.
func (s sending) outcome(status agent.Status, err error) error {
	var unfinished *agent.UnfinishedError
	switch {
	case errors.As(err, &unfinished):
		return &agent.UnfinishedError{Status: status, Until: s.want, After: s.wait}
	case err == nil && status.State == mor.Expired:
		return &agent.UnfinishedError{Status: status, Until: s.want, After: s.wait}
	}
	return err
}

// routeError makes a lack of servers the user's own fault if it was she who named them.
func (s sending) routeError(err error) error {
	var route *mor.RouteError
	var way *agent.WayError // which --via has no part in
	if len(s.way.Via) > 0 && !errors.As(err, &way) && errors.As(err, &route) {
		return cli.Fail(cli.Input, "leave --via away or name other servers", "%v.", route)
	}
	return err
}
