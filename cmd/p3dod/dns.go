package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const dnsHelp = `What the domain publishes in DNS: the fingerprint of its key, and where its key
server is. Never a key.

  print       what to publish: a line for a zone file, or what a web panel asks for
  publish     put it into the zone of a name server that takes updates with a TSIG key
  check       ask DNS as others do, and say what is to be mended
  delegation  what the zone needs so that the node answers for the name itself`

func dnsCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "dns", Short: "the DNS record of the domain", Long: dnsHelp, Args: cobra.NoArgs, RunE: help}
	c.AddCommand(dnsPrintCommand(f), dnsPublishCommand(f), dnsDelegationCommand(f), dnsCheckCommand(f))
	return c
}

const dnsPrintHelp = `Print the line for the zone of the domain, as zone files have it.

--panel prints what the form of a provider asks for instead, and --value the value alone.
Neither has quotes: a form that wants them adds them, and cuts the value if it must. --zone
is the zone that the form is for, if that is not the domain itself.`

// printed is what dns print --json prints.
type printed struct {
	Domain string `json:"domain"`
	Zone   string `json:"zone"` // the line for a zone file
	Name   string `json:"name"` // relative to the zone
	Owner  string `json:"owner"`
	Type   string `json:"type"`
	TTL    uint32 `json:"ttl"` // seconds
	Value  string `json:"value"`
}

func dnsPrintCommand(f *flags) *cobra.Command {
	var panel, value bool
	var zone string
	var ttl uint32
	c := &cobra.Command{Use: "print", Short: "print what to publish", Long: dnsPrintHelp, Args: cobra.NoArgs}
	c.Flags().BoolVar(&panel, "panel", false, "print name, type, TTL and value, as forms ask for them")
	c.Flags().BoolVar(&value, "value", false, "print the value alone")
	c.Flags().StringVar(&zone, "zone", "", "the zone that the name in a form is relative to (default: the domain)")
	c.Flags().Uint32Var(&ttl, "ttl", node.RecordTTL, "how long others may remember it, in seconds")
	c.MarkFlagsMutuallyExclusive("panel", "value")
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := toPrint(f.dir, zone, ttl)
		if err != nil {
			return err
		}
		text := p.Zone + "\n"
		switch {
		case panel:
			text = fmt.Sprintf("name:  %s\ntype:  %s\nTTL:   %d\nvalue: %s\n", p.Name, p.Type, p.TTL, p.Value)
		case value:
			text = p.Value + "\n"
		}
		return f.print(c, p, text)
	}
	return c
}

func toPrint(dir, zone string, ttl uint32) (printed, error) {
	domain, record, err := node.Record(dir)
	if err != nil {
		return printed{}, failure(err, "p3dod serve --dir "+dir)
	}
	line, err := record.ZoneLine(domain, ttl)
	if err != nil {
		return printed{}, err
	}
	owner, err := dnstxt.Owner(domain)
	if err != nil {
		return printed{}, err
	}
	if zone == "" {
		zone = domain.String()
	}
	name, ok := strings.CutSuffix(owner, "."+strings.TrimSuffix(strings.ToLower(zone), "."))
	if !ok || name == "" {
		return printed{}, cli.Fail(cli.Input, "p3dod dns print --panel --zone "+domain.String()+" --dir "+dir, "%s is not in the zone %q.", owner, zone)
	}
	return printed{Domain: domain.String(), Zone: line, Name: name, Owner: owner, Type: "TXT", TTL: ttl, Value: record.String()}, nil
}

const dnsPublishHelp = `Put the record into the zone that a name server holds, by a dynamic update (RFC 2136)
that is signed with TSIG. Server and key may also stand in p3dod.toml, under [dns.update]:
then the node does this by itself, when it starts and whenever the record is another.

Older records of ours are replaced; TXT records of others at the name stay. If the record
is there, nothing is done.

The key is read from a file that nobody else may read, as tsig-keygen (BIND) or keymgr -t
(Knot) writes it; hmac-sha256 or hmac-sha512. It must be allowed to change TXT at
_p3do.DOMAIN, and should be for nothing else.`

// publishResult is what dns publish --json prints.
type publishResult struct {
	Domain  string `json:"domain"`
	Server  string `json:"server,omitempty"`
	Zone    string `json:"zone"`
	Changed bool   `json:"changed"`
	Removed int    `json:"removed"`
	Kept    int    `json:"kept"`
	TTL     uint32 `json:"ttl"`
}

func dnsPublishCommand(f *flags) *cobra.Command {
	var u node.DNSUpdate
	c := &cobra.Command{Use: "publish", Short: "put the record into the zone of a name server", Long: dnsPublishHelp, Args: cobra.NoArgs}
	c.Flags().StringVar(&u.Server, "server", "", "primary name server of the zone: IP:PORT")
	c.Flags().StringVar(&u.TSIGFile, "tsig-file", "", "file with the TSIG key")
	c.Flags().StringVar(&u.Zone, "zone", "", "the zone (default: the server is asked)")
	c.Flags().Uint32Var(&u.TTL, "ttl", 0, fmt.Sprintf("how long others may remember it, in seconds (default %d)", node.RecordTTL))
	c.RunE = func(c *cobra.Command, _ []string) error {
		done, err := node.PublishRecord(c.Context(), f.dir, u, dial.Direct())
		if err != nil {
			return publishFailure(err, f.dir, u)
		}
		domain, _, err := node.Record(f.dir)
		if err != nil {
			return err
		}
		result := publishResult{domain.String(), u.Server, done.Zone, done.Changed, done.Removed, done.Kept, done.TTL}
		return f.print(c, result, publishText(domain, done, f.dir))
	}
	return c
}

func publishText(domain pki.Domain, done dnstxt.Published, dir string) string {
	owner := "_p3do." + domain.String()
	if !done.Changed {
		return fmt.Sprintf("%s is in the zone %s already. Nothing was changed.\n", owner, done.Zone)
	}
	text := fmt.Sprintf("Published %s in the zone %s, TTL %d.\n", owner, done.Zone, done.TTL)
	if done.Removed > 0 {
		text += fmt.Sprintf("It replaces %d older of ours; who has that may believe it until its time is over.\n", done.Removed)
	}
	if done.Kept > 0 {
		text += fmt.Sprintf("%d TXT records of others at the name stay, and their TTL is that of all.\n", done.Kept)
	}
	return text + "Next: p3dod dns check --dir " + dir + "\n"
}

// publishHints say what helps, for each reason why a server does not do it.
var publishHints = []struct {
	reason error
	hint   string
}{
	{dnstxt.ErrBadKey, "tsig-keygen NAME   (or keymgr -t NAME; write it into --tsig-file and into the server's configuration, under the same name and algorithm, and reload that)"},
	{dnstxt.ErrBadSecret, "copy algorithm and secret of the key from the configuration of the server into the file"},
	{dnstxt.ErrBadTime, "timedatectl set-ntp true   (on whichever machine has the wrong time)"},
	{dnstxt.ErrRefused, "allow the key to update TXT at _p3do.DOMAIN   (update-policy of BIND, or an acl with update-owner-name of Knot: see docs/operating.md)"},
	{dnstxt.ErrNotAuthoritative, "dig +short SOA DOMAIN   (names the primary server first: give that as --server IP:PORT, and --zone if the zone is another)"},
	{dnstxt.ErrNotInZone, "p3dod dns publish --zone ZONE   (the one that holds _p3do.DOMAIN; or no --zone: the server is asked then)"},
	{dnstxt.ErrUnsigned, "p3dod dns publish --server IP:PORT   (of the primary server itself: somebody else answers there, or on the way)"},
	{dnstxt.ErrOccupied, "remove the other records at _p3do.DOMAIN from the zone"},
	{dnstxt.ErrRaced, "p3dod dns publish   (once more, when nobody else edits the zone)"},
	{dnstxt.ErrUnchanged, "look into the log of that server"},
	{dnstxt.ErrKeyFile, "tsig-keygen NAME > FILE && chmod 600 FILE"},
	{node.ErrNoUpdate, "p3dod dns publish --server IP:PORT --tsig-file FILE   (or write both under [dns.update] in p3dod.toml)"},
}

func publishFailure(err error, dir string, u node.DNSUpdate) error {
	domain, _, failed := node.Record(dir)
	if failed != nil {
		return failure(failed, "p3dod serve --dir "+dir)
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "dnstxt: "), "node: ") + "."
	for _, h := range publishHints {
		if errors.Is(err, h.reason) {
			return cli.Fail(publishStatus(err), strings.ReplaceAll(h.hint, "DOMAIN", domain.String()), "%s", text)
		}
	}
	var exposed *node.ExposedKeyError
	switch {
	case errors.As(err, &exposed):
		return failure(err, "")
	case errors.Is(err, os.ErrNotExist):
		return cli.Fail(cli.Input, "tsig-keygen NAME > FILE && chmod 600 FILE", "%s", text)
	case errors.Is(err, node.ErrInput), errors.Is(err, node.ErrConfig):
		return cli.Fail(cli.Input, "p3dod dns publish --help", "%s", text)
	}
	return cli.Fail(cli.Network, "p3dod dns print --dir "+dir+"   (to paste it yourself; or dns publish with the --server of another one)", "%s", text)
}

// publishStatus: what the files or flags say is wrong is one thing, what a server does another.
func publishStatus(err error) int {
	for _, ours := range []error{dnstxt.ErrKeyFile, node.ErrNoUpdate, dnstxt.ErrNotInZone} {
		if errors.Is(err, ours) {
			return cli.Input
		}
	}
	for _, refused := range []error{dnstxt.ErrBadKey, dnstxt.ErrBadSecret, dnstxt.ErrRefused} {
		if errors.Is(err, refused) {
			return cli.Refused
		}
	}
	return cli.Network
}
