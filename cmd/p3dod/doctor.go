package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/node"
)

const doctorHelp = `Look for what is wrong with the node: its configuration and keys, who may read them,
the disk and the database, the two copies of all keys that it signed, what is about to
run out, the clock, its addresses, DNS, and its peers. Each finding comes with what mends
it. It works while the node serves and while it does not.

--repair mends what needs no decision: modes of files, and copies of keys that one of the
two places has lost. P3DO_DNS names another resolver than the one in the configuration.

It exits with 0 if nothing is wrong, 1 if something is, and 3 if nothing is but something
could not be judged. There is no server of the time to ask: a clock that is behind what
was signed or written is noticed, one that is ahead only late.`

func doctorCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "doctor", Short: "look for what is wrong", Long: doctorHelp, Args: cobra.NoArgs}
	repair := c.Flags().Bool("repair", false, "mend what needs no decision")
	c.RunE = func(c *cobra.Command, _ []string) error {
		doctor := node.Doctor{Dir: f.dir, Dial: dial.Direct(), DNS: os.Getenv("P3DO_DNS"), Repair: *repair}
		findings, err := doctor.Examine(c.Context(), time.Now())
		if err != nil {
			return failure(err, "")
		}
		if err := f.print(c, findings, doctorText(findings)); err != nil {
			return err
		}
		return verdict(findings)
	}
	return c
}

func doctorText(findings []node.Finding) string {
	var b strings.Builder
	wrong := 0
	for _, found := range findings {
		fmt.Fprintf(&b, "%s: %s: %s\n", found.State, found.Check, found.Text)
		if found.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", cli.Pasteable(found.Hint))
		}
		if found.State == node.Wrong || found.State == node.Unknown {
			wrong++
		}
	}
	if wrong == 0 {
		b.WriteString("nothing is wrong\n")
	}
	return b.String()
}

// verdict is how the command ends.
func verdict(findings []node.Finding) error {
	count := make(map[node.State]int)
	for _, found := range findings {
		count[found.State]++
	}
	switch {
	case count[node.Wrong] > 0:
		return cli.Fail(cli.Input, "", "findings: %d wrong, %d could not be judged.", count[node.Wrong], count[node.Unknown])
	case count[node.Unknown] > 0:
		return cli.Fail(cli.Network, "", "findings: nothing wrong, but %d could not be judged.", count[node.Unknown])
	default:
		return nil
	}
}
