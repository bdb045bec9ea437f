package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/lab"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// labUserCommand is a user of a lab's scenario, as a process that can be killed.
func labUserCommand(f *flags) *cobra.Command {
	var dns, name, to string
	var cfg lab.UserConfig
	var death node.Death
	c := &cobra.Command{Use: "lab-user", Hidden: true, Short: "a user of a lab's scenario", Args: cobra.NoArgs}
	c.Flags().StringVar(&dns, "dns", "", "the lab's DNS server")
	c.Flags().StringVar(&name, "name", "", "her name")
	c.Flags().StringVar(&to, "to", "", "whom she writes to")
	c.Flags().IntVar(&cfg.Count, "count", 0, "how many messages she writes")
	c.Flags().DurationVar(&cfg.Pace, "pace", 0, "the least time between two messages")
	c.Flags().DurationVar(&cfg.Check, "check", 0, "how often she looks at keys")
	c.Flags().Uint64Var(&death.AfterWrite, "die-after-writes", 0, "the number of the write to her folder after which the program kills itself")
	c.Flags().Uint64Var(&death.BeforeWrite, "die-before-write", 0, "the one before which it does")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if cfg.Name, err = pki.ParseName(name); err != nil {
			return cli.Fail(cli.Input, "", "%v", err)
		}
		if cfg.To, err = pki.ParseName(to); err != nil {
			return cli.Fail(cli.Input, "", "%v", err)
		}
		cfg.Agent = agent.Config{Home: f.dir, Passphrase: []byte(lab.UserPassphrase), DNS: dns, Dial: dial.Direct()}
		cfg.Agent.Durable, cfg.Agent.Writing = death.Written(), death.Writing()
		cfg.Agent.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Out = c.OutOrStdout()
		return lab.User(untilStdinEnds(c), cfg)
	}
	return c
}
