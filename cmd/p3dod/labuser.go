package main

import (
	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/lab"
	"github.com/p3do/p3do/pki"
)

// labPassphrase seals the folders of a scenario's users, who have nothing to hide.
const labPassphrase = "of a user in a lab"

// labUserCommand is a user of a lab's scenario, as a process that can be killed.
func labUserCommand(f *flags) *cobra.Command {
	var dns, name, to string
	var cfg lab.UserConfig
	c := &cobra.Command{Use: "lab-user", Hidden: true, Short: "a user of a lab's scenario", Args: cobra.NoArgs}
	c.Flags().StringVar(&dns, "dns", "", "the lab's DNS server")
	c.Flags().StringVar(&name, "name", "", "her name")
	c.Flags().StringVar(&to, "to", "", "whom she writes to")
	c.Flags().IntVar(&cfg.Count, "count", 0, "how many messages she writes")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if cfg.Name, err = pki.ParseName(name); err != nil {
			return cli.Fail(cli.Input, "", "%v", err)
		}
		if cfg.To, err = pki.ParseName(to); err != nil {
			return cli.Fail(cli.Input, "", "%v", err)
		}
		cfg.Agent = agent.Config{Home: f.dir, Passphrase: []byte(labPassphrase), DNS: dns, Dial: dial.Direct()}
		cfg.Out = c.OutOrStdout()
		return lab.User(untilStdinEnds(c), cfg)
	}
	return c
}
