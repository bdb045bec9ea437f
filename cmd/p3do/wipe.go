package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/vault"
)

const wipeHelp = `Destroy your folder, for good

  p3do wipe            this folder
  p3do wipe --all      and those of all your profiles in it

It asks once, or not at all with --yes, and for no passphrase. First goes what the
passphrase opens, then the rest. Some disks keep copies aside that no program
reaches. Your name stays registered at your server; a backup makes you yourself
again.`

func (c *command) wipeCommand() *cobra.Command {
	var all bool
	cmd := c.subcommand("wipe [--all]", wipeHelp, cobra.NoArgs, func(context.Context, []string) error {
		home, err := c.folder()
		if err != nil {
			return err
		}
		if !c.yes && !c.sure(home, all) {
			return cli.Fail(cli.Input, "p3do wipe --yes", "nothing was destroyed.")
		}
		wiped, err := agent.Wipe(home, all)
		if errors.Is(err, vault.ErrMode) {
			return cli.Fail(cli.Input, "chmod -R go-rwx "+home, "%v.", err)
		}
		if err != nil {
			return err
		}
		if len(wiped) == 0 {
			return c.print(map[string][]string{"wiped": {}}, "There is nothing in "+home)
		}
		return c.print(map[string][]string{"wiped": wiped}, "Destroyed "+strings.Join(wiped, "\nDestroyed "))
	})
	cmd.Flags().BoolVar(&all, "all", false, "all profiles, too")
	return cmd
}

// sure asks whether a folder is to go, and with all how many others in it.
func (c *command) sure(home string, all bool) bool {
	more := ""
	if profiles, err := agent.Profiles(home); all && err == nil {
		switch len(profiles) {
		case 0:
		case 1:
			more = " and the profile in it"
		default:
			more = fmt.Sprintf(" and all %d profiles in it", len(profiles))
		}
	}
	return c.agrees(fmt.Sprintf("Destroy %s%s for good?", home, more))
}

// agrees asks a question, once.
func (c *command) agrees(question string) bool {
	fmt.Fprintf(c.stderr, "%s Type yes: ", question)
	answer, err := c.lines(1)
	return err == nil && strings.EqualFold(strings.TrimSpace(answer), "yes")
}
