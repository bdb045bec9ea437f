package dnsserver

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
)

// Resolver is what unbound resolves: the stub zones, and nothing of the Internet.
type Resolver struct {
	Stubs   map[string]string // zone, without the final dot: address of the server that is asked for it
	Anchors []string          // DS or DNSKEY lines: answers below these names are validated
	Lines   []string          // more lines for the section "server:" (tls-port and the like)
}

// Unbound starts unbound.
func Unbound(t Test, r Resolver) *Server {
	t.Helper()
	return start(t, daemon{program: "unbound", args: []string{"-d", "-p", "-c", "FILE"}, write: r.unbound, zone: "."})
}

func (r Resolver) unbound(dir, host string, port int) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  directory: %q\n  chroot: \"\"\n  username: \"\"\n  interface: %s@%d\n  port: %[3]d\n  use-syslog: no\n  do-daemonize: no\n"+
		"  num-threads: 1\n  do-ip6: no\n  do-not-query-localhost: no\n  root-hints: \"\"\n  module-config: \"validator iterator\"\n  qname-minimisation: no\n",
		dir, host, port)
	for _, anchor := range r.Anchors {
		fmt.Fprintf(&b, "  trust-anchor: \"%s\"\n", strings.ReplaceAll(anchor, "\t", " "))
	}
	for _, line := range r.Lines {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	for _, name := range []string{"test", "example", "invalid"} { // unbound answers for these itself
		fmt.Fprintf(&b, "  local-zone: \"%s.\" nodefault\n", name)
	}
	b.WriteString("remote-control:\n  control-enable: no\n")
	for _, zone := range slices.Sorted(maps.Keys(r.Stubs)) {
		at, on, err := net.SplitHostPort(r.Stubs[zone])
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "stub-zone:\n  name: \"%s.\"\n  stub-addr: %s@%s\n  stub-no-cache: no\n", zone, at, on)
	}
	return b.String(), nil
}
