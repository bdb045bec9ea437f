package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const peerHelp = `Federate with the nodes of other domains. Both sides must add each other.`

const peerAddHelp = `Find a domain by DNS and its key server, countersign its key, and keep a link with
it as soon as its operator has added this domain too. The first key seen for a domain
is the one that is trusted; another one is refused.

With --context NAME the peer hears that context of this node (p3dod context add), and so
is in the cell of its peers; one that is a peer already hears it from now on.`

const peerDropHelp = `Withdraw the countersignature of a domain's key: its link is closed, nothing that comes
from it is relayed, and its word about other keys counts no more. Its key stays known. Your
contexts get other keys, for it has learnt those before.`

const peerVerifyHelp = `Ask DNS, the domain's own servers and the peers for the key of a domain, and say what
they say together. The exit status is 4 if somebody contradicts the key that is known.

With --accept WORDS it is the way back of a domain that signed two histories of its key
log, or lost its log: its operator had the offline root name another key (p3dod rotate
--key ca --stolen), and told you the 12 words of that, by another way than this mesh.
The key is taken if these are its words, and the log that was seen before is forgotten.`

func peerCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "peer", Short: "join other domains", Long: peerHelp, Args: cobra.NoArgs, RunE: help}
	add := &cobra.Command{Use: "add DOMAIN", Short: "federate with a domain", Long: peerAddHelp, Args: cobra.ExactArgs(1)}
	on := add.Flags().String("context", "", "the context of this node that it hears (default: as before, or the first one)")
	add.RunE = func(c *cobra.Command, args []string) error { return peerAdd(c, f, args[0], *on) }
	drop := &cobra.Command{Use: "drop DOMAIN", Short: "end the federation with a domain", Long: peerDropHelp, Args: cobra.ExactArgs(1)}
	drop.RunE = func(c *cobra.Command, args []string) error { return peerDrop(c, f, args[0]) }
	verify := &cobra.Command{Use: "verify DOMAIN", Short: "judge the key of a domain anew", Long: peerVerifyHelp, Args: cobra.ExactArgs(1)}
	accept := verify.Flags().String("accept", "", "the 12 words of the key that its operator told you")
	verify.RunE = func(c *cobra.Command, args []string) error { return peerVerify(c, f, args[0], *accept) }
	list := &cobra.Command{Use: "list", Short: "show the domains that this one is federated with", Args: cobra.NoArgs}
	graph := list.Flags().String("graph", "", "print who countersigned whom, of all domains: dot (for Graphviz)")
	list.RunE = func(c *cobra.Command, _ []string) error {
		switch *graph {
		case "":
			return peerList(c, f)
		case "dot":
			return peerGraph(c, f)
		}
		return cli.Fail(cli.Input, "p3dod peer list --graph dot", "--graph is %q, not dot.", *graph)
	}
	c.AddCommand(add, list, verify, drop)
	return c
}

func peerAdd(c *cobra.Command, f *flags, text, on string) error {
	domain, err := parseDomain(text)
	if err != nil {
		return err
	}
	control, err := f.control()
	if err != nil {
		return err
	}
	var peer node.PeerStatus
	if on == "" {
		peer, err = control.AddPeer(c.Context(), domain)
	} else {
		peer, err = control.AddPeerOn(c.Context(), domain, on)
	}
	switch {
	case on != "" && errors.Is(err, node.ErrInput):
		return contextFailure(err, f)
	case err != nil:
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

func peerDrop(c *cobra.Command, f *flags, text string) error {
	domain, err := parseDomain(text)
	if err != nil {
		return err
	}
	control, err := f.control()
	if err != nil {
		return err
	}
	dropped, err := control.DropPeer(c.Context(), domain)
	if err != nil {
		return failure(err, "")
	}
	say := text + " is no peer any more\n"
	if !dropped.Later.IsZero() {
		say += fmt.Sprintf("it still knows the keys of your contexts, which were replaced too often today; they will be again at %s\n",
			dropped.Later.Local().Format(time.DateTime))
	}
	return f.print(c, dropped, say)
}

// peerVerify prints the judgement, whatever it is, and says by its status whether anybody
// contradicts.
func peerVerify(c *cobra.Command, f *flags, text, accept string) error {
	domain, err := parseDomain(text)
	if err != nil {
		return err
	}
	control, err := f.control()
	if err != nil {
		return err
	}
	var j node.Judgement
	if accept == "" {
		j, err = control.VerifyPeer(c.Context(), domain)
	} else {
		j, err = control.AcceptPeer(c.Context(), domain, accept)
	}
	switch {
	case accept != "" && errors.Is(err, node.ErrInput):
		return cli.Fail(cli.Input, "p3dod peer verify "+text+" --dir "+f.dir+"   (what its servers show; ask its operator for the words)", "%v", err)
	case err != nil:
		return failure(err, "")
	}
	if err := f.print(c, j, judgementText(j)); err != nil || !j.Contradicted {
		return err
	}
	return cli.Fail(cli.KeyChanged, "p3dod keys audit --since 7d --dir "+f.dir, "the key of %s is contradicted: %s.", text, j.Reason)
}

func judgementText(j node.Judgement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", j.Domain, j.Reason)
	for _, line := range []struct {
		what string
		key  pki.Fingerprint
	}{{"known:      ", j.Known}, {"to use:     ", j.Key}, {"DNS:        ", j.DNS}, {"its servers:", j.Home}} {
		said := "nothing"
		if !line.key.IsZero() {
			said = line.key.String()
		}
		if line.key == j.DNS && strings.HasPrefix(line.what, "DNS") && !j.DNS.IsZero() {
			said += " (" + j.Security + ")"
		}
		fmt.Fprintf(&b, "  %s %s\n", line.what, said)
	}
	fmt.Fprintf(&b, "  trust:       %s\n  vouching:    %s\n", j.Trust, domainsText(j.For))
	if len(j.Against) > 0 {
		fmt.Fprintf(&b, "  for another: %s\n", domainsText(j.Against))
	}
	return b.String()
}

func domainsText(domains []pki.Domain) string {
	if len(domains) == 0 {
		return "nobody"
	}
	return pki.JoinDomains(domains, ", ")
}

// peerGraph prints the graph of countersignatures for Graphviz: solid where both sides have
// signed, dashed where one has.
func peerGraph(c *cobra.Command, f *flags) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	edges, err := control.Graph(c.Context())
	if err != nil {
		return failure(err, "")
	}
	var b strings.Builder
	b.WriteString("digraph countersignatures {\n")
	for _, e := range edges {
		style := "style=dashed"
		if e.Mutual {
			style = "dir=both"
		}
		fmt.Fprintf(&b, "  %q -> %q [%s];\n", e.From, e.To, style)
	}
	b.WriteString("}\n")
	return f.print(c, edges, b.String())
}

func peerLine(p node.PeerStatus) string {
	linked := "not linked"
	if p.Linked {
		linked = "linked"
	}
	if p.Context != node.FirstContext {
		linked += ", hears the context " + p.Context
	}
	return fmt.Sprintf("%s: %s, %s, since %s\n", p.Domain, p.State, linked, p.Since.Format("2 Jan 2006"))
}
