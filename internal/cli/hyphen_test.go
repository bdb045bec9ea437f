package cli

import (
	"io"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// A key that begins with a hyphen is an argument, or the value of a flag, and never a flag.
func TestHyphens(t *testing.T) {
	const key, id = "-W1hhX8Wbfa0cW6_jru-kAQaQuC8MPzyl-laAJIdrgM", "-0VG8pVrSGXGrctPSU1MKw"
	for _, c := range []struct {
		args []string
		by   string
		want []string // nil: refused
	}{
		{[]string{"get", key}, "", []string{key}},
		{[]string{"get", id, "--by", key, "-v"}, key, []string{id}},
		{[]string{"get", "--by=" + key, "--", key, "-v"}, key, []string{key, "-v"}},
		{[]string{"get", "-v", "a"}, "", []string{"a"}},
		{[]string{"get", "-vW"}, "", nil},
		{[]string{"get", "--verbose-verbose-verbose"}, "", nil},
	} {
		var by string
		var got []string
		root := &cobra.Command{Use: "x"}
		get := &cobra.Command{Use: "get A...", Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			got = slices.Clone(args)
			return nil
		}}
		get.Flags().StringVar(&by, "by", "", "whose")
		get.Flags().BoolP("verbose", "v", false, "say more")
		root.AddCommand(get)
		status := Main(t.Context(), root, c.args, Streams{Out: io.Discard, Err: io.Discard})
		if want := map[bool]int{true: OK, false: Input}[c.want != nil]; status != want || !slices.Equal(got, c.want) || by != c.by {
			t.Errorf("%q: status %d, %q by %q", c.args, status, got, by)
		}
	}
}
