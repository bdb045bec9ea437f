package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// An error is one line and its hint another, whatever it is made of.
func TestOneLineEach(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{errors.Join(errors.New("one"), errors.New("two")), Bug, "x: error: one; two\n"},
		{Fail(Network, "x again", "%v", "a server said no\n"), Network, "x: error: a server said no\nx: hint: x again\n"},
		{Fail(Input, "", "plain."), Input, "x: error: plain.\n"},
	} {
		var out, errs strings.Builder
		root := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return c.err }}
		status := Main(t.Context(), root, []string{}, Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		if status != c.status || errs.String() != c.want || out.Len() > 0 {
			t.Errorf("%v: status %d, %q", c.err, status, errs.String())
		}
	}
}

// A remark behind a command is a comment of the shell.
func TestPasteable(t *testing.T) {
	for hint, want := range map[string]string{
		"x again":                     "x again",
		"x again   (when it is (so))": "x again   # when it is (so)",
		"x again (at once)":           "x again (at once)",
		"x   (open":                   "x   (open",
		"":                            "",
	} {
		if got := Pasteable(hint); got != want {
			t.Errorf("%q is shown as %q", hint, got)
		}
	}
}
