package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/dnsserver"
)

const (
	tsigSecret = "3CJPEY3nIWfLgCv+wTe1fWMm37JIhROUO+EsIKQh35U="
	tsigText   = "key \"p3do\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + tsigSecret + "\";\n};\n"
)

// A node keeps its record in a name server: it puts it there when it starts, and another one when
// the key of its domain is another, with nobody's hands. The secret is in no log.
func TestNodePublishes(t *testing.T) {
	t.Parallel()
	ns := dnsserver.Knot(t, dnsserver.Config{
		Zones: []dnsserver.Zone{{Name: "a.test", Signed: true, Records: []string{`_p3do TXT "v=spf1 -all"`, `_p3do TXT "v=P3DO1; k=old"`}}},
		Keys:  []dnsserver.Key{{Name: "p3do", Secret: tsigSecret, Owner: "_p3do.a.test"}},
	})
	m := newMesh(t)
	a := m.add("a.test", func(c *Config) {
		c.DNS.Update = DNSUpdate{Server: ns.Addr, TSIGFile: "tsig.key", Zone: "a.test", TTL: 120}
	})
	must(t, os.WriteFile(filepath.Join(a.dir, "tsig.key"), []byte(tsigText), 0o600))
	a.start()
	published := func() string {
		_, record, err := Record(a.dir)
		must(t, err)
		m.until("the record in the zone", func() error {
			got := ns.Texts(t, "_p3do.a.test")
			if want := []string{record.String(), "v=spf1 -all"}; !slices.Equal(got, want) {
				return fmt.Errorf("the zone has %q, want %q", got, want)
			}
			return nil
		})
		return record.String()
	}
	before := published()
	_, err := m.rotate("a.test", RoleCA)
	must(t, err)
	if after := published(); after == before {
		t.Error("the key has not changed")
	}
	if strings.Contains(m.log.String(), tsigSecret) {
		t.Error("the secret is in the log")
	}
}

// A node whose name server does not take the record serves all the same, and says so once.
func TestNodeCannotPublish(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	a := m.add("a.test", func(c *Config) { c.DNS.Update = DNSUpdate{Server: nobody(t), TSIGFile: "tsig.key"} })
	must(t, os.WriteFile(filepath.Join(a.dir, "tsig.key"), []byte(tsigText), 0o600))
	a.start()
	said := func() int { return strings.Count(m.log.String(), "publishing the record in DNS") }
	m.until("the word of it", func() error {
		if said() == 0 {
			return fmt.Errorf("nothing is said")
		}
		return nil
	})
	a.node.publisher.soon()
	m.status("a.test")
	if n := said(); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}
