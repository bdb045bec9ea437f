package node

import (
	"net"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// Beyond the bounds the oldest link goes, of those on which nobody has logged in or of one
// user's. Whoever logs in is not among visitors any more.
func TestLobby(t *testing.T) {
	var l lobby
	visitor, ann := pki.Fingerprint{}, pki.Fingerprint{1}
	fill := func(user pki.Fingerprint, most int) (all []*link.Conn) {
		for i := range most {
			all = append(all, new(link.Conn))
			if gone := l.enter(all[i], user, false); gone != nil {
				t.Fatalf("one had to go for number %d", i)
			}
		}
		return all
	}
	visitors, hers := fill(visitor, maxVisitors), fill(ann, maxLinksEach)
	if gone := l.enter(visitors[1], ann, false); gone != hers[0] { // logs in
		t.Error("not her oldest link had to go")
	}
	if gone := l.enter(visitors[1], ann, false); gone != nil { // and again
		t.Error("a link had to go for itself")
	}
	for i, want := range []*link.Conn{nil, visitors[0], visitors[2]} {
		if gone := l.enter(new(link.Conn), visitor, false); gone != want {
			t.Errorf("another visitor had to go for number %d", maxVisitors+i)
		}
	}
	l.leave(visitors[0]) // has ended, since it had to go
	if n := len(l.users); n != maxVisitors+maxLinksEach {
		t.Errorf("%d are inside", n)
	}
	for conn := range l.users {
		l.leave(conn)
	}
	if len(l.links)+len(l.users) != 0 {
		t.Errorf("%d users and %d links are left", len(l.links), len(l.users))
	}
}

// Users of other homes have a quarter of the places together; beyond it their oldest link goes,
// and nobody else's.
func TestGuests(t *testing.T) {
	var l lobby
	var ann, first *link.Conn = new(link.Conn), nil
	l.enter(ann, pki.Fingerprint{1}, false)
	for i := range maxGuests {
		conn := new(link.Conn)
		if i == 0 {
			first = conn
		}
		if gone := l.enter(conn, pki.Fingerprint{2, byte(i), byte(i >> 8)}, true); gone != nil {
			t.Fatalf("one had to go for guest %d", i)
		}
	}
	if gone := l.enter(new(link.Conn), pki.Fingerprint{3}, true); gone != first {
		t.Error("another than the first guest had to go")
	}
	if gone := l.enter(new(link.Conn), pki.Fingerprint{4}, false); gone != nil || l.users[ann] != (pki.Fingerprint{1}) {
		t.Error("guests are in the way of a user of our own")
	}
	for conn := range l.users {
		l.leave(conn)
	}
	if len(l.guests)+len(l.links) != 0 {
		t.Errorf("%d guests are left", len(l.guests))
	}
}

// A user who logs in again and again keeps the places of sixteen links, and works on.
func TestLinksOfOneUser(t *testing.T) {
	m := newMesh(t, "a.test")
	ann := m.user("ann@a.test")
	first := ann.client
	for range maxLinksEach {
		ann.connect("a.test")
		ann.login()
	}
	select {
	case <-first.Done():
	case <-time.After(patience):
		t.Error("her oldest link goes on")
	}
	_, err := ann.client.Items(t.Context(), session.Items{})
	must(t, err)
}

// One client cannot use up the new names that there are for all; neither by the addresses
// that one network has.
func TestNewcomersOfOneClient(t *testing.T) {
	n := &Node{clients: keyserver.NewClients(1/newcomerEachEvery.Seconds(), newcomersEach)}
	from := func(host string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(host), Port: 1} }
	now := testNow
	for range newcomersEach {
		if !takeOwn(n.clients, from("192.0.2.1"), now) || !takeOwn(n.clients, from("2001:db8::1"), now) {
			t.Fatal("too few at once")
		}
	}
	for _, host := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::abcd:2"} {
		if takeOwn(n.clients, from(host), now.Add(newcomerEachEvery-time.Second)) {
			t.Errorf("one too many for %s", host)
		}
	}
	for _, host := range []string{"192.0.2.2", "2001:db8:0:1::1"} {
		if !takeOwn(n.clients, from(host), now) {
			t.Errorf("%s pays for another", host)
		}
	}
	later := now.Add(newcomerEachEvery)
	if !takeOwn(n.clients, from("192.0.2.1"), later) || takeOwn(n.clients, from("192.0.2.1"), later) {
		t.Error("one more each interval")
	}
	for range 10 * newcomersEach {
		if !takeOwn(n.clients, from("127.0.0.1"), now) {
			t.Fatal("this machine has a limit of its own")
		}
	}
}

// A name that is refused, for want of one for the client or for all, costs neither of them one.
func TestRefusedNewcomersCostNothing(t *testing.T) {
	n := &Node{
		newcomers: bucket{atOnce: newcomersAtOnce, every: newcomerEvery},
		clients:   keyserver.NewClients(1/newcomerEachEvery.Seconds(), newcomersEach),
	}
	from := func(last byte) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 1} }
	now := testNow
	for range 2 * newcomersEach {
		n.mayTake(from(0), now) // half of them refused to it
	}
	for i := range newcomersAtOnce - newcomersEach {
		if !n.mayTake(from(byte(1+i/newcomersEach)), now) {
			t.Fatalf("%d names, and one refused", newcomersEach+i)
		}
	}
	ann := from(100)
	for range 2 * newcomersEach {
		if n.mayTake(ann, now) {
			t.Fatal("there is none left for all")
		}
	}
	now = now.Add(newcomersEach * newcomerEvery)
	for range newcomersEach {
		if !n.mayTake(ann, now) {
			t.Fatal("she paid for names that she did not get")
		}
	}
}

// Who was put out while she was asking waits with the guests, whoever she was.
func TestAskerWhoIsOut(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, n := m.user("ann@a.test"), m.nodes["a.test"].node
	conn := n.lobby.linksOf(ann.key.Fingerprint())[0]
	if n.askerOn(conn).guest {
		t.Error("one of our own is a guest")
	}
	n.lobby.leave(conn)
	if !n.askerOn(conn).guest {
		t.Error("nobody takes the turns of our own users")
	}
}
