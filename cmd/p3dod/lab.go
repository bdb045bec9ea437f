package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/lab"
	"github.com/p3do/p3do/node"
)

const labHelp = `Run a mesh of real nodes on this machine, and watch a message go through it: sent,
stored, read, acknowledged, answered. Then see what each node could know of it.
The lab stays until it is interrupted, for you to try it yourself; with --once it
ends after the demonstration, with status 0 only if all of it happened.`

func labCommand(f *flags) *cobra.Command {
	var cfg lab.Config
	c := &cobra.Command{Use: "lab", Short: "see a whole mesh on this machine", Long: labHelp, Args: cobra.NoArgs}
	c.Flags().IntVarP(&cfg.Nodes, "nodes", "n", 5, "how many nodes")
	c.Flags().IntVar(&cfg.Cells, "cells", 1, "how many cells the nodes are split into, each with a gateway to the next")
	c.Flags().BoolVar(&cfg.Once, "once", false, "end after the demonstration")
	c.Flags().Float64Var(&cfg.Loss, "loss", 0, "probability that a packet between two nodes is lost")
	c.Flags().DurationVar(&cfg.Delay, "delay", 0, "by which each packet between two nodes is late")
	c.Flags().Uint32Var(&cfg.Seed, "seed", 1, "of what is lost: another one, other losses")
	c.Flags().StringVar((*string)(&cfg.Cover), "cover", string(node.ProfileOff), `what hides when something is sent: "off", "low" or "high"`)
	c.Flags().StringVar(&cfg.Scenario, "scenario", "", scenarioHelp())
	c.Flags().IntVar(&cfg.Messages, "messages", 0, "how many messages each user of a scenario writes (default: the scenario's)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := setScene(c, &cfg); err != nil {
			return err
		}
		if !(cfg.Loss >= 0 && cfg.Loss <= 1) || cfg.Delay < 0 || cfg.Delay > time.Minute {
			return cli.Fail(cli.Input, "p3dod lab --loss 0.1 --delay 50ms", "--loss is 0 to 1 and --delay is 0 to 1m.")
		}
		if cfg.Nodes < lab.MinNodes || cfg.Nodes > lab.MaxNodes {
			return cli.Fail(cli.Input, "p3dod lab -n 5", "-n is %d to %d.", lab.MinNodes, lab.MaxNodes)
		}
		if !slices.Contains(node.Profiles(), cfg.Cover) {
			return cli.Fail(cli.Input, "p3dod lab --cover high", "--cover is off, low or high.")
		}
		if err := cfg.CheckCells(); err != nil {
			return cli.Fail(cli.Input, "p3dod lab --cells 4 -n 20", "%v.", err)
		}
		return runLab(c, f, cfg)
	}
	c.AddCommand(labTraceCommand(f))
	return c
}

// scenarioHelp lists the scenarios.
func scenarioHelp() string {
	text := "what happens instead of the demonstration:"
	for _, s := range lab.Scenarios() {
		text += fmt.Sprintf(" %s (%s; %d nodes, loss %g, delay %s and %d messages unless told otherwise)",
			s.Name, s.About, s.Nodes, s.Loss, s.Delay, s.Messages)
	}
	return text
}

// setScene fills in what the scenario is about, where nothing else was asked for.
func setScene(c *cobra.Command, cfg *lab.Config) error {
	if cfg.Scenario == "" {
		return nil
	}
	s, ok := lab.FindScenario(cfg.Scenario)
	if !ok {
		return cli.Fail(cli.Input, "p3dod lab --help", "there is no scenario %q.", cfg.Scenario)
	}
	given := c.Flags().Changed
	if !given("nodes") {
		cfg.Nodes = s.Nodes
	}
	if !given("loss") {
		cfg.Loss = s.Loss
	}
	if !given("delay") {
		cfg.Delay = s.Delay
	}
	if !given("messages") {
		cfg.Messages = s.Messages
	}
	if cfg.Nodes < s.Least || cfg.Messages < 1 {
		return cli.Fail(cli.Input, "p3dod lab --scenario "+s.Name, "the scenario %s wants %d nodes or more, and a message or more.", s.Name, s.Least)
	}
	return nil
}

func runLab(c *cobra.Command, f *flags, cfg lab.Config) (err error) {
	cfg.Dir = f.dir
	if !c.Flags().Changed("dir") {
		if cfg.Dir, err = os.MkdirTemp("", "p3do-lab-"); err != nil {
			return err
		}
		defer os.RemoveAll(cfg.Dir)
	}
	if cfg.Program, err = os.Executable(); err != nil {
		return err
	}
	cfg.Dial = dial.Direct()
	cfg.Report = func(s lab.Step) { report(c, f, cfg, s) }
	err = lab.Run(c.Context(), cfg)
	if errors.Is(err, lab.ErrNotEmpty) {
		return cli.Fail(cli.Input, "p3dod lab --dir ANOTHER-FOLDER", "%s is not empty.", cfg.Dir)
	}
	if err != nil {
		return cli.Fail(cli.Network, "look into DIR/*/log with p3dod lab --dir DIR", "%v", err)
	}
	return nil
}

func report(c *cobra.Command, f *flags, cfg lab.Config, s lab.Step) {
	if f.json {
		_ = json.NewEncoder(c.OutOrStdout()).Encode(s) // a closed pipe ends the program
		return
	}
	fmt.Fprint(c.OutOrStdout(), s.Plain())
	if s.Step == lab.StepDone && !cfg.Once {
		fmt.Fprint(c.OutOrStdout(), tryIt(s))
	}
}

// tryIt is what to type next.
func tryIt(s lab.Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe mesh stays until you press Ctrl-C. Try it, in another terminal:\n\n")
	fmt.Fprintf(&b, "  go build ./cmd/p3do\n")
	fmt.Fprintf(&b, "  export P3DO_DNS=%s\n", s.DNS)
	fmt.Fprintf(&b, "  ./p3do --home /tmp/ann new ann@a.test\n")
	fmt.Fprintf(&b, "  ./p3do --home /tmp/bob new bob@b.test\n")
	fmt.Fprintf(&b, "  ./p3do --home /tmp/bob add ann@a.test\n")
	fmt.Fprintf(&b, "  ./p3do --home /tmp/ann send bob@b.test \"hello\"\n")
	fmt.Fprintf(&b, "  ./p3do --home /tmp/bob read\n\n")
	fmt.Fprintf(&b, "  go run ./cmd/p3dod status --dir %s/a.test\n", s.Dir)
	fmt.Fprintf(&b, "  go run ./cmd/p3dod lab trace --dir %s\n", s.Dir)
	return b.String()
}
