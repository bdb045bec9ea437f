package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/dnsserver"
	"github.com/p3do/p3do/node"
)

// TestOperatingOwnZone does what docs/operating.md says of a node that answers for its record
// itself: its commands are typed, Knot holds the zone above with the lines that they print, and
// unbound validates from that one's key down.
func TestOperatingOwnZone(t *testing.T) {
	for _, name := range []string{"knotd", "unbound"} {
		dnsserver.Program(t, name)
	}
	w := newWalk(t)
	_, part, _ := strings.Cut(w.page, "\n## The node as its own name server\n")
	part, _, _ = strings.Cut(part, "\n## ")
	begin := blocks(w.page, "sh")
	w.machines[domains[0]].does(begin[0][1:]) // init, and the offline file
	w.happens = map[string]func(*machine){
		"with these two lines in p3dod.toml": func(m *machine) {
			lines := strings.Replace(block(t, part, "toml", "serve = "), "203.0.113.7:53", "127.0.0.1:0", 1)
			m.change(strings.NewReplacer("serve = \"\"\nnameservers = []\n", lines))
		},
		"when the zone has these lines": func(m *machine) { w.must(m.delegated()) },
	}
	w.play(part)
}

// delegated starts the name server of the zone above, with the lines for it, and a resolver,
// which the machine asks from now on.
func (m *machine) delegated() error {
	m.t.Helper()
	_, lines, err := node.Delegation(m.folder)
	if err != nil {
		return err
	}
	running, err := node.ReadRunning(m.folder)
	if err != nil {
		return err
	}
	above := dnsserver.Knot(m.t, dnsserver.Config{Zones: []dnsserver.Zone{{Name: m.domain, Records: lines, Signed: true}}})
	anchors := strings.Join(above.Anchors(m.t, m.domain), "\n") + "\n"
	resolver := dnsserver.Unbound(m.t, dnsserver.Resolver{Stubs: map[string]string{m.domain: above.Addr, "_p3do." + m.domain: running.DNS}})
	m.change(strings.NewReplacer(m.walk.zone.Addr(), resolver.Addr, `anchors = ""`, `anchors = "anchors"`))
	return os.WriteFile(filepath.Join(m.folder, "anchors"), []byte(anchors), 0o600)
}
