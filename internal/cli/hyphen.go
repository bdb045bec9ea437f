package cli

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Keys and ids are written in base64url, so one in 64 begins with a hyphen. No flag looks like that: arguments that do
// are taken for what they are, wherever they stand.
var looksLikeKey = regexp.MustCompile(`^-[A-Za-z0-9_-]{21,85}$`)

// shield marks keys that begin with a hyphen with a byte that no argument can hold, so that they are not read as flags.
const shield = "\x00"

func shielded(args []string) []string {
	all := make([]string, len(args))
	for i, arg := range args {
		if looksLikeKey.MatchString(arg) && !strings.HasPrefix(arg, "--") {
			arg = shield + arg
		}
		all[i] = arg
	}
	return all
}

// unshield takes the marks away again, from arguments and from the values of flags.
func unshield(c *cobra.Command, args []string) (err error) {
	for i := range args {
		args[i] = strings.TrimPrefix(args[i], shield)
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		if value, marked := strings.CutPrefix(f.Value.String(), shield); marked && err == nil {
			err = f.Value.Set(value)
		}
	})
	return err
}
