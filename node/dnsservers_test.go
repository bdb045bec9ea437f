package node

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/dnsserver"
)

// zoneServer answers with lines of a zone file, until the test ends; what is not there is a
// name without such records. It returns its address.
func zoneServer(t *testing.T, lines ...string) string {
	t.Helper()
	var all []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		must(t, err)
		all = append(all, rr)
	}
	udp, tcp, err := dnsserver.Listen()
	must(t, err)
	must(t, udp.Close())
	started, ended := make(chan struct{}), make(chan error, 1)
	s := &dns.Server{Listener: tcp, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		for _, rr := range all {
			if h := rr.Header(); strings.EqualFold(h.Name, q.Question[0].Name) && h.Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m) // who asked may be gone
	})}
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		must(t, s.Shutdown())
		must(t, <-ended)
	})
	return tcp.Addr().String()
}

// Every name server that the zone names is asked, through the one door, and the one that has fallen behind
// is told; one that cannot be heard from here is no fault.
func TestDNSCheckAsksEveryNameServer(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	domain, want, err := Record(a.dir)
	must(t, err)
	line, err := want.ZoneLine(domain, 60)
	must(t, err)
	old := want
	old.Fingerprint[0]++
	before, err := old.ZoneLine(domain, 60)
	must(t, err)
	names := []string{
		"a.test. 60 IN NS ns1.a.test.", "a.test. 60 IN NS ns2.a.test.", "a.test. 60 IN NS ns3.a.test.",
		"ns1.a.test. 60 IN A 192.0.2.1", "ns1.a.test. 60 IN A 127.0.0.1", "ns2.a.test. 60 IN AAAA 2001:db8::2", "ns3.a.test. 60 IN A 192.0.2.3",
	}
	fresh, stale, empty := zoneServer(t, line), zoneServer(t, before), zoneServer(t)
	for what, c := range map[string]struct {
		resolver    string
		first, next string // name servers
		want        []string
	}{
		"all are right": {line, fresh, fresh, []string{"right 127.0.0.1", "advice ", "advice ns3.a.test, which the zone a.test names, was not heard here: ", "right the zone a.test is right at ns1.a.test, ns2.a.test (of 3 name servers)"}},
		"one is behind": {line, fresh, stale, []string{"right ", "advice ", "wrong ns2.a.test (2001:db8::2) still has another record: _p3do.a.test TXT has \"fp=" + old.Fingerprint.String(), "advice ns3", "right the zone a.test is right at ns1.a.test (of 3"}},
		"one has none":  {line, empty, fresh, []string{"right ", "advice ", "wrong ns1.a.test (192.0.2.1) still has no record of P3DO", "advice ns3", "right the zone a.test is right at ns2.a.test (of 3"}},
		"the resolver":  {before, fresh, fresh, []string{"wrong remembers what was there before", "advice ns3", "right the zone a.test"}},
		"nobody":        {before, stale, stale, []string{"wrong _p3do.a.test TXT has \"fp=" + old.Fingerprint.String(), "advice ns3"}},
	} {
		t.Run(what, func(t *testing.T) {
			resolver := zoneServer(t, append(names, c.resolver)...)
			door := func(ctx context.Context, network, address string) (net.Conn, error) {
				switch address {
				case "192.0.2.1:53":
					address = c.first
				case "[2001:db8::2]:53":
					address = c.next
				case "192.0.2.3:53":
					return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
				case resolver, want.KeyServers[0]:
				default:
					t.Errorf("a connection to %s", address)
				}
				return dial.Direct()(ctx, network, address)
			}
			found, err := DNSCheck{Dir: a.dir, Dial: door, DNS: resolver}.Examine(t.Context(), time.Now())
			must(t, err)
			if last := len(found) - 1; found[last].Check == "ports" {
				found = found[:last]
			}
			if len(found) != len(c.want) {
				t.Fatalf("%d findings: %+v", len(found), found)
			}
			for i, f := range found {
				state, text, _ := strings.Cut(c.want[i], " ")
				if string(f.State) != state || !strings.Contains(f.Text, text) {
					t.Errorf("%+v, want %q", f, c.want[i])
				}
			}
			for _, f := range found {
				if strings.Contains(f.Text, "still has") && !strings.HasPrefix(f.Hint, "dig +norecurse _p3do.a.test TXT @") {
					t.Error(f.Hint)
				}
			}
		})
	}
}
