package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What was typed wrong is said in a sentence, and the hint is the help of that command.
func TestMisuse(t *testing.T) {
	for args, want := range map[string]string{
		"frob":                "x: error: unknown command \"frob\".\nx: hint: x help\n",
		"sned":                "x: error: unknown command \"sned\".\nx: hint: x help   # perhaps you meant send\n",
		"peer frob":           "x: error: unknown command \"frob\".\nx: hint: x help peer\n",
		"send":                "x: error: x send takes NAME [TEXT]; you gave none.\nx: hint: x help send\n",
		"send a b c":          "x: error: x send takes NAME [TEXT]; you gave 3.\nx: hint: x help send\n",
		"peer list a":         "x: error: x peer list takes no arguments; you gave one.\nx: hint: x help peer list\n",
		"--frob":              "x: error: unknown flag: --frob.\nx: hint: x help\n",
		"send a --frob":       "x: error: unknown flag: --frob.\nx: hint: x help send\n",
		"send a -vf":          "x: error: unknown flag: -f.\nx: hint: x help send\n",
		"send a --wait":       "x: error: flag needs an argument: --wait.\nx: hint: x help send\n",
		"send a -w":           "x: error: flag needs an argument: -w.\nx: hint: x help send\n",
		"send a --wait soon":  "x: error: invalid argument \"soon\" for \"-w, --wait\".\nx: hint: x help send\n",
		"send a --verbose=ja": "x: error: invalid argument \"ja\" for \"-v, --verbose\".\nx: hint: x help send\n",
		"send a --=b":         "x: error: bad flag syntax: --=b.\nx: hint: x help send\n",
	} {
		var out, errs strings.Builder
		status := Main(t.Context(), tree(t), strings.Fields(args), Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		if status != Input || errs.String() != want || out.Len() > 0 {
			t.Errorf("x %s: status %d, %q, not %q", args, status, errs.String(), want)
		}
	}
}

// tree is a program with commands in commands.
func tree(t *testing.T) *cobra.Command {
	does := func(c *cobra.Command, _ []string) error { t.Errorf("%s ran", c.CommandPath()); return nil }
	root := &cobra.Command{Use: "x", Args: cobra.NoArgs, RunE: does}
	send := &cobra.Command{Use: "send NAME [TEXT]", Args: cobra.RangeArgs(1, 2), RunE: does}
	send.Flags().DurationP("wait", "w", 0, "how long")
	send.Flags().BoolP("verbose", "v", false, "say more")
	peer := &cobra.Command{Use: "peer", Args: cobra.NoArgs, RunE: does}
	list := &cobra.Command{Use: "list", Args: cobra.NoArgs, RunE: does}
	peer.AddCommand(list)
	root.AddCommand(send, peer)
	return root
}
