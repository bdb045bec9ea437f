package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const keysHelp = `Keys of users and servers, as key servers tell them.`

const keysGetHelp = `Look up the key of a user (ann@a.test, or her fingerprint with --server) or of a domain
(a.test) and verify it. --server names the domain whose key server is asked; a peer of the
home has a copy, and says how old it is. The place in the log of keys is verified and told, and which
domains have cosigned that, by the keys that DNS tells. To trust no server: p3dod keys verify.
P3DO_DNS names another resolver than the one in the node's configuration.`

func keysCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "look up keys", Long: keysHelp, Args: cobra.NoArgs, RunE: help}
	get := &cobra.Command{Use: "get NAME|FINGERPRINT|DOMAIN", Short: "look up one key", Long: keysGetHelp, Args: cobra.ExactArgs(1)}
	server := get.Flags().String("server", "", "domain whose key server is asked (default: the home)")
	get.RunE = func(c *cobra.Command, args []string) error {
		key, err := getKey(c, f, args[0], *server)
		if errors.Is(err, keyserver.ErrNotFound) {
			return cli.Fail(cli.Input, "", "there is no %s there.", args[0])
		}
		if err != nil {
			return err
		}
		return f.print(c, key, keyText(key))
	}
	c.AddCommand(get, keysAudit(f), keysVerify(f))
	return c
}

func keyText(key node.Key) string {
	text := fmt.Sprintf("%s\n  fingerprint: %s\n  signed by:   %s, until %s\n  said by:     %s\n",
		key.Subject, key.Fingerprint, key.Signer, key.Expires.Format("2 Jan 2006"), key.Server)
	text += handedText(key.Handed)
	if key.Copy != nil {
		text += "  home:        " + copyText(*key.Copy) + "\n"
	}
	if key.Logged == nil {
		return text + "  in its log:  not shown\n"
	}
	return text + loggedText(*key.Logged)
}

func handedText(all []keyserver.HandOver) (text string) {
	for _, h := range all {
		text += fmt.Sprintf("  handed over: %s: %s\n", h.Domain, h)
	}
	return text
}

func copyText(c node.CopyOf) string {
	text := "answers, but this is the copy here"
	if c.HomeOffline {
		text = "offline, copy"
	}
	if c.AsOf.IsZero() {
		return text + ", without proof"
	}
	return text + " as of " + c.AsOf.UTC().Format("2 Jan 2006 15:04 MST")
}

func getKey(c *cobra.Command, f *flags, subject, server string) (node.Key, error) {
	of, err := parseShown(subject)
	if err != nil {
		return node.Key{}, err
	}
	at := of.Domain
	switch {
	case !of.Name.IsZero():
		at = of.Name.Domain()
	case !of.Key.IsZero() && server == "":
		return node.Key{}, cli.Fail(cli.Input, "p3dod keys get FINGERPRINT --server DOMAIN", "a fingerprint does not tell whose key server to ask.")
	}
	if server != "" {
		if at, err = parseDomain(server); err != nil {
			return node.Key{}, err
		}
	}
	getter, err := node.NewGetter(f.dir, os.Getenv("P3DO_DNS"), dial.Direct())
	if err != nil {
		return node.Key{}, failure(err, "")
	}
	var key node.Key
	switch {
	case !of.Name.IsZero():
		key, err = getter.User(c.Context(), of.Name, at)
	case !of.Key.IsZero():
		key, err = getter.UserByKey(c.Context(), of.Key, at)
	default:
		key, err = getter.Server(c.Context(), of.Domain, at)
	}
	if errors.Is(err, keyserver.ErrNotFound) {
		return node.Key{}, err
	}
	return key, twoKeys(err, subject, at)
}

// twoKeys says, of an error that tells of two keys, who says which: all that is fetched is held
// against what DNS says.
func twoKeys(err error, subject string, at pki.Domain) error {
	hint := "p3dod keys get " + subject + " --server DOMAIN"
	if errors.Is(err, keylog.ErrProof) || errors.Is(err, keylog.ErrCheckpoint) {
		return cli.Fail(cli.KeyChanged, "p3dod keys audit --since 7d", "%v.", err)
	}
	var changed *pki.KeyChangedError
	if !errors.As(err, &changed) {
		return failure(err, hint)
	}
	return cli.Fail(cli.KeyChanged, hint+"   (and ask whoever runs "+changed.Subject+" which is theirs)",
		"two keys of %s: DNS says %s, and the key server of %s says %s%s.", changed.Subject, changed.Pinned, at, changed.Shown, notHanded(err))
}

// notHanded says why the way from one key to the other does not hold.
func notHanded(err error) string {
	var wrong *pki.NotHandedError
	if errors.As(err, &wrong) {
		return ", and " + wrong.Why
	}
	return ""
}

// parseSubject reads a name, or a domain of which the name is then zero.
func parseSubject(text string) (pki.Name, pki.Domain, error) {
	if !strings.Contains(text, "@") {
		domain, err := parseDomain(text)
		return pki.Name{}, domain, err
	}
	name, err := pki.ParseName(text)
	if err != nil {
		return pki.Name{}, pki.Domain{}, cli.Fail(cli.Input, "", "%v%s", err, cli.International(text))
	}
	return name, name.Domain(), nil
}
