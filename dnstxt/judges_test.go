package dnstxt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/internal/dnsserver"
)

// serveZone runs a Nameserver for the zone of a.test until the test ends.
func serveZone(t testing.TB, rate int) *Nameserver {
	t.Helper()
	s, err := Serve("127.0.0.1:0", newSignedZone(t, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	s.rate = rate
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	})
	return s
}

// judged is what unbound says to one question.
func judged(t *testing.T, unbound *dnsserver.Server, name string, kind uint16) *dns.Msg {
	t.Helper()
	a, err := unbound.Ask(name, kind)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// judge asks unbound about the zone of a.test, whose signatures must convince it.
func judge(t *testing.T, unbound *dnsserver.Server) {
	t.Helper()
	for _, tt := range []struct {
		name    string
		kind    uint16
		answers bool
	}{
		{"_p3do.a.test", dns.TypeTXT, true},
		{"_P3Do.A.teST", dns.TypeNS, true},
		{"_p3do.a.test", dns.TypeSOA, true},
		{"_p3do.a.test", dns.TypeCDS, true},
		{"_p3do.a.test", dns.TypeCDNSKEY, true},
		{"_p3do.a.test", dns.TypeA, false},
		{"_p3do.a.test", dns.TypeMX, false},
		{"x._p3do.a.test", dns.TypeTXT, false},
		{"*._p3do.a.test", dns.TypeTXT, false},
		{"y.x._p3do.a.test", dns.TypeA, false},
	} {
		a := judged(t, unbound, tt.name, tt.kind)
		if a.Rcode != dns.RcodeSuccess || !a.AuthenticatedData || (len(a.Answer) > 0) != tt.answers {
			t.Errorf("%s %s: %v", tt.name, dns.TypeToString[tt.kind], a)
		}
	}
}

func TestUnboundBelievesTheAnchor(t *testing.T) {
	s := serveZone(t, gateRate)
	judge(t, dnsserver.Unbound(t, dnsserver.Resolver{
		Stubs: map[string]string{"_p3do.a.test": s.Addr()}, Anchors: []string{delegationOf(t)[2]},
	}))
}

func delegationOf(t *testing.T) []string {
	t.Helper()
	c := zoneConfig(t)
	lines, err := Delegation(c.Domain, c.Nameservers, c.Key, c.TTL)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// The zone above is in Knot, signed, with the lines that Delegation gives: unbound goes from
// its key to the DS, to our key, to the record. With the DS of another key it refuses all.
func TestUnboundBelievesTheParent(t *testing.T) {
	s := serveZone(t, gateRate)
	believe := func(lines []string) *dnsserver.Server {
		knot := dnsserver.Knot(t, dnsserver.Config{Zones: []dnsserver.Zone{{Name: "a.test", Records: lines, Signed: true}}})
		return dnsserver.Unbound(t, dnsserver.Resolver{
			Stubs: map[string]string{"a.test": knot.Addr, "_p3do.a.test": s.Addr()}, Anchors: knot.Anchors(t, "a.test"),
		})
	}
	lines := delegationOf(t)
	judge(t, believe(lines))

	other, err := ParseZoneKey(make([]byte, ZoneKeySize))
	if err != nil {
		t.Fatal(err)
	}
	lines[2] = spaced(other.dnskey("_p3do.a.test.", 3600).ToDS(dns.SHA256))
	if a := judged(t, believe(lines), "_p3do.a.test", dns.TypeTXT); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("with the DS of another key: %v", a)
	}
}

// Our own resolver calls the record secure, from the parent's key down.
func TestResolverBelievesTheZone(t *testing.T) {
	s := serveZone(t, gateRate)
	anchor, err := dns.NewRR(delegationOf(t)[2])
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := ParseAnchors(anchor.String())
	if err != nil {
		t.Fatal(err)
	}
	r := Resolver{Server: server(t, s.Addr()), Dial: dial, Anchors: anchors, Keys: NewKeyCache()}
	a, err := r.Look(t.Context(), domain(t, "a.test"))
	if err != nil || a.Security != Secure || !a.Record.Equal(leastRecord()) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestDelvBelievesTheZone(t *testing.T) {
	path := dnsserver.Program(t, "delv")
	s := serveZone(t, gateRate)
	ds := strings.Fields(delegationOf(t)[2])
	file := filepath.Join(t.TempDir(), "anchors")
	text := fmt.Sprintf("trust-anchors { \"_p3do.a.test.\" static-ds %s %s %s %q; };\n", ds[4], ds[5], ds[6], ds[7])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(s.Addr())
	for _, tt := range []struct{ name, kind, want string }{
		{"_p3do.a.test", "TXT", "; fully validated"},
		{"_p3do.a.test", "NS", "; fully validated"},
		{"_p3do.a.test", "DNSKEY", "; fully validated"},
		{"_p3do.a.test", "MX", "; negative response, fully validated"},
		{"x._p3do.a.test", "TXT", "; negative response, fully validated"},
	} {
		// Nothing to be found is a failure for delv, and it says so by its status.
		out, err := exec.CommandContext(t.Context(), path, "@"+host, "-p", port, "-a", file, "+root=_p3do.a.test", tt.name, tt.kind).CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), tt.want) {
			t.Errorf("delv %s %s: %s", tt.name, tt.kind, out)
		}
	}
}

func TestDigOfTheZone(t *testing.T) {
	path := dnsserver.Program(t, "dig")
	s := serveZone(t, gateRate)
	host, port, _ := net.SplitHostPort(s.Addr())
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"_p3do.a.test TXT", []string{"status: NOERROR", " aa", leastRecord().String(), "udp: 1232"}},
		{"+tcp +dnssec _p3do.a.test TXT", []string{"RRSIG\tTXT 15 3 3600", "flags: do; udp: 1232"}},
		{"+noedns +ignore +dnssec _p3do.a.test TXT", []string{"RRSIG"}}, // +dnssec turns EDNS on
		{"+bufsize=512 +ignore +dnssec _p3do.a.test DNSKEY", []string{"257 3 15"}},
		{"+dnssec _p3do.a.test MX", []string{"status: NOERROR", "ANSWER: 0", "SOA", `\000._p3do.a.test.`}},
		{"+dnssec x._p3do.a.test TXT", []string{"status: NOERROR", "RRSIG NSEC TYPE128"}},
		{"+noedns x._p3do.a.test TXT", []string{"status: NXDOMAIN", "SOA"}},
		{"_P3dO.a.TEST ANY +notcp", []string{"_P3dO.a.TEST.\t", "ANSWER: 1"}},
		{"a.test TXT", []string{"status: REFUSED"}},
		{"_p3do.a.test TXT CH", []string{"status: REFUSED"}},
		{"_p3do.a.test AXFR", []string{"Transfer failed"}},
		{"+edns=1 +noednsneg _p3do.a.test TXT", []string{"status: BADVERS"}},
		{"+opcode=notify _p3do.a.test SOA", []string{"status: NOTIMP"}},
	} {
		args := append([]string{"@" + host, "-p", port, "+tries=1", "+time=30"}, strings.Fields(tt.args)...)
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dig %s: %v\n%s", tt.args, err, out)
		}
		for _, want := range tt.want {
			if !strings.Contains(string(out), want) && !strings.Contains(string(out), strings.Replace(want, "TYPE128", "NXNAME", 1)) {
				t.Errorf("dig %s: no %q in\n%s", tt.args, want, out)
			}
		}
	}
}

// A flood in one network's name gets what the gate allows; another network is served in the
// middle of it, and the first one over TCP.
func TestFlood(t *testing.T) {
	s := serveZone(t, 1) // an answer a second: what comes back after the burst is the flood's
	query, answer := signedQuery(t, nil), make([]byte, udpSize+1)
	dialled := func(from string) *net.UDPConn {
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s.Addr()))
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
		if err != nil {
			t.Skipf("%s is no address of this machine: %v", from, err) // as where loopback is one address only
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	flood := dialled("127.9.9.9")
	whole, empty := 0, 0
	for range gateBurst + 100 {
		if _, err := flood.Write(query); err != nil {
			t.Fatal(err)
		}
		flood.SetReadDeadline(time.Now().Add(time.Minute))
		if whole >= gateBurst { // of two that are too many, one is answered
			if _, err := flood.Write(query); err != nil {
				t.Fatal(err)
			}
		}
		n, err := flood.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		if answer[2]&flagTC != 0 && n <= len(query) {
			empty++
		} else {
			whole++
		}
	}
	if whole < gateBurst || empty < 90 {
		t.Errorf("%d whole, %d empty", whole, empty)
	}
	other := dialled("127.8.8.8")
	if _, err := other.Write(query); err != nil {
		t.Fatal(err)
	}
	other.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := other.Read(answer); err != nil || answer[2]&flagTC != 0 || n < 200 {
		t.Errorf("another network: %x, %v", answer[:n], err)
	}
	c := dns.Client{Net: "tcp", Timeout: time.Minute, Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.9.9.9")}}}
	a, _, err := c.Exchange(new(dns.Msg).SetQuestion("_p3do.a.test.", dns.TypeTXT), s.Addr())
	if err != nil || len(a.Answer) != 1 {
		t.Errorf("over TCP: %v, %v", a, err)
	}
}
