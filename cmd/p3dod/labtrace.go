package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/lab"
)

const labTraceHelp = `Show the true way of a packet through the lab that runs in --dir: every flood, who heard
it from whom and when, whose key opened it, to the mailbox. No node knows all of that;
nodes of a lab remember their part of the last 16384 packets or so, in memory, and no
other node does.

  p3dod lab trace --dir DIR             all ways, the oldest first
  p3dod lab trace ID --dir DIR          one; ID is what p3do trace calls the packet, or a
                                        part that it begins with
  p3dod lab trace ID --dir DIR --svg way.svg`

func labTraceCommand(f *flags) *cobra.Command {
	var picture string
	c := &cobra.Command{Use: "trace [ID]", Short: "show the true way of a packet through a lab", Long: labTraceHelp, Args: cobra.MaximumNArgs(1)}
	c.Flags().StringVar(&picture, "svg", "", "write a picture of the way to `FILE`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if picture != "" && len(args) == 0 {
			return cli.Fail(cli.Input, "p3dod lab trace --dir "+f.dir, "--svg wants the ID of one way.")
		}
		ways, silent, err := lab.Ways(c.Context(), f.dir)
		switch {
		case errors.Is(err, lab.ErrNoLab):
			return cli.Fail(cli.Input, "p3dod lab --dir DIR", "there is no lab in %s: only those show the way of a packet.", f.dir)
		case err != nil:
			return cli.Fail(cli.Network, "p3dod lab --dir ANOTHER-FOLDER", "the lab in %s does not answer: %v", f.dir, err)
		}
		if len(silent) > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "p3dod: warning: no answer of %s: what they did is missing.\n", strings.Join(silent, ", "))
		}
		if len(args) == 0 {
			return printWays(c, f, ways)
		}
		way, err := lab.FindWay(ways, args[0])
		if err != nil {
			return cli.Fail(cli.Input, "p3dod lab trace --dir "+f.dir, "%v.", err)
		}
		if picture != "" {
			return writePicture(f, way, picture)
		}
		return printWay(c, f, way)
	}
	return c
}

func printWays(c *cobra.Command, f *flags, ways []lab.Way) error {
	if f.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(ways)
	}
	_, err := fmt.Fprint(c.OutOrStdout(), lab.WaysText(ways))
	return err
}

func printWay(c *cobra.Command, f *flags, way lab.Way) error {
	if f.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(way)
	}
	_, err := fmt.Fprint(c.OutOrStdout(), way.Text())
	return err
}

func writePicture(f *flags, way lab.Way, path string) error {
	m, err := lab.ReadMap(f.dir)
	if err != nil {
		return err
	}
	var nodes []string
	for _, placed := range m.Nodes {
		nodes = append(nodes, placed.Domain)
	}
	if err := os.WriteFile(path, []byte(way.Picture(nodes)), 0o644); err != nil {
		return cli.Fail(cli.Input, "p3dod lab trace "+way.ID+" --svg way.svg --dir "+f.dir, "the picture was not written: %v.", err)
	}
	return nil
}
