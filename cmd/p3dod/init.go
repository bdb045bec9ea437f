package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const initHelp = `Make the folder of a new node: its keys, and a configuration to look through.
It prints what to publish in DNS and what to do next. A folder that holds a node
already is left as it is.

Beside the folder it writes the offline file: the keys by which the domain changes its
key, or ends the names of its users, when this machine is lost or in other hands. It is
sealed under 12 words, printed this once. Take it away: it is of no use to the node.`

func initCommand(f *flags) *cobra.Command {
	var registration, cover, link, keys, resolver, offline string
	c := &cobra.Command{Use: "init DOMAIN", Short: "make a new node", Long: initHelp, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&registration, "registration", string(node.RegistrationClosed), `who may register a name: "open" or "closed"`)
	c.Flags().StringVar(&cover, "cover", string(node.ProfileOff), `what hides when something is sent: "off", "low" or "high"`)
	c.Flags().StringVar(&link, "listen", "", "where to listen for links, host:port")
	c.Flags().StringVar(&keys, "listen-keyserver", "", "where to listen as key server, host:port")
	c.Flags().StringVar(&resolver, "dns", "", "the DNS resolver to ask: IP:PORT, or tls:// or https:// (docs/operating.md)")
	c.Flags().StringVar(&offline, "offline", "", "the offline file to write (default: DIR-offline.age, beside the folder)")
	c.RunE = func(c *cobra.Command, args []string) error {
		domain, err := parseDomain(args[0])
		if err != nil {
			return err
		}
		cfg := node.DefaultConfig(domain)
		cfg.Registration, cfg.Cover = node.Registration(registration), node.Profile(cover)
		if link != "" {
			cfg.Listen.Link, cfg.Publish.Links = link, published(domain, link)
		}
		if keys != "" {
			cfg.Listen.KeyServer, cfg.Publish.KeyServers = keys, published(domain, keys)
		}
		if resolver != "" {
			cfg.DNS.Server = resolver
		}
		if offline == "" {
			offline = node.OfflinePath(f.dir)
		}
		return initNode(c, f, cfg, offline)
	}
	return c
}

// published is what others connect to if it is not what is listened on: the domain itself,
// where that is every address of the machine.
func published(domain pki.Domain, listen string) []string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil || !node.Everywhere(listen) || port == "0" {
		return nil
	}
	return []string{net.JoinHostPort(domain.String(), port)}
}

// made is what init --json prints.
type made struct {
	Domain      string `json:"domain"`
	Dir         string `json:"dir"`
	Fingerprint string `json:"fingerprint"`
	DNS         string `json:"dns,omitempty"`
	Cover       string `json:"cover"`
	Offline     string `json:"offline,omitempty"` // the file
	Words       string `json:"words,omitempty"`   // that open it
}

func initNode(c *cobra.Command, f *flags, cfg node.Config, offline string) error {
	m := made{Domain: cfg.Domain.String(), Dir: f.dir}
	authority, err := node.Init(f.dir, cfg, time.Now(), func(o node.Offline) error {
		m.Offline, m.Words = offline, node.NewWords()
		return node.CreateOffline(offline, m.Words, o)
	})
	if errors.Is(err, fs.ErrExist) {
		return cli.Fail(cli.Input, "p3dod init "+m.Domain+" --offline ANOTHER-FILE", "%v", err)
	}
	if errors.Is(err, node.ErrExists) {
		return cli.Fail(cli.Input, "p3dod serve --dir "+f.dir, "%s holds a node already.", f.dir)
	}
	var missing *fs.PathError
	if errors.Is(err, node.ErrNoAuthority) && errors.As(err, &missing) {
		return cli.Fail(cli.Input, "install -m 600 COPY "+missing.Path+"   (your copy; or, from the offline file: p3dod rotate --key ca --lost --dir "+f.dir+")", "%v", err)
	}
	if err != nil {
		return cli.Fail(cli.Input, "p3dod init --help", "%v", err)
	}
	m.Fingerprint, m.Cover = authority.CA().Fingerprint().String(), string(cfg.Cover)
	var text strings.Builder
	fmt.Fprintf(&text, "Made %s in %s\n  fingerprint: %s\n\n", m.Domain, m.Dir, m.Fingerprint)
	if _, record, err := node.Record(f.dir); err == nil {
		if m.DNS, err = record.ZoneLine(cfg.Domain, node.RecordTTL); err != nil {
			return err
		}
		fmt.Fprintf(&text, "Publish this line in your zone:\n  %s\n\n", m.DNS)
	}
	text.WriteString(coverText(cfg.Cover))
	if m.Words != "" {
		text.WriteString(wordsText(m.Offline, m.Words))
	}
	fmt.Fprintf(&text, "Next:\n  1. look through %s/%s\n  2. p3dod serve --dir %s\n  3. p3dod dns check --dir %s\n  4. p3dod doctor --dir %s\n  5. p3dod peer add DOMAIN --dir %s\n",
		f.dir, node.ConfigFile, f.dir, f.dir, f.dir, f.dir)
	return f.print(c, m, text.String())
}

// coverText says what the profile costs, and what the others would.
func coverText(profile node.Profile) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Cover (the line \"cover\" of the configuration changes it):\n  %s\n", profile.Cost())
	for _, other := range node.Profiles() {
		if other != profile {
			fmt.Fprintf(&text, "  not %s\n", other.Cost())
		}
	}
	text.WriteString("\n")
	return text.String()
}
