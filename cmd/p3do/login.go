package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

const loginHelp = `Connect, through another server if yours does not answer

  p3do login                              through your own server
  p3do login ann@a.test --via c.test      through the server of c.test

Any server lets you in that can find out that your own one vouches for you: you
prove your key to it, and it learns nothing that it could use elsewhere. It is
remembered: whenever your own server does not answer, p3do connects there.
Letters can reach you at both.`

func (c *command) loginCommand() *cobra.Command {
	server := ""
	cmd := c.subcommand("login [NAME] [--via SERVER]", loginHelp, cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
		var via pki.Domain
		var err error
		if server != "" {
			if via, err = pki.ParseDomain(server); err != nil {
				return cli.Fail(cli.Input, "p3do login --via c.test", "%s is not a server like c.test%s.", quoted(server), cli.International(server))
			}
		}
		return c.login(ctx, args, via)
	})
	cmd.Flags().StringVar(&server, "via", "", "connect through the server of `SERVER`")
	return cmd
}

func (c *command) login(ctx context.Context, args []string, via pki.Domain) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := isHers(a, args); err != nil {
		return err
	}
	in, err := a.Login(ctx, via)
	if err != nil {
		return notIn(err)
	}
	return c.print(in, inText(in))
}

// isHers holds the name that was typed, if one was, against that of the folder.
func isHers(a *agent.Agent, args []string) error {
	if len(args) == 0 {
		return nil
	}
	name, err := parseName(args[0], "p3do login")
	if err != nil {
		return err
	}
	self, err := a.Self()
	if err == nil && self.Name != name {
		err = cli.Fail(cli.Input, "p3do whoami", "this folder is not that of %s.", name)
	}
	return err
}

// notIn says why she was not let in.
func notIn(err error) error {
	var refused *session.Error
	var entry *agent.EntryError
	switch {
	case errors.As(err, &refused) && refused.Code == session.Refused:
		return cli.Fail(cli.Refused, "p3do status   (ask whoever runs your server)", "%s.", refused.Text)
	case errors.As(err, &refused) && refused.Code == session.WrongKey:
		return cli.Fail(cli.KeyChanged, "p3do status   (ask whoever runs your server; what is here stays)", "%s.", refused.Text)
	case errors.As(err, &refused) && (refused.Code == session.Unavailable || refused.Code == session.Full):
		return cli.Fail(cli.Network, "p3do login --via ANOTHER-SERVER", "%s.", refused.Text)
	case errors.As(err, &entry):
		return cli.Fail(cli.Network, "p3do login --via ANOTHER-SERVER", "%v.", entry)
	}
	return err
}

// inText says where she is connected.
func inText(in agent.LoggedIn) string {
	if in.Through == in.Home {
		return fmt.Sprintf("Connected through your home %s.", in.Home)
	}
	text := fmt.Sprintf("Connected through %s. ", in.Through)
	if in.Online {
		return text + fmt.Sprintf("Your home %s is answering, too; %s knows its key. You can publish and receive.", in.Home, in.Through)
	}
	if in.Gone {
		return text + fmt.Sprintf("Your home %s is gone, and your certificate has run out; %s still knows its key. You can send and receive.", in.Home, in.Through)
	}
	return text + fmt.Sprintf("Your home %s is not answering; %s knows its key. You can publish and receive.", in.Home, in.Through)
}

// elsewhere is the hint for somebody whose home does not answer: where she could log in.
func elsewhere(home *agent.HomeError) string {
	if home.Name.IsZero() || len(home.Knowing) == 0 {
		return "p3do status   (nothing is lost; try again later)"
	}
	verb := "know"
	if len(home.Knowing) == 1 {
		verb = "knows"
	}
	return fmt.Sprintf("p3do login %s --via %s   (%s %s your home's key)", home.Name, home.Knowing[0], listed(home.Knowing), verb)
}

// maxListed is how many domains a hint names.
const maxListed = 5

// listed is domains as one says them: a.test, b.test and c.test.
func listed(domains []pki.Domain) string {
	return pki.JoinDomains(domains[:min(len(domains), maxListed)], " and ")
}
