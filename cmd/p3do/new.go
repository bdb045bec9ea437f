package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

const newHelp = `Make a name of your own at a server

  p3do new ann@a.test                  find the server of a.test, make your keys,
                                       and register the name
  p3do new ann@a.test --invite -       the same where you were invited: it asks for
                                       the invitation, or reads what comes in. That
                                       says which keys to believe before anybody is
                                       asked
  p3do new ann@a.test --invite FILE    the same from a file
  p3do new ann@c.test --move           leave your server for another one, as who you
                                       are. Those who know you find you there, by
                                       your old name, too, and your old server is not
                                       needed for it
  p3do new --keyonly                   keys and no name: a pseudonym that needs no
                                       server and no network, until you give it a
                                       name by "p3do new"

Your keys never leave your folder. If something goes wrong on the way, type it
again: it goes on where it was.`

// maxInvitation is how much of an invitation is read.
const maxInvitation = 8 << 10

func (c *command) newCommand() *cobra.Command {
	var invite string
	var keyonly, move bool
	cmd := c.subcommand("new NAME@DOMAIN", newHelp, cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
		switch {
		case keyonly && (len(args) > 0 || invite != "" || move):
			return cli.Fail(cli.Input, "p3do new --keyonly", "--keyonly is without a name and without an invitation.")
		case keyonly:
			return c.createKeyonly(ctx)
		case len(args) == 0:
			return cli.Fail(cli.Input, "p3do new yourname@some.server", "what shall the name be?")
		}
		name, err := parseName(args[0], "p3do new yourname@some.server")
		if err != nil {
			return err
		}
		i, err := c.invitation(invite, name)
		if err != nil {
			return err
		}
		if move {
			return c.move(ctx, name, i)
		}
		return c.create(ctx, name, i)
	})
	cmd.Flags().StringVar(&invite, "invite", "", "you were invited: the invitation is in `FILE`; - asks for it")
	cmd.Flags().BoolVar(&move, "move", false, "leave the name that you have for this one")
	cmd.Flags().BoolVar(&keyonly, "keyonly", false, "a pseudonym without a server")
	return cmd
}

// invitation reads an invitation to a server; nil if there is none.
func (c *command) invitation(from string, name pki.Name) (*invitation.Invitation, error) {
	if from == "" {
		return nil, nil
	}
	i, err := readSecret(c, from, "p3do new "+name.String()+" --invite -   (and then the whole of it)", invitation.Parse)
	if err != nil {
		return nil, err
	}
	return &i, nil
}

// readSecret reads an invitation from a file, or for "-" from what is typed or comes in. It is a
// secret until it is used, so it is not taken from the command line, which everybody on the machine
// can read.
func readSecret[I any](c *command, from, hint string, parse func(string) (I, error)) (i I, err error) {
	switch {
	case invitation.Looks(from):
		return i, cli.Fail(cli.Input, hint, "an invitation is a secret, and others can read what you type on a command line: put it into a file, or wait until you are asked.")
	case from == "-":
		fmt.Fprintln(c.stderr, "Your invitation:")
		i, err = readInvitation(c.stdin, parse)
	default:
		file, failed := os.Open(from)
		if failed != nil {
			return i, cli.Fail(cli.Input, hint, "the file with the invitation: %v.", unnamed(failed))
		}
		defer file.Close()
		i, err = readInvitation(file, parse)
	}
	if err != nil {
		return i, cli.Fail(cli.Input, hint, "%v.", unnamed(err))
	}
	return i, nil
}

// unnamed is an error of a file without the name, which may be an invitation that was typed in its
// place and does not look like one.
func unnamed(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// readInvitation reads lines until they are an invitation: who types it need not say that she is done.
func readInvitation[I any](from io.Reader, parse func(string) (I, error)) (I, error) {
	in := bufio.NewReader(io.LimitReader(from, maxInvitation))
	for text := ""; ; {
		line, failed := in.ReadString('\n')
		text += line
		i, err := parse(text)
		switch {
		case err == nil:
			return i, nil
		case errors.Is(failed, io.EOF):
			return i, err
		case failed != nil:
			return i, fmt.Errorf("reading the invitation: %w", failed)
		}
	}
}

func (c *command) createKeyonly(ctx context.Context) (err error) {
	cfg, err := c.emptyFolder(ctx)
	if err != nil {
		return err
	}
	a, err := agent.NewKeyonly(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	self, err := a.Self()
	if err != nil {
		return err
	}
	return c.print(self, fmt.Sprintf("Created %s\nfingerprint: %s\nhome: none\nNext: p3do backup", self.ID, self.Words))
}

func (c *command) create(ctx context.Context, name pki.Name, invite *invitation.Invitation) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	cfg, err := c.emptyFolder(ctx) // an existing folder has its passphrase already
	if err != nil {
		return err
	}
	cfg.Invite = invite
	a, err := agent.New(ctx, cfg, name)
	if err != nil {
		return uncreated(err, name, invite != nil)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	self, err := a.Self()
	if err != nil {
		return err
	}
	return c.print(self, fmt.Sprintf("Created %s\nfingerprint: %s\nhome: %s (%s)\nNext: p3do backup",
		self.Name, self.Words, self.Home, homeTrust(self, invite)))
}

// homeTrust says why the home's key is believed.
func homeTrust(self agent.Self, invite *invitation.Invitation) string {
	why := string(agent.FirstSeen)
	if invite != nil {
		why = "by your invitation"
	}
	if len(self.Confirmed) == 0 {
		return why
	}
	if invite == nil {
		return "confirmed by " + pki.JoinDomains(self.Confirmed, ", ")
	}
	return why + ", confirmed by " + pki.JoinDomains(self.Confirmed, ", ")
}

// uncreated says why there is no name.
func uncreated(err error, name pki.Name, invited bool) error {
	var (
		away    *agent.HomeError
		changed *pki.KeyChangedError
		lost    *agent.DNSError
		refused *session.Error
		wrong   *agent.InvitationError
	)
	again := "p3do new " + name.String()
	switch {
	case errors.As(err, &wrong):
		return cli.Fail(cli.Input, fmt.Sprintf("p3do new %s@%s --invite -", name.Local(), wrong.To), "%v.", wrong)
	case errors.As(err, &changed):
		return err
	case errors.As(err, &refused) && refused.Code == session.Refused && invited:
		return cli.Fail(cli.Refused, fmt.Sprintf("ask whoever runs %s for a new one   (p3dod user invite --for %s)", name.Domain(), name.Local()), "%s.", refused.Text)
	case errors.As(err, &lost) && errors.As(err, &away):
		return cli.Fail(cli.Network, dnsHint(lost, again), "%v.", away)
	case errors.As(err, &away):
		return cli.Fail(cli.Network, again+"   (it goes on where it was)", "%v.", away)
	}
	return err
}

// quoted is what somebody typed, for an error, but not what may be an invitation.
func quoted(text string) string {
	if invitation.Looks(text) {
		return "an invitation"
	}
	return strconv.Quote(text)
}

// parseName reads a name that was typed.
func parseName(text, hint string) (pki.Name, error) {
	name, err := pki.ParseName(text)
	if err != nil {
		return pki.Name{}, cli.Fail(cli.Input, hint, "%s is not a name like ann@a.test%s.", quoted(text), cli.International(text))
	}
	return name, nil
}
