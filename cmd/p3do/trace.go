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

const traceHelp = `Show how a message of yours is protected, and what is known of its way

  p3do trace ID

It says which of the four layers protect what, which servers your program drew for each copy,
there and back, which receipts came, and what each server on the way of the last copy can know.
It asks nobody: nothing leaves this machine.`

func (c *command) traceCommand() *cobra.Command {
	return c.subcommand("trace ID", traceHelp, cobra.ExactArgs(1), func(ctx context.Context, args []string) (err error) {
		id, err := mor.ParseMessageID(args[0])
		if err != nil {
			return cli.Fail(cli.Input, "p3do status", "%s is not the id of a message.", quoted(args[0]))
		}
		a, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		t, err := a.Trace(id)
		if err != nil {
			return err
		}
		return c.print(t, traceText(t))
	})
}

// traceText is a trace for people.
func traceText(t agent.Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nwhat protects it, from the inside out\n", line(t.Status))
	for _, l := range t.Layers {
		fmt.Fprintf(&b, "  %-10s %s\n             opened by %s\n", l.Scope, l.How, l.Opens)
	}
	fmt.Fprintf(&b, "\nwhat is known of its way\n")
	for i, made := range t.Copies {
		fmt.Fprintf(&b, "  copy %d, %s, packet %s: %s\n             receipt over %s: %s\n",
			t.Attempts-len(t.Copies)+i+1, made.At.Local().Format(time.DateTime), made.Packet, made.There, mor.Route(made.Back), came(made))
	}
	if len(t.Copies) == 0 {
		fmt.Fprintf(&b, "  the last copy went %s\n", t.Route)
	}
	fmt.Fprintf(&b, "\nwhat each server on it can know\n")
	for _, s := range t.Servers {
		fmt.Fprintf(&b, "  %-10s %s: %s\n             not: %s\n", s.Role, s.Domain, s.Knows, s.Not)
	}
	fmt.Fprintf(&b, "\nThat is each of them alone. If the first relay and the mailbox server put together what they know, they link you to the mailbox; if all")
	fmt.Fprintf(&b, "\nrelays of a way do, the servers at its ends. Between two of them each packet floods a cell of the mesh; who watches all links of it")
	fmt.Fprintf(&b, "\nmay guess by times: docs/threat-model.md. An entry that is the mailbox server, too, may guess without anybody.")
	return b.String()
}

func came(c agent.Copy) string {
	if c.Receipt.IsZero() {
		return "none came"
	}
	return fmt.Sprintf("came after %.1f s", c.Receipt.Sub(c.At).Seconds())
}
