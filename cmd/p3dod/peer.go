package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/node"
)

const peerHelp = `Federate with the nodes of other domains. Both sides must add each other.`

const peerAddHelp = `Find a domain by DNS and its key server, countersign its key, and keep a link with
it as soon as its operator has added this domain too. The first key seen for a domain
is the one that is trusted; another one is refused.`

func peerCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "peer", Short: "join other domains", Long: peerHelp, Args: cobra.NoArgs, RunE: help}
	add := &cobra.Command{Use: "add DOMAIN", Short: "federate with a domain", Long: peerAddHelp, Args: cobra.ExactArgs(1)}
	add.RunE = func(c *cobra.Command, args []string) error { return peerAdd(c, f, args[0]) }
	list := &cobra.Command{Use: "list", Short: "show the domains that this one is federated with", Args: cobra.NoArgs}
	list.RunE = func(c *cobra.Command, _ []string) error { return peerList(c, f) }
	c.AddCommand(add, list)
	return c
}

func peerAdd(c *cobra.Command, f *flags, text string) error {
	domain, err := parseDomain(text)
	if err != nil {
		return err
	}
	control, err := f.control()
	if err != nil {
		return err
	}
	peer, err := control.AddPeer(c.Context(), domain)
	if err != nil {
		return failure(err, "p3dod keys get "+text+" --dir "+f.dir)
	}
	return f.print(c, peer, peerLine(peer))
}

func peerList(c *cobra.Command, f *flags) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	peers, err := control.Peers(c.Context())
	if err != nil {
		return failure(err, "")
	}
	var text strings.Builder
	for _, p := range peers {
		text.WriteString(peerLine(p))
	}
	return f.print(c, peers, text.String())
}

func peerLine(p node.PeerStatus) string {
	linked := "not linked"
	if p.Linked {
		linked = "linked"
	}
	return fmt.Sprintf("%s: %s, %s, since %s\n", p.Domain, p.State, linked, p.Since.Format("2 Jan 2006"))
}
