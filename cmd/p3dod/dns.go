package main

import (
	"github.com/spf13/cobra"

	"github.com/p3do/p3do/node"
)

const dnsHelp = `What the domain publishes in DNS: the fingerprint of its key, and where its key
server is. Never a key.`

func dnsCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "dns", Short: "the DNS record of the domain", Long: dnsHelp, Args: cobra.NoArgs, RunE: help}
	show := &cobra.Command{Use: "print", Short: "print the line for the zone", Args: cobra.NoArgs}
	show.RunE = func(c *cobra.Command, _ []string) error {
		domain, record, err := node.Record(f.dir)
		if err != nil {
			return failure(err, "p3dod serve --dir "+f.dir)
		}
		line, err := record.ZoneLine(domain, node.RecordTTL)
		if err != nil {
			return err
		}
		return f.print(c, map[string]string{"domain": domain.String(), "zone": line, "value": record.String()}, line+"\n")
	}
	c.AddCommand(show)
	return c
}
