package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

const dnsDelegationHelp = `Print what the zone of the domain needs so that the node answers for _p3do.DOMAIN itself:
an NS line for each name server, and the DS of the key that the node signs with. The key is
made if there is none.

The zone of the domain should be signed (DNSSEC), or the DS is worth nothing. The name
servers need an A or AAAA record in the zone that their names are in; under [dns] in
p3dod.toml, serve says where the node listens, and nameservers how it is called.`

// delegation is what dns delegation --json prints.
type delegation struct {
	Domain string   `json:"domain"`
	NS     []string `json:"ns"` // lines for the zone of the domain
	DS     string   `json:"ds"` // the same
}

func dnsDelegationCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "delegation", Short: "print how to have the node itself answer", Long: dnsDelegationHelp, Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		domain, lines, err := node.Delegation(f.dir)
		if errors.Is(err, node.ErrNoZone) {
			return cli.Fail(cli.Input, `edit p3dod.toml: under [dns], serve = "IP:53" and nameservers = ["ns1.`+domain.String()+`"]`, "no zone is served.")
		}
		if err != nil {
			return failure(err, "p3dod doctor --dir "+f.dir)
		}
		last := len(lines) - 1
		return f.print(c, delegation{domain.String(), lines[:last], lines[last]}, strings.Join(lines, "\n")+"\n")
	}
	return c
}
