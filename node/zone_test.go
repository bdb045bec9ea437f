package node

import (
	"bytes"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/dnsserver"
)

// servesZone has a node serve its own zone.
func servesZone(c *Config) {
	c.DNS.Serve, c.DNS.Nameservers = "127.0.0.1:0", []string{"ns1.a.test", "ns.b.test"}
}

// A node answers for _p3do.DOMAIN, and unbound believes it from the DS that the zone above is
// told, absences included. When its key changes it says so at once, and its DS stays.
func TestNodeServesItsZone(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	a := m.add("a.test", servesZone)
	a.start()
	_, lines, err := Delegation(a.dir)
	must(t, err)
	if len(lines) != 3 || lines[1] != "_p3do.a.test. 3600 IN NS ns.b.test." {
		t.Error(lines)
	}
	own := dnsserver.Server{Addr: a.node.addresses.DNS}
	said := func() string {
		_, record, err := Record(a.dir)
		must(t, err)
		if got := own.Texts(t, "_p3do.a.test"); !slices.Equal(got, []string{record.String()}) {
			t.Errorf("it says %q, not %q", got, record)
		}
		return record.String()
	}
	before := said()
	unbound := dnsserver.Unbound(t, dnsserver.Resolver{Stubs: map[string]string{"_p3do.a.test": own.Addr}, Anchors: lines[2:]})
	for name, kind := range map[string]uint16{"_p3do.a.test": dns.TypeTXT, "x._p3do.a.test": dns.TypeTXT} {
		answer, err := unbound.Ask(name, kind)
		must(t, err)
		if !answer.AuthenticatedData || answer.Rcode != dns.RcodeSuccess {
			t.Errorf("%s: %v", name, answer)
		}
	}
	if got := a.node.publisher.served.Load().Counts(); got.Answered < 3 || got.Failed > 0 {
		t.Errorf("%+v", got)
	}
	_, err = m.rotate("a.test", RoleCA)
	must(t, err)
	if after := said(); after == before {
		t.Error("the key has not changed")
	}
	must(t, a.end())
	a.start()
	own.Addr = a.node.addresses.DNS
	said()
	if _, again, err := Delegation(a.dir); err != nil || !slices.Equal(again, lines) {
		t.Error(again, err)
	}
	info, err := os.Stat(a.path(keysFolder, zoneFile))
	must(t, err)
	raw, err := os.ReadFile(a.path(keysFolder, zoneFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 || bytes.Contains([]byte(m.log.String()), raw) {
		t.Errorf("mode %v, or the key is in the log", info.Mode())
	}
}

// A doctor says that the port of the zone is taken, that the key is none, or that another
// one signs.
func TestDoctorOfTheZone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	m := newMesh(t)
	a := m.add("a.test", servesZone)
	e := &examination{Doctor: Doctor{Dir: a.dir, Dial: dial.Direct()}, cfg: new(Config)}
	servesZone(e.cfg)
	e.cfg.DNS.Serve = taken.Addr().String()
	if e.freeZone(); len(e.findings) != 1 || !strings.Contains(e.findings[0].Text, "cannot serve DNS on "+e.cfg.DNS.Serve) {
		t.Errorf("%+v", e.findings)
	}
	a.start()
	e = &examination{Doctor: Doctor{Dir: a.dir, Dial: dial.Direct()}, cfg: &a.node.cfg, serves: true}
	e.readZoneKey()
	if e.reachZone(t.Context()); len(e.findings) != 0 {
		t.Errorf("%+v", e.findings)
	}
	for _, wrong := range []error{dnstxt.ErrNone, dnstxt.ErrBogus} {
		e.findings = nil
		if e.refused(dnstxt.Resolver{}, a.node.record(), wrong); len(e.findings) != 1 || !strings.Contains(e.findings[0].Hint, "dns delegation --dir "+a.dir) {
			t.Errorf("%v: %+v", wrong, e.findings)
		}
	}
	e.findings = nil
	must(t, os.WriteFile(a.path(keysFolder, zoneFile), make([]byte, 32), 0o600))
	if e.reachZone(t.Context()); len(e.findings) != 1 || !strings.Contains(e.findings[0].Text, "does not say what it should") {
		t.Errorf("%+v", e.findings)
	}
	must(t, os.WriteFile(a.path(keysFolder, zoneFile), make([]byte, 31), 0o600))
	if e.readZoneKey(); len(e.findings) != 2 || !strings.Contains(e.findings[1].Hint, "dns delegation") {
		t.Errorf("%+v", e.findings)
	}
}

func TestZoneFaults(t *testing.T) {
	t.Parallel()
	names := []string{"ns1.a.test"}
	for _, d := range []DNS{
		{Serve: "192.0.2.1:53"}, {Nameservers: names}, {Serve: "0.0.0.0:53", Nameservers: names}, {Serve: "[::]:53", Nameservers: names},
		{Serve: "ns1.a.test:53", Nameservers: names}, {Serve: "[fe80::1%lo]:53", Nameservers: names},
		{Serve: "192.0.2.1:53", Nameservers: []string{"NS1.a.test"}}, {Serve: "192.0.2.1:53", Nameservers: []string{"ns1._p3do.a.test"}},
		{Serve: "192.0.2.1:53", Nameservers: []string{"ns1.a.test", "ns1.a.test"}}, {Serve: "192.0.2.1:53", Nameservers: make([]string, 5)},
		{Serve: "192.0.2.1:53", Nameservers: names, Update: DNSUpdate{Server: "192.0.2.1:53", TSIGFile: "tsig.key"}},
	} {
		if d.zoneFaults() == nil {
			t.Errorf("%+v was taken", d)
		}
	}
	for _, d := range []DNS{{}, {Serve: "192.0.2.1:53", Nameservers: names}, {Serve: "[2001:db8::1]:53", Nameservers: names}} {
		if faults := d.zoneFaults(); faults != nil {
			t.Errorf("%+v: %v", d, faults)
		}
	}
	if _, _, err := Delegation(t.TempDir()); err == nil {
		t.Error("a delegation without a node")
	}
}
