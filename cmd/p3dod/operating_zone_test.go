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
// itself, and of another key for its zone: its commands are typed, Knot holds the zone above with the lines that
// they print, and unbound validates from that one's key down.
func TestOperatingOwnZone(t *testing.T) {
	for _, name := range []string{"knotd", "unbound"} {
		dnsserver.Program(t, name)
	}
	w := newWalk(t)
	_, part, _ := strings.Cut(w.page, "\n## The node as its own name server\n")
	part, _, _ = strings.Cut(part, "\n## ")
	begin := blocks(w.page, "sh")
	w.machines[domains[0]].does(begin[0][1:]) // init, and the offline file
	var first string                          // DS
	w.happens = map[string]func(*machine){
		"with these two lines in p3dod.toml": func(m *machine) {
			lines := strings.Replace(block(t, part, "toml", "serve = "), "203.0.113.7:53", "127.0.0.1:0", 1)
			m.change(strings.NewReplacer("serve = \"\"\nnameservers = []\n", lines))
		},
		"when the zone has these lines": func(m *machine) { first = w.delegated(m, true) },
		"when the DS is gone":           func(m *machine) { w.delegated(m, false) },
		"when the zone has the new DS": func(m *machine) {
			if again := w.delegated(m, true); again == first {
				t.Errorf("the DS is still %s", again)
			}
		},
	}
	w.play(part)
}

// delegated starts the name server of the zone above, with the lines for it, or all but the DS, and a resolver
// that remembers nothing, which the machine asks from now on. It returns the DS.
func (w *walk) delegated(m *machine, signed bool) (ds string) {
	w.t.Helper()
	_, lines, err := node.Delegation(m.folder)
	w.must(err)
	running, err := node.ReadRunning(m.folder)
	w.must(err)
	last := len(lines) - 1
	if ds = lines[last]; !signed {
		lines = lines[:last]
	}
	above := dnsserver.Knot(w.t, dnsserver.Config{Zones: []dnsserver.Zone{{Name: m.domain, Records: lines, Signed: true}}})
	anchors := strings.Join(above.Anchors(w.t, m.domain), "\n") + "\n"
	resolver := dnsserver.Unbound(w.t, dnsserver.Resolver{Stubs: map[string]string{m.domain: above.Addr, "_p3do." + m.domain: running.DNS}})
	if m.server == "" {
		m.server = w.zone.Addr()
	}
	m.change(strings.NewReplacer(m.server, resolver.Addr, `anchors = ""`, `anchors = "anchors"`))
	m.server = resolver.Addr
	w.must(os.WriteFile(filepath.Join(m.folder, "anchors"), []byte(anchors), 0o600))
	return ds
}
