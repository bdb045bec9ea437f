package node

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// One client, and one domain, keep nobody else from ending a key, or from moving; many domains keep from it the
// users of others at most, and our own never.
func TestIntake(t *testing.T) {
	own, a, b := parse(t, pki.ParseDomain, "own.test"), parse(t, pki.ParseDomain, "a.test"), parse(t, pki.ParseDomain, "b.test")
	client := func(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, byte(i>>8), byte(i)), Port: 1} }
	now := testNow
	e := newIntake(own)
	for i := range 2 * newcomersEach {
		if e.take(client(0), a, now) != (i < newcomersEach) {
			t.Fatalf("one client: the %dth", i)
		}
	}
	for i := newcomersEach; i < 2*newcomersAtOnce; i++ {
		if e.take(client(i), a, now) != (i < newcomersAtOnce) {
			t.Fatalf("one domain: the %dth", i)
		}
	}
	if !e.take(client(1000), b, now) || !e.take(client(1001), own, now) {
		t.Error("one domain is in the way of others")
	}
	if !e.take(client(1002), a, now.Add(newcomerEvery)) {
		t.Error("nothing comes back")
	}

	e, now = newIntake(own), now.Add(time.Hour)
	for i := range intakeAtOnce {
		if !e.take(client(i), parse(t, pki.ParseDomain, fmt.Sprintf("h%d.test", i/newcomersAtOnce)), now) {
			t.Fatalf("all: too few at once, %d", i)
		}
	}
	if e.take(client(intakeAtOnce), a, now) {
		t.Error("one too many of all")
	}
	if !e.take(client(intakeAtOnce), own, now) || !e.take(client(intakeAtOnce), a, now.Add(intakeEvery)) {
		t.Error("our own users wait for others', or nothing comes back")
	}
}
