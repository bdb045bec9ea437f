package dnstxt

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// The name servers are those of the first name above the record that has any; how many are asked for is bounded,
// and no address leads to this machine itself.
func TestNameServers(t *testing.T) {
	many := []string{"x.test. NS ns.x.test.", "ns.x.test. A 127.0.0.1", "ns.x.test. A 0.0.0.0", "ns.x.test. A 224.0.0.1", "ns.x.test. AAAA ::1", "ns.x.test. AAAA ::ffff:127.0.0.1"}
	for i := range 20 {
		many = append(many, fmt.Sprintf("b.test. NS ns%d.b.test.", i), fmt.Sprintf("ns0.b.test. A 192.0.2.%d", i))
	}
	lines := append(many, "a.test. NS ns1.a.test.", "a.test. NS elsewhere.example.", "ns1.a.test. A 192.0.2.1", "ns1.a.test. AAAA 2001:db8::1", "test. NS ns.test.")
	var queries atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	s := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		queries.Add(1)
		m := new(dns.Msg).SetReply(q)
		for _, line := range lines {
			if rr, err := dns.NewRR(line); err == nil && rr.Header().Name == q.Question[0].Name && rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { ended <- s.ActivateAndServe() }()
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	r := Resolver{Server: server(t, listener.Addr().String()), Dial: new(net.Dialer).DialContext}
	for name, want := range map[string]string{
		"a.test":     "a.test [{ns1.a.test [192.0.2.1 2001:db8::1]} {elsewhere.example []}] <nil>",
		"sub.a.test": "a.test [{ns1.a.test [192.0.2.1 2001:db8::1]} {elsewhere.example []}] <nil>",
		"c.test":     "test [{ns.test []}] <nil>",
		"x.test":     "x.test [{ns.x.test []}] <nil>",
	} {
		zone, all, err := r.NameServers(t.Context(), domain(t, name))
		if got := fmt.Sprintln(zone, all, err); got != want+"\n" {
			t.Errorf("%s: %s", name, got)
		}
	}
	queries.Store(0)
	_, all, err := r.NameServers(t.Context(), domain(t, "b.test"))
	if err != nil || len(all) != MaxAsked || len(all[0].Addresses) != maxAddresses || queries.Load() > maxClimb+2*MaxAsked {
		t.Errorf("%d questions: %v, %v", queries.Load(), all, err)
	}
	if _, all, err = r.NameServers(t.Context(), domain(t, "a.example")); !errors.Is(err, ErrNone) {
		t.Errorf("no zone: %v, %v", all, err)
	}
}
