package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

const contextHelp = `The contexts that this node speaks on. The peers of one context are in one cell: what is
said there goes to all of them, and to nobody else. A node that speaks on several is a
gateway between their cells, and carries across what is addressed to it for that.

A small mesh is one cell, and needs none of this. From some 30 nodes on, split it: give
one node of each half a second context, and add it as a peer in the other half:

  p3dod context add beyond
  p3dod peer add DOMAIN --context beyond`

const contextAddHelp = `Make another context. Nobody hears it before a peer is bound to it by
p3dod peer add DOMAIN --context NAME. The name stays here; others see a random number.`

const contextDropHelp = `End a context that no peer hears any more. What is on the way to it is lost, and repeated.
The first one, 0, stays.`

func contextCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "context", Short: "be in several cells", Long: contextHelp, Args: cobra.NoArgs, RunE: help}
	add := &cobra.Command{Use: "add NAME", Short: "make another context", Long: contextAddHelp, Args: cobra.ExactArgs(1)}
	add.RunE = func(c *cobra.Command, args []string) error { return contextAdd(c, f, args[0]) }
	list := &cobra.Command{Use: "list", Short: "show the contexts, and who hears them", Args: cobra.NoArgs}
	list.RunE = func(c *cobra.Command, _ []string) error { return contextList(c, f) }
	drop := &cobra.Command{Use: "drop NAME", Short: "end a context", Long: contextDropHelp, Args: cobra.ExactArgs(1)}
	drop.RunE = func(c *cobra.Command, args []string) error { return contextDrop(c, f, args[0]) }
	c.AddCommand(add, list, drop)
	return c
}

func contextAdd(c *cobra.Command, f *flags, name string) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	if err := control.AddContext(c.Context(), name); err != nil {
		return contextFailure(err, f)
	}
	return f.print(c, map[string]string{"added": name}, "Made the context "+name+". Bind peers to it: p3dod peer add DOMAIN --context "+name+"\n")
}

func contextList(c *cobra.Command, f *flags) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	status, err := control.Status(c.Context())
	if err != nil {
		return failure(err, "")
	}
	peers, err := control.Peers(c.Context())
	if err != nil {
		return failure(err, "")
	}
	var text strings.Builder
	for _, own := range status.Contexts {
		text.WriteString(contextLine(own))
		for _, p := range peers {
			if p.Context == own.Name {
				text.WriteString("  " + peerLine(p))
			}
		}
	}
	return f.print(c, status.Contexts, text.String())
}

func contextDrop(c *cobra.Command, f *flags, name string) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	if err := control.DropContext(c.Context(), name); err != nil {
		return contextFailure(err, f)
	}
	return f.print(c, map[string]string{"dropped": name}, "The context "+name+" is no more.\n")
}

// contextFailure is failure for what is wrong with a context.
func contextFailure(err error, f *flags) error {
	if errors.Is(err, node.ErrInput) {
		return cli.Fail(cli.Input, "p3dod context list --dir "+f.dir, "%v", err)
	}
	return failure(err, "")
}
