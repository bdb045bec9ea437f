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
	made := 0
	name := func(of pki.Domain) pki.Name { // always another
		made++
		return parse(t, pki.ParseName, fmt.Sprintf("u%d@%s", made, of))
	}
	now := testNow
	e := newIntake(own)
	for i := range 2 * newcomersEach {
		if e.take(client(0), name(a), now) != (i < newcomersEach) {
			t.Fatalf("one client: the %dth", i)
		}
	}
	for i := newcomersEach; i < 2*newcomersAtOnce; i++ {
		if e.take(client(i), name(a), now) != (i < newcomersAtOnce) {
			t.Fatalf("one domain: the %dth", i)
		}
	}
	if !e.take(client(1000), name(b), now) || !e.take(client(1001), name(own), now) {
		t.Error("one domain is in the way of others")
	}
	if !e.take(client(1002), name(a), now.Add(newcomerEvery)) {
		t.Error("nothing comes back")
	}

	e, now = newIntake(own), now.Add(time.Hour)
	for i := range intakeAtOnce {
		if !e.take(client(i), name(parse(t, pki.ParseDomain, fmt.Sprintf("h%d.test", i/newcomersAtOnce))), now) {
			t.Fatalf("all: too few at once, %d", i)
		}
	}
	if e.take(client(intakeAtOnce), name(a), now) {
		t.Error("one too many of all")
	}
	if !e.take(client(intakeAtOnce), name(own), now) || !e.take(client(intakeAtOnce), name(a), now.Add(intakeEvery)) {
		t.Error("our own users wait for others', or nothing comes back")
	}
}

// One name, from wherever it is handed in, takes little of what there is for its domain, and waits
// for itself.
func TestIntakeOfOneName(t *testing.T) {
	e, now := newIntake(parse(t, pki.ParseDomain, "own.test")), testNow
	eve, ann := parse(t, pki.ParseName, "eve@a.test"), parse(t, pki.ParseName, "ann@a.test")
	client := func(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, byte(i>>8), byte(i)), Port: 1} }
	for i := range 2 * newcomersAtOnce {
		if e.take(client(i), eve, now) != (i < intakeEach) {
			t.Fatalf("the %dth", i)
		}
	}
	if !e.take(client(0), ann, now) || len(e.names) != 2 {
		t.Errorf("one name is in the way of another; of %d is known", len(e.names))
	}
	now = now.Add(intakeEachEvery)
	if !e.take(client(0), eve, now) || e.take(client(0), eve, now) {
		t.Error("nothing comes back, or too much")
	}
	now = now.Add(intakeEach * intakeEachEvery)
	if !e.take(client(1), ann, now) || len(e.names) != 1 {
		t.Errorf("of %d names is known", len(e.names))
	}
}
