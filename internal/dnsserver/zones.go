package dnsserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Config is what a server of zones holds.
type Config struct {
	Zones []Zone
	Keys  []Key
	// Text is configuration of zones and keys in the server's own words, such as a page shows,
	// instead of what would be made for Zones and Keys. DIR in it is the server's folder, in
	// which the files of Zones are: NAME.zone.
	Text string
}

// A Zone is one that it is the primary of.
type Zone struct {
	Name    string   // without the final dot
	Records []string // lines of a zone file, besides SOA and NS, names relative to the zone
	Signed  bool     // with Ed25519, by the server itself
}

// A Key may change the TXT records at one name, and nothing else.
type Key struct {
	Name      string
	Algorithm string // hmac-sha256 if empty
	Secret    string // base64
	Owner     string // without the final dot
}

func (k Key) algorithm() string {
	if k.Algorithm == "" {
		return "hmac-sha256"
	}
	return k.Algorithm
}

// Knot starts knotd.
func Knot(t Test, c Config) *Server {
	t.Helper()
	return start(t, daemon{program: "knotd", args: []string{"-c", "FILE"}, write: c.knot, zone: c.Zones[0].Name})
}

// BIND starts named.
func BIND(t Test, c Config) *Server {
	t.Helper()
	return start(t, daemon{program: "named", args: []string{"-f", "-n", "1", "-c", "FILE"}, write: c.bind, zone: c.Zones[0].Name})
}

// files writes the zones into files, NAME.zone.
func (c Config) files(dir string) error {
	for _, zone := range c.Zones {
		text := fmt.Sprintf("$ORIGIN %s.\n$TTL 3600\n@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\nns A 127.0.0.1\n%s\n",
			zone.Name, strings.Join(zone.Records, "\n"))
		if err := os.WriteFile(filepath.Join(dir, zone.Name+".zone"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) knot(dir, host string, port int) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  rundir: %[1]s\n  listen: %[2]s@%[3]d\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"+
		"log:\n  - target: stderr\n    any: info\ndatabase:\n  storage: %[1]s\n  journal-db-max-size: 16M\n  kasp-db-max-size: 16M\n"+
		"  timer-db-max-size: 4M\n", dir, host, port)
	if c.Text != "" {
		fmt.Fprintf(&b, "template:\n  - id: default\n    storage: %s\n%s", dir, strings.ReplaceAll(c.Text, "DIR", dir))
		return b.String(), c.files(dir)
	}
	for i, key := range c.Keys {
		if i == 0 {
			b.WriteString("key:\n")
		}
		fmt.Fprintf(&b, "  - id: %s\n    algorithm: %s\n    secret: %s\n", key.Name, key.algorithm(), key.Secret)
	}
	var names []string
	for i, key := range c.Keys {
		if i == 0 {
			b.WriteString("acl:\n")
		}
		fmt.Fprintf(&b, "  - id: %[1]s\n    key: %[1]s\n    action: update\n    update-type: [TXT]\n    update-owner: name\n"+
			"    update-owner-match: equal\n    update-owner-name: [%[2]s.]\n", key.Name, key.Owner)
		names = append(names, key.Name)
	}
	b.WriteString("policy:\n  - id: p3do\n    algorithm: ed25519\n    single-type-signing: on\n    nsec3: on\nzone:\n")
	for _, zone := range c.Zones {
		signing := "off"
		if zone.Signed {
			signing = "on"
		}
		fmt.Fprintf(&b, "  - domain: %s\n    storage: %s\n    file: %s.zone\n    dnssec-signing: %s\n    dnssec-policy: p3do\n",
			zone.Name, dir, zone.Name, signing)
		if len(names) > 0 {
			fmt.Fprintf(&b, "    acl: [%s]\n", strings.Join(names, ", "))
		}
	}
	return b.String(), c.files(dir)
}

func (c Config) bind(dir, host string, port int) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "options {\n  directory %[1]q;\n  key-directory %[1]q;\n  listen-on port %[3]d { %[2]s; };\n  listen-on-v6 { none; };\n"+
		"  pid-file none;\n  session-keyfile none;\n  lock-file none;\n  recursion no;\n  notify no;\n  dnssec-validation no;\n};\n"+
		"controls { };\nlogging { channel out { stderr; severity info; }; category default { out; }; };\n", dir, host, port)
	if c.Text != "" {
		b.WriteString(strings.ReplaceAll(c.Text, "DIR", dir))
		return b.String(), c.files(dir)
	}
	b.WriteString("dnssec-policy p3do { keys { csk lifetime unlimited algorithm ed25519; }; nsec3param iterations 0 optout no salt-length 0; };\n")
	for _, key := range c.Keys {
		fmt.Fprintf(&b, "key %q { algorithm %s; secret %q; };\n", key.Name, key.algorithm(), key.Secret)
	}
	for _, zone := range c.Zones {
		fmt.Fprintf(&b, "zone %q {\n  type primary;\n  file %q;\n  update-policy {\n", zone.Name, zone.Name+".zone")
		for _, key := range c.Keys {
			fmt.Fprintf(&b, "    grant %q name %s. TXT;\n", key.Name, key.Owner)
		}
		b.WriteString("  };\n")
		if zone.Signed {
			b.WriteString("  dnssec-policy p3do;\n  inline-signing yes;\n")
		}
		b.WriteString("};\n")
	}
	return b.String(), c.files(dir)
}

// Anchors returns the DS lines of a signed zone, once it is signed: what a resolver must be told
// to trust so that it validates the zone.
func (s *Server) Anchors(t Test, zone string) []string {
	t.Helper()
	err := errors.New("it has not been asked")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var answer *dns.Msg
		answer, err = s.Ask(zone, dns.TypeDNSKEY)
		if err != nil {
			continue
		}
		if lines := anchors(answer.Answer); len(lines) > 0 {
			return lines
		}
		err = errors.New("no signed DNSKEY")
	}
	t.Fatalf("%s: %v", zone, err)
	return nil
}

func anchors(rrs []dns.RR) (lines []string) {
	signed := false
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *dns.DNSKEY:
			if rr.Flags&dns.SEP != 0 {
				lines = append(lines, rr.ToDS(dns.SHA256).String())
			}
		case *dns.RRSIG:
			signed = true
		}
	}
	if !signed {
		return nil
	}
	return lines
}
