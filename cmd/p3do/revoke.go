package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

const revokeHelp = `End your key, for good, if somebody else has it

  p3do revoke                        with your folder: your key ends itself
  p3do revoke --key FILE             from anywhere, with the file that
                                     "p3do backup --revocation FILE" wrote
  p3do revoke --via c.test           hand it in at the server of c.test, if
                                     yours is not there

There is no way back. Within seconds no server lets anybody in with that key, what
waits for it is deleted, and whoever knows you is told not to write to it any more.
What you have read stays in your folder. It asks once, or not at all with --yes.

Up to three servers are connected to for it, and see from where you do this; with
--via or --key one alone.`

func (c *command) revokeCommand() *cobra.Command {
	var key, server string
	cmd := c.subcommand("revoke [--key FILE] [--via SERVER]", revokeHelp, cobra.NoArgs, func(ctx context.Context, _ []string) error {
		var via pki.Domain
		var err error
		if server != "" {
			if via, err = pki.ParseDomain(server); err != nil {
				return cli.Fail(cli.Input, "p3do revoke --via c.test", "%s is not a server like c.test.", quoted(server))
			}
		}
		ctx, cancel := c.limited(ctx, defaultTimeout)
		defer cancel()
		if key != "" {
			return c.revokeBy(ctx, key, via)
		}
		return c.revokeOwn(ctx, via)
	})
	cmd.Flags().StringVar(&key, "key", "", "the `FILE` of a revocation key")
	cmd.Flags().StringVar(&server, "via", "", "hand it in at the server of `SERVER`")
	return cmd
}

// revokeOwn has the key in the folder end itself.
func (c *command) revokeOwn(ctx context.Context, via pki.Domain) (err error) {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	self, err := a.Self()
	if err != nil {
		return err
	}
	if err := c.end(self.Name, "p3do revoke --yes"); err != nil {
		return err
	}
	in, err := a.Revoke(ctx, via)
	if err != nil {
		return notHandedIn(err, "p3do revoke", nothingEnded, via)
	}
	return c.print(in, endedText(in))
}

// revokeBy ends a key by its revocation key, without a folder.
func (c *command) revokeBy(ctx context.Context, file string, via pki.Domain) error {
	revocable, err := readRevocable(file)
	if err != nil {
		return err
	}
	again := "p3do revoke --key " + file
	revocation, err := revocable.Revoke(time.Now())
	if err != nil {
		return cli.Fail(cli.Input, again, "%s: %v.", file, err)
	}
	if err := c.end(revocation.Name(), again+" --yes"); err != nil {
		return err
	}
	at := via
	if at.IsZero() {
		at = revocation.Domain()
	}
	in, err := agent.HandIn(ctx, agent.Config{DNS: os.Getenv("P3DO_DNS"), Dial: dial.Direct()}, at, revocation)
	if err != nil {
		return notHandedIn(err, again, nothingEnded, at)
	}
	return c.print(in, endedText(in))
}

// readRevocable reads the file of a revocation key.
func readRevocable(name string) (agent.Revocable, error) {
	const hint = "p3do revoke --key FILE   (as p3do backup --revocation wrote it)"
	file, err := os.Open(name)
	if err != nil {
		return agent.Revocable{}, cli.Fail(cli.Input, hint, "%v.", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, agent.MaxRevocable+1))
	if err != nil {
		return agent.Revocable{}, cli.Fail(cli.Input, hint, "%v.", err)
	}
	revocable, err := agent.ParseRevocable(raw)
	if err != nil {
		return agent.Revocable{}, cli.Fail(cli.Input, hint, "%s: %v.", name, err)
	}
	return revocable, nil
}

// end asks whether a key is to end.
func (c *command) end(name pki.Name, again string) error {
	if c.yes || c.agrees(fmt.Sprintf("End the key of %s for good? There is no way back.", name)) {
		return nil
	}
	return cli.Fail(cli.Input, again, "nothing was ended.")
}

func endedText(in agent.HandedIn) string {
	return fmt.Sprintf("The key of %s has ended, for good.\nhanded in at: %s\nEvery server refuses it within seconds.", in.Name, pki.JoinDomains(in.At, ", "))
}

const nothingEnded = "Nothing has ended."

// notHandedIn says why no server took it, and what that means.
func notHandedIn(err error, again, nothing string, via pki.Domain) error {
	var (
		refused *session.Error
		nowhere *agent.NoServerError
	)
	switch {
	case errors.Is(err, agent.ErrNoHome):
		return cli.Fail(cli.Input, "p3do wipe", "this pseudonym has no server: nobody knows its key, and there is nothing to end.")
	case errors.As(err, &refused) && errors.Is(err, agent.ErrNotHandedIn):
		return cli.Fail(cli.Network, again+" --via ANOTHER-SERVER", "%s. %s", refused.Text, nothing)
	case errors.As(err, &refused):
		return cli.Fail(cli.Refused, again+" --via ANOTHER-SERVER", "%s. %s", refused.Text, nothing)
	case errors.Is(err, agent.ErrNoDNS):
		return cli.Fail(cli.Input, "P3DO_DNS=IP:PORT "+again, "%v.", err)
	case errors.As(err, &nowhere) && nowhere.Domain == via:
		return cli.Fail(cli.Input, again+" --via ANOTHER-SERVER", "%v. %s", nowhere, nothing)
	case errors.Is(err, agent.ErrNotHandedIn) && via.IsZero():
		return cli.Fail(cli.Network, again+" --via ANOTHER-SERVER", "no server answers. %s", nothing)
	case errors.Is(err, agent.ErrNotHandedIn):
		return cli.Fail(cli.Network, again+" --via ANOTHER-SERVER", "%s does not answer. %s", via, nothing)
	}
	return err
}
