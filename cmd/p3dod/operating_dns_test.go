package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/dnsserver"
	"github.com/p3do/p3do/node"
)

// TestOperatingNameServer does what docs/operating.md says of a name server of one's own: Knot
// and BIND are told what the page shows, its commands are typed, and in the end the node changes
// its record by itself. An unbound that remembers nothing is the resolver; where the page has
// the root of DNS, the key of the zone is what is trusted.
func TestOperatingNameServer(t *testing.T) {
	for _, name := range []string{"knotd", "keymgr", "named", "tsig-keygen", "unbound"} {
		dnsserver.Program(t, name)
	}
	w := newWalk(t)
	_, part, _ := strings.Cut(w.page, "\n## The record in your name server\n")
	part, _, _ = strings.Cut(part, "\n## ")
	for _, domain := range domains[:2] {
		begin := blocks(strings.ReplaceAll(w.page, domains[0], domain), "sh")
		w.machines[domain].does(begin[0][1:]) // init, and the offline file
		w.machines[domain].does(blockWith(t, begin, "p3dod serve ")[1:])
	}
	w.happens = map[string]func(*machine){
		"when the name server has the key": func(m *machine) { w.must(m.nameServer(part)) },
		"with these lines in p3dod.toml": func(m *machine) {
			lines := strings.ReplaceAll(block(t, part, "toml", "[dns.update]"), pageServer, m.server)
			m.change(strings.NewReplacer("[routing]", lines+"\n[routing]"))
		},
	}
	w.play(part)
	m := w.machines[domains[0]]
	_, record, err := node.Record(m.folder)
	w.must(err)
	s := dnsserver.Server{Addr: m.server}
	if got := s.Texts(t, "_p3do."+m.domain); len(got) != 1 || got[0] != record.String() {
		t.Errorf("the zone has %q, want %q", got, record)
	}
}

// blockWith is the first block with a line that begins so.
func blockWith(t *testing.T, all [][]string, begins string) []string {
	t.Helper()
	for _, lines := range all {
		for _, line := range lines {
			if strings.HasPrefix(line, begins) {
				return lines
			}
		}
	}
	t.Fatalf("no block has a line that begins with %q", begins)
	return nil
}

// nameServer starts the name server of the page with what the page shows, and a resolver for
// it, and has the node of the machine, which serves, ask that one.
func (m *machine) nameServer(page string) error {
	m.t.Helper()
	run, text := dnsserver.Knot, block(m.t, page, "yaml", "include: ")
	if m.domain != domains[0] {
		run, text = dnsserver.BIND, block(m.t, page, "c", "include ")
	}
	text = strings.NewReplacer("/etc/knot", m.dir, "/etc/bind", m.dir, "/var/lib/bind", "DIR").Replace(text)
	s := run(m.t, dnsserver.Config{Zones: []dnsserver.Zone{{Name: m.domain}}, Text: text})
	m.server = s.Addr
	anchors := strings.Join(s.Anchors(m.t, m.domain), "\n") + "\n"
	resolver := dnsserver.Unbound(m.t, dnsserver.Resolver{Stubs: map[string]string{m.domain: s.Addr}, Lines: []string{"cache-max-ttl: 0", "cache-max-negative-ttl: 0"}})
	m.change(strings.NewReplacer(m.walk.zone.Addr(), resolver.Addr, `anchors = ""`, `anchors = "anchors"`))
	return os.WriteFile(filepath.Join(m.folder, "anchors"), []byte(anchors), 0o600)
}
