package node

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// Look-ups at one home, and in all, are bounded; who waits for a slow home keeps nobody
// waiting who asks at another, and nothing is left when all have gone.
func TestLookupsTakeTurns(t *testing.T) {
	turns := newTurnstile()
	home := func(i int) pki.Domain { return parse(t, pki.ParseDomain, string(rune('a'+i))+".test") }
	users := byte(0)
	user := func() pki.Fingerprint { users++; return pki.Fingerprint{users} } // always another
	over, cancel := context.WithCancel(t.Context())
	cancel()
	refused := func(i int) bool {
		_, err := turns.enter(over, asker{user: user()}, home(i))
		return err != nil
	}
	var leave []func()
	enter := func(i int) {
		t.Helper()
		l, err := turns.enter(t.Context(), asker{user: user()}, home(i))
		must(t, err)
		leave = append(leave, l)
	}
	for range maxLookupsEach {
		enter(0)
	}
	for range 3 {
		if !refused(0) {
			t.Error("one too many at a home")
		}
	}
	for i := range maxLookups/maxLookupsEach - 1 {
		for range maxLookupsEach {
			enter(i + 1)
		}
	}
	for range 3 {
		if !refused(20) {
			t.Error("one too many in all")
		}
	}
	waits := make(chan func())
	go func() {
		l, _ := turns.enter(t.Context(), asker{user: pki.Fingerprint{255}}, home(20))
		waits <- l
	}()
	leave[0]()
	(<-waits)() // whoever waits comes in when one leaves
	for _, l := range leave[1:] {
		l()
	}
	wantNobody(t, turns)
}

func (g *gates[K]) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

func wantNobody(t *testing.T, stile *turnstile) {
	t.Helper()
	for who, turns := range map[string]*turns{"our own": &stile.turns, "others": &stile.guests} {
		users, homes := turns.users.count()+turns.clients.count(), turns.homes.count()
		if users+homes+len(turns.all) != 0 {
			t.Errorf("%s: %d users and clients, %d homes and %d look-ups are left", who, users, homes, len(turns.all))
		}
	}
}

// One user asks for users of as many slow homes as she likes: she waits for herself, and
// nobody else does.
func TestLookupsOfOneUser(t *testing.T) {
	turns := newTurnstile()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	eve, ann := asker{user: pki.Fingerprint{1}}, asker{user: pki.Fingerprint{2}}
	home := func(i int) pki.Domain { return parse(t, pki.ParseDomain, fmt.Sprintf("n%d.test", i)) }
	var leave []func()
	for i := range maxLookupsEach {
		l, err := turns.enter(t.Context(), eve, home(i))
		must(t, err)
		leave = append(leave, l)
	}
	for i := range maxLookups {
		if _, err := turns.enter(over, eve, home(i)); err == nil {
			t.Fatal("one too many of one user")
		}
	}
	for i := range maxLookupsEach {
		l, err := turns.enter(t.Context(), ann, home(i))
		must(t, err)
		leave = append(leave, l)
	}
	for _, l := range leave {
		l()
	}
	wantNobody(t, turns)
}

// Somebody who makes up keys, and homes for them, waits for those who come from the same place:
// an IPv4 address, or an IPv6 /64. Who comes from elsewhere does not, and nor does a lab.
func TestVisitorsOfOneClient(t *testing.T) {
	turns := newTurnstile()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	made := 0
	enter := func(host string) (func(), error) {
		made++
		home := parse(t, pki.ParseDomain, fmt.Sprintf("n%d.test", made))
		return turns.enter(over, guest(pki.Fingerprint{byte(made), byte(made >> 8)}, &net.TCPAddr{IP: net.ParseIP(host), Port: made}), home)
	}
	// A gate that is open lets in, or says that ctx is over, as it likes.
	through := func(host string) (leave func()) {
		until(t, host+" to be let in", func() (err error) { leave, err = enter(host); return err })
		return leave
	}
	for _, hosts := range [][]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::2:3"}} {
		var leave []func()
		for i := range maxLookupsClient {
			leave = append(leave, through(hosts[i%len(hosts)]))
		}
		for range maxLookups {
			for _, host := range hosts {
				if _, err := enter(host); err == nil {
					t.Fatalf("one too many from %s", host)
				}
			}
		}
		for _, host := range []string{"192.0.2.2", "2001:db8:0:1::1"} {
			leave = append(leave, through(host))
		}
		for _, l := range leave {
			l()
		}
	}
	var leave []func()
	for range maxLookups {
		leave = append(leave, through("127.0.0.1"))
	}
	if _, err := enter("192.0.2.3"); err == nil {
		t.Error("one too many in all")
	}
	l, err := turns.enter(t.Context(), asker{user: pki.Fingerprint{1}}, parse(t, pki.ParseDomain, "n1.test")) // of our own
	must(t, err)
	leave = append(leave, l)
	for _, l := range leave {
		l()
	}
	wantNobody(t, turns)
}

// Who waits for a copy has no turn at the home any more.
func TestCopiesTakeTurnsOfTheirOwn(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann := m.user("ann@a.test")
	n := m.nodes["a.test"].node
	must(t, m.nodes["b.test"].end())
	b := parse(t, pki.ParseDomain, "b.test")
	var leave []func()
	for i := range maxLookupsEach {
		l, err := n.copies.enter(t.Context(), asker{user: pki.Fingerprint{byte(i + 1)}}, b)
		must(t, err)
		leave = append(leave, l)
	}
	ended := make(chan error)
	go func() {
		_, err := ann.client.Lookup(t.Context(), parse(t, pki.ParseName, "eve@b.test"))
		ended <- err
	}()
	m.until("her look-up waits for a copy", func() error {
		if waits := n.copies.users.count(); waits != maxLookupsEach+1 {
			return fmt.Errorf("%d users", waits)
		}
		return nil
	})
	wantNobody(t, n.lookups)
	for _, l := range leave {
		l()
	}
	wantCode(t, <-ended, session.Unavailable, "b.test's key server does not answer, and no peer has a copy")
	wantNobody(t, n.copies)
}
