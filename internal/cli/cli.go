// Package cli is what the commands of this module have in common: how they end.
//
// A command returns an error. A [Failure] carries the exit status and a hint that can be
// pasted; [Main] prints both on standard error, one line each, and returns the status:
//
//	p3do: error: no identity yet.
//	p3do: hint: p3do new yourname@some.server
//
// The exit statuses are part of the interface: scripts act on them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit statuses.
const (
	OK         = 0
	Input      = 1 // your input
	Bug        = 2 // ours; nothing else fits
	Network    = 3 // network or server
	KeyChanged = 4 // a key changed, or is not trusted
	Quota      = 5
	Refused    = 6 // not admitted, revoked, or an invitation that was used
	Pending    = 7 // sent, but what was waited for has not come yet
)

// A Failure is an error as its reader sees it.
type Failure struct {
	Status int
	Text   string // a sentence
	Hint   string // a command, or empty
}

func (f *Failure) Error() string { return f.Text }

// Fail makes a [Failure].
func Fail(status int, hint, format string, args ...any) *Failure {
	return &Failure{Status: status, Text: fmt.Sprintf(format, args...), Hint: hint}
}

// Streams are where a command reads and writes. Out carries results, Err everything else.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs root with args and returns the exit status. Errors that are no Failure count
// as input while the arguments are read, and as bugs afterwards: a command translates
// what it expects.
func Main(ctx context.Context, root *cobra.Command, args []string, s Streams) int {
	began := false
	root.SetArgs(shielded(args))
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = func(c *cobra.Command, args []string) error {
		began = true
		return unshield(c, args)
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return Fail(Input, helpOn(c), "%s.", flagFault(err)) })
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return OK
	}
	var failure *Failure
	switch {
	case errors.As(err, &failure):
	case began:
		failure = &Failure{Status: Bug, Text: err.Error()}
	default:
		failure = misuse(c)
	}
	fmt.Fprintf(s.Err, "%s: error: %s\n", root.Name(), oneLine(strings.ReplaceAll(failure.Text, shield, "")))
	if failure.Hint != "" {
		fmt.Fprintf(s.Err, "%s: hint: %s\n", root.Name(), Pasteable(failure.Hint))
	}
	return failure.Status
}

// Pasteable is a hint as it is shown: a remark behind a command, "CMD   (remark)", is a comment of the shell, so
// that the whole line can be pasted.
func Pasteable(hint string) string {
	command, remark, ok := strings.Cut(hint, "   (")
	if remark, closed := strings.CutSuffix(remark, ")"); ok && closed {
		return command + "   # " + remark
	}
	return hint
}

// oneLine is text in one line: joined errors come in several, those of servers with a
// newline at their end.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}
