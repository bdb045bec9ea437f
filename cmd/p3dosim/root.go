package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
)

const rootHelp = `p3dosim plays worlds of nodes and users under a virtual clock, with the router and the
sender that p3dod and p3do run. The same study and seed give the same results.

  p3dosim run simulations/studies/quick.toml --out quick
  p3dosim validate         what is known, and whether the simulator finds it
  p3dosim metrics          what is measured, and how`

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, s cli.Streams) int {
	root := &cobra.Command{Use: "p3dosim", Short: "simulate routes", Long: rootHelp, Args: cobra.NoArgs, RunE: help}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(), validateCommand(), metricsCommand())
	return cli.Main(ctx, root, args, s)
}

// help is what a command does that only has subcommands.
func help(c *cobra.Command, _ []string) error { return c.Help() }
