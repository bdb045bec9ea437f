package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/node"
)

const dnsCheckHelp = `Ask DNS for the record of the domain, as others do, and compare it with what dns print
says. The resolver is that of p3dod.toml, or the one that P3DO_DNS names. The server that
dns publish updates is asked as well, or the one of --server: if that has it right and the
resolver does not, the resolver still remembers what was there before. So is each name server
that the zone names, as the resolver tells (8 at most, over TCP, all within 15 s): one that has
fallen behind answers some of those who ask.

While the node serves, the key servers that the record names are asked, too.

It exits with 0 if all is well, 1 if something is to be mended, and 3 if nobody answers.`

func dnsCheckCommand(f *flags) *cobra.Command {
	check := node.DNSCheck{Dial: dial.Direct(), DNS: os.Getenv("P3DO_DNS")}
	c := &cobra.Command{Use: "check", Short: "ask DNS as others do, and say what is to be mended", Long: dnsCheckHelp, Args: cobra.NoArgs}
	c.Flags().StringVar(&check.Server, "server", "", "another server to ask, such as one that holds the zone: IP:PORT")
	c.RunE = func(c *cobra.Command, _ []string) error {
		check.Dir = f.dir
		findings, err := check.Examine(c.Context(), time.Now())
		if err != nil {
			return failure(err, "p3dod serve --dir "+f.dir)
		}
		fault := dnsFault(findings)
		if err := f.print(c, findings, dnsCheckText(findings, fault)); err != nil {
			return err
		}
		if fault < 0 {
			return nil
		}
		status := cli.Network
		if findings[fault].State == node.Wrong {
			status = cli.Input
		}
		return cli.Fail(status, findings[fault].Hint, "%s.", findings[fault].Text)
	}
	return c
}

// dnsFault is the finding that the command ends with: the first that is wrong, or else that
// could not be judged; -1 if there is none.
func dnsFault(findings []node.Finding) int {
	for _, state := range []node.State{node.Wrong, node.Unknown} {
		at := slices.IndexFunc(findings, func(f node.Finding) bool { return f.State == state })
		if at >= 0 {
			return at
		}
	}
	return -1
}

// dnsCheckText is all findings but the one that the command ends with.
func dnsCheckText(findings []node.Finding, fault int) string {
	var b strings.Builder
	for i, found := range findings {
		if i == fault {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", found.State, found.Text)
		if found.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", cli.Pasteable(found.Hint))
		}
	}
	if fault < 0 {
		b.WriteString("all is well\n")
	}
	return b.String()
}
