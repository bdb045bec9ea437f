package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const revokeHelp = `End a name of your domain, everywhere and for good, with the offline root that was taken
away: when your node is dead, or in other hands. No node of yours has to run, and this
machine needs no folder; it is handed in at the node of any other domain (--via), and goes
from there to all. Within seconds no server takes the name for a login. The key that has it
lives on, and whoever knows it knows it still. While your node runs: p3dod user revoke.

The certificate of the name comes from the key server of that other domain, or from a file
(--certificate). If another key has the name now, --key says which one is meant. P3DO_DNS
names the resolver, or the configuration of the node in --dir.`

// A revocation is what revoke is asked for.
type revocation struct {
	offline, wordsFrom string
	via                pki.Domain
	key                pki.Fingerprint
	certificate        string
}

func revokeCommand(f *flags) *cobra.Command {
	var r revocation
	var via, key string
	c := &cobra.Command{Use: "revoke NAME --offline FILE --via DOMAIN", Short: "end a name without the node", Long: revokeHelp, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&r.offline, "offline", "", "the offline file (default: DIR-offline.age, beside the folder)")
	c.Flags().StringVar(&r.wordsFrom, "words-from", "", `file with the 12 words; "-": standard input`)
	c.Flags().StringVar(&via, "via", "", "domain whose node is given it")
	c.Flags().StringVar(&key, "key", "", "fingerprint of the key that the name is ended for (default: the one that has it)")
	c.Flags().StringVar(&r.certificate, "certificate", "", "file with a certificate of that key, in PEM or DER (default: ask the key server)")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if via == "" {
			return cli.Fail(cli.Input, "p3dod revoke "+args[0]+" --via b.test", "--via is missing: whose node is given it?")
		}
		if r.via, err = parseDomain(via); err != nil {
			return err
		}
		if key != "" {
			if r.key, err = pki.ParseFingerprint(key); err != nil {
				return cli.Fail(cli.Input, "p3dod keys get "+args[0], "--key is no fingerprint: %v.", err)
			}
		}
		if r.offline == "" {
			r.offline = node.OfflinePath(f.dir)
		}
		return r.run(c, f, args[0])
	}
	return c
}

// run ends a name.
func (r revocation) run(c *cobra.Command, f *flags, text string) error {
	name, _, err := parseSubject(text)
	if err == nil && name.IsZero() {
		err = cli.Fail(cli.Input, "p3dod revoke ann@"+text, "%s is a domain, and no name of one.", text)
	}
	if err != nil {
		return err
	}
	dns, err := resolverOf(f)
	if err != nil {
		return err
	}
	offline, err := r.open(c, name)
	if err != nil {
		return err
	}
	certificate, err := r.certified(c, name, dns)
	if err != nil {
		return err
	}
	statement, err := offline.Root.RevokeName(certificate, time.Now())
	switch {
	case err != nil:
		return cli.Fail(cli.Input, "", "%v.", err)
	case statement.Name() != name:
		return cli.Fail(cli.Input, "", "that certificate is of %s, and not of %s.", statement.Name(), name)
	case !r.key.IsZero() && statement.Key().Fingerprint() != r.key:
		return cli.Fail(cli.Input, "p3dod revoke "+text+" --certificate FILE", "that certificate is for the key %s.", statement.Key().Fingerprint())
	}
	in, err := agent.HandIn(c.Context(), agent.Config{DNS: dns, Dial: dial.Direct()}, r.via, statement)
	if err != nil {
		return r.notTaken(err, text)
	}
	return f.print(c, in, fmt.Sprintf("%s has ended\n  its key lives on: %s\n  handed in at:     %s\n", in.Name, in.Key, r.via))
}

// open opens the offline file, which must be of the domain of name.
func (r revocation) open(c *cobra.Command, name pki.Name) (node.Offline, error) {
	typed, err := readWords(c, r.offline, r.wordsFrom)
	if err != nil {
		return node.Offline{}, err
	}
	offline, err := node.ReadOffline(r.offline, typed)
	if errors.Is(err, node.ErrWords) || errors.Is(err, node.ErrOffline) {
		return node.Offline{}, cli.Fail(cli.Input, "p3dod revoke "+name.String()+" --words-from FILE   (12 words, as p3dod init printed them)", "%v", err)
	}
	if err != nil {
		return node.Offline{}, cli.Fail(cli.Input, "", "%v", err)
	}
	if offline.Domain != name.Domain() {
		return node.Offline{}, cli.Fail(cli.Input, "", "%s is the offline file of %s, and %s is not a name of that.", r.offline, offline.Domain, name)
	}
	return offline, nil
}

// certified is a certificate of the name. Whoever gave it need not be believed: who is handed the
// revocation judges that.
func (r revocation) certified(c *cobra.Command, name pki.Name, dns string) ([]byte, error) {
	if r.certificate != "" {
		return readCertificate(r.certificate)
	}
	getter, err := node.NewGetter("", dns, dial.Direct())
	if err != nil {
		return nil, failure(err, "")
	}
	der, err := getter.Certificate(c.Context(), name, r.key, r.via)
	again := "p3dod revoke " + name.String() + " --certificate FILE   (or --via ANOTHER-DOMAIN)"
	if errors.Is(err, keyserver.ErrNotFound) {
		return nil, cli.Fail(cli.Input, again, "the key server of %s has nothing of %s.", r.via, name)
	}
	return der, failure(err, again)
}

func readCertificate(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.Fail(cli.Input, "p3dod revoke NAME --certificate FILE", "%v.", err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	return raw, nil
}

// resolverOf is whom to ask for DNS: P3DO_DNS, or what the node in the folder asks.
func resolverOf(f *flags) (string, error) {
	if dns := os.Getenv("P3DO_DNS"); dns != "" {
		return dns, nil
	}
	cfg, err := node.ReadConfig(filepath.Join(f.dir, node.ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", cli.Fail(cli.Input, "P3DO_DNS=127.0.0.1:53 p3dod revoke NAME --via DOMAIN", "no DNS resolver is named, and there is no node in %s.", f.dir)
	}
	return cfg.DNS.Server, failure(err, "p3dod init --help")
}

// notTaken says why a name has not ended.
func (r revocation) notTaken(err error, name string) error {
	var nowhere *agent.NoServerError
	again := "p3dod revoke " + name + " --via ANOTHER-DOMAIN"
	switch {
	case errors.As(err, &nowhere):
		return cli.Fail(cli.Input, again, "%v. Nothing has ended.", nowhere)
	case errors.Is(err, agent.ErrNotHandedIn):
		return cli.Fail(cli.Network, again, "%v. Nothing has ended.", err)
	}
	return cli.Fail(cli.Refused, again, "%v. Nothing has ended.", err) // in the node's words
}
