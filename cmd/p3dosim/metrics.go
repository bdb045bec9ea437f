package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/simulations/study"
)

func metricsCommand() *cobra.Command {
	return &cobra.Command{Use: "metrics", Short: "list what is measured", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
		for _, m := range study.Metrics() {
			fmt.Fprintf(w, "%s\t%s\t%s\n", m.Name, m.Unit, m.Definition)
		}
		return w.Flush()
	}}
}
