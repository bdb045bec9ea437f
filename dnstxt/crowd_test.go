package dnstxt

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// One network has its share of TCP connections and no more; another one is served meanwhile.
func TestCrowd(t *testing.T) {
	s, start := serveZone(t, gateRate), time.Now()
	for range maxConnsEach {
		conn, err := dial(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	surplus, err := dial(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer surplus.Close()
	surplus.SetDeadline(time.Now().Add(time.Minute))
	_, _ = surplus.Write(framed(signedQuery(t, nil))) // to nobody, perhaps
	if _, err := readFramed(surplus); err == nil && time.Since(start) < tcpIdle {
		t.Error("one more than the share is answered")
	}
	c := dns.Client{Net: "tcp", Timeout: time.Minute, Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 7, 7, 7)}}}
	a, _, err := c.Exchange(new(dns.Msg).SetQuestion("_p3do.a.test.", dns.TypeTXT), s.Addr())
	if err != nil || len(a.Answer) != 1 {
		t.Errorf("another network: %v, %v", a, err)
	}
}

func TestCrowdCounts(t *testing.T) {
	c := newCrowd()
	one, near, far := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 200)}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}
	for range maxConnsEach {
		if !c.enter(one) {
			t.Fatal("refused within its share")
		}
	}
	if c.enter(near) || !c.enter(far) {
		t.Error("the share is not of a network")
	}
	c.leave(near)
	if !c.enter(one) {
		t.Error("who left has a place still")
	}
	for range maxConnsEach {
		c.leave(one)
	}
	if c.leave(far); len(c.of) != 0 {
		t.Errorf("%v", c.of)
	}
}
