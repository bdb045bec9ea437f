package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// longestShown is how long an unknown command is, in bytes, that an error repeats: no invitation, and
// no other secret that was pasted in the wrong place, is as short.
const longestShown = 20

// misuse says what is wrong with the arguments of c, which c.Args refused.
func misuse(c *cobra.Command) *Failure {
	args := c.Flags().Args()
	if c.HasSubCommands() && len(args) > 0 && len(args[0]) > longestShown {
		return Fail(Input, helpOn(c), "there is no such command.")
	}
	if c.HasSubCommands() && len(args) > 0 {
		return Fail(Input, helpOn(c)+meant(c, args[0]), "unknown command %q.", args[0])
	}
	return Fail(Input, helpOn(c), "%s takes %s; you gave %s.", c.CommandPath(), takes(c), count(len(args)))
}

// takes are the arguments in the usage line of c.
func takes(c *cobra.Command) string {
	if _, arguments, ok := strings.Cut(c.Use, " "); ok {
		return arguments
	}
	return "no arguments"
}

func count(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "one"
	}
	return fmt.Sprint(n)
}

// meant names the subcommands that what was typed is like, for a hint.
func meant(c *cobra.Command, typed string) string {
	c.SuggestionsMinimumDistance = 2 // letters that differ at most
	like := c.SuggestionsFor(typed)
	if len(like) == 0 {
		return ""
	}
	return fmt.Sprintf("   (perhaps you meant %s)", strings.Join(like, " or "))
}

// helpOn is the command that shows the help of c.
func helpOn(c *cobra.Command) string {
	root, rest, nested := strings.Cut(c.CommandPath(), " ")
	if !nested {
		return root + " help"
	}
	return root + " help " + rest
}

// flagFault says what is wrong with a flag: in cobra's words, less those for programmers.
func flagFault(err error) string {
	var letter interface {
		GetSpecifiedName() string       // x
		GetSpecifiedShortnames() string // of -xyz; empty: it was --x
	}
	if fault, _, ok := strings.Cut(err.Error(), `" flag: `); ok {
		return fault + `"` // why the value is none is for programmers
	}
	if !errors.As(err, &letter) || letter.GetSpecifiedShortnames() == "" {
		return err.Error()
	}
	fault, _, _ := strings.Cut(err.Error(), ":")
	return fmt.Sprintf("%s: -%s", strings.Replace(fault, "shorthand ", "", 1), letter.GetSpecifiedName())
}
