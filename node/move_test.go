package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// certified is a certificate for u's key under another name, by whoever.
func (u *user) certified(by *pki.Authority, name string) []byte {
	u.mesh.t.Helper()
	return certify(u.mesh.t, by, &user{mesh: u.mesh, name: parse(u.mesh.t, pki.ParseName, name), key: u.key})
}

// moves is u's move from one name to another.
func (u *user) moves(from, to []byte, serial uint64) pki.Move {
	u.mesh.t.Helper()
	m, err := u.key.SignMove(from, to, serial, time.Now())
	must(u.mesh.t, err)
	return m
}

// moved waits until each of the domains holds exactly that one move.
func (m *mesh) moved(move pki.Move, domains ...string) {
	m.t.Helper()
	for _, at := range domains {
		m.until(at+" to hear of the move", func() error {
			held := m.held(at, pki.StatementMove)
			if len(held) != 1 || !bytes.Equal(held[0].Raw, move.Raw()) {
				return fmt.Errorf("it holds %d", len(held))
			}
			return nil
		})
	}
}

// A move that is handed in anywhere, by anybody, reaches every node with the old home dead; a newer
// one takes its place, an older one does not. It outlives restarts, and the old home that comes back
// and a node that joins later hear of it.
func TestMoveSpreads(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.line(domains...)
	m.confirmed(domains...)
	ann := m.user("ann@a.test")
	home, there := m.nodes["a.test"], ann.certified(m.authority("c.test"), "ann@c.test")
	must(t, home.end())
	first, again := ann.moves(ann.cert, there, 5), ann.moves(ann.cert, ann.certified(m.authority("d.test"), "ann@d.test"), 6)
	stranger := m.stranger("nobody@d.test", "d.test")
	must(t, stranger.client.Move(t.Context(), first.Raw()))
	must(t, stranger.client.Move(t.Context(), first.Raw())) // again: nothing more
	m.moved(first, domains[1:]...)
	must(t, stranger.client.Move(t.Context(), again.Raw()))
	m.moved(again, domains[1:]...)
	must(t, stranger.client.Move(t.Context(), first.Raw())) // which is old by now
	must(t, m.nodes["b.test"].end())
	m.nodes["b.test"].start()
	m.moved(again, domains[1:]...)
	home.start()
	m.moved(again, "a.test")
	m.add("e.test", nil).start()
	m.peer("e.test", "b.test")
	m.peer("b.test", "e.test")
	m.moved(again, "e.test")
}

// Nobody moves somebody else, and no home gives what is another's: refused where it is handed in, and
// from a peer.
func TestMoveRefused(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, eve := m.user("ann@a.test"), m.user("eve@b.test")
	at := m.stranger("nobody@b.test", "b.test")
	a, b, now := m.authority("a.test"), m.authority("b.test"), time.Now()
	namesakeA, err := pki.NewAuthority(rand.Reader, ann.name.Domain(), now)
	must(t, err)
	namesakeB, err := pki.NewAuthority(rand.Reader, eve.name.Domain(), now)
	must(t, err)
	strange, err := pki.NewAuthority(rand.Reader, parse(t, pki.ParseDomain, "x.test"), now)
	must(t, err)
	there := ann.certified(b, "ann@b.test")
	good := ann.moves(ann.cert, there, 1)
	bent := bytes.Clone(good.Raw())
	bent[len(bent)-1] ^= 1
	for _, x := range []struct {
		what string
		raw  []byte
		code session.Code
		text string
	}{
		{"nothing", nil, session.BadRequest, "malformed"},
		{"garbage", bytes.Repeat([]byte{1}, 900), session.BadRequest, "malformed"},
		{"a bad signature", bent, session.BadRequest, "malformed"},
		{"a revocation", ann.byRevoker().Raw(), session.BadRequest, "malformed"},
		{"eve takes the name of ann, by a namesake of a.test", eve.moves(eve.certified(namesakeA, "ann@a.test"), eve.cert, 1).Raw(), session.Refused, "does not hold here"},
		{"to a name that b.test did not give", ann.moves(ann.cert, ann.certified(namesakeB, "ann@b.test"), 1).Raw(), session.Refused, "does not hold here"},
		{"to a domain that nobody knows", ann.moves(ann.cert, ann.certified(strange, "ann@x.test"), 1).Raw(), session.NotFound, "does not know the servers of a.test and x.test"},
		{"from a domain that nobody knows", eve.moves(eve.certified(strange, "eve@x.test"), eve.cert, 1).Raw(), session.NotFound, "does not know"},
	} {
		t.Run(x.what, func(t *testing.T) { wantCode(t, at.client.Move(t.Context(), x.raw), x.code, x.text) })
		fresh, err := m.nodes["a.test"].node.accept(t.Context(), append([]byte{byte(pki.StatementMove)}, x.raw...))
		if err == nil || fresh || errors.Is(err, errUnknownDomain) != (x.code == session.NotFound) {
			t.Errorf("%s, from a peer: %v, %v", x.what, fresh, err)
		}
	}
	if held := append(m.held("a.test", pki.StatementMove), m.held("b.test", pki.StatementMove)...); len(held) > 0 {
		t.Errorf("%d are held", len(held))
	}

	must(t, at.client.Move(t.Context(), good.Raw()))
	n := m.nodes["b.test"].node
	second := ann.moves(there, ann.certified(a, "anna@a.test"), 2)
	_, of := n.movings.buckets(second.From())
	of.mu.Lock()
	of.empty = time.Now()
	of.mu.Unlock()
	wantCode(t, at.client.Move(t.Context(), second.Raw()), session.Unavailable, "try another server")
	must(t, at.client.Move(t.Context(), good.Raw())) // which costs nothing
}

// The moves of a key that was revoked are not taken, whether they were made before or after.
func TestMoveOfRevoked(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann := m.user("ann@a.test")
	move := ann.moves(ann.cert, ann.certified(m.authority("b.test"), "ann@b.test"), 1)
	ended, err := m.authority("a.test").RevokeName(ann.cert, time.Now())
	must(t, err)
	a := m.nodes["a.test"].node
	take := func(s pki.Statement) bool {
		t.Helper()
		fresh, err := a.accept(t.Context(), s.Marshal())
		must(t, err)
		return fresh
	}
	if !take(ended.Statement()) || !take(move.Statement()) {
		t.Error("a home that ended a name has ended the person")
	}
	m.moved(move, "b.test")
	if !take(ann.byRevoker().Statement()) {
		t.Error("not revoked")
	}
	later := ann.moves(ann.cert, ann.certified(m.authority("b.test"), "anna@b.test"), 2)
	if take(later.Statement()) {
		t.Error("a revoked key moves")
	}
	m.until("b.test to obey", func() error {
		if !m.nodes["b.test"].node.beliefs.keyRevoked(ann.key.Fingerprint()) {
			return errors.New("it has not heard")
		}
		return nil
	})
	stranger := m.stranger("nobody@b.test", "b.test")
	wantCode(t, stranger.client.Move(t.Context(), later.Raw()), session.Refused, "the key of ann@a.test was revoked")
	m.moved(move, "a.test", "b.test")
}

// fills has the node hold as many moves to a domain as there may be, of puppets.
func (m *mesh) fills(at string, to pki.Domain, raw []byte) {
	m.t.Helper()
	var all sync.WaitGroup // what is written at once is one commit
	for i := range maxMoves {
		all.Go(func() {
			_, err := m.nodes[at].node.store.AddStatement(m.t.Context(), store.Statement{
				Kind: uint8(pki.StatementMove), Issuer: to.String(), ID: [32]byte{1, byte(i), byte(i >> 8)}, Serial: 1, Raw: raw, Once: true,
			}, store.Room{Each: maxMoves})
			if err != nil {
				m.t.Error(err)
			}
		})
	}
	all.Wait()
}

// A home whose puppets leave it in masses, for a home of its own, holds up nobody who leaves it; who has
// moved to where it is full may move on; and where it is full, what is of no use any more gives way.
func TestRoomForMoves(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b, ann, eve := m.authority("a.test"), m.authority("b.test"), m.user("ann@a.test"), m.user("eve@a.test")
	n := m.nodes["a.test"].node
	take := func(move pki.Move) error {
		_, err := n.accept(t.Context(), move.Statement().Marshal())
		return err
	}
	there := ann.certified(b, "ann@b.test")
	m.fills("a.test", ann.name.Domain(), eve.moves(eve.certified(b, "eve@b.test"), eve.cert, 1).Raw())
	must(t, take(ann.moves(ann.cert, there, 1)))
	wantErr(t, take(ann.moves(there, ann.certified(a, "anna@a.test"), 2)), store.ErrFull) // a.test is full of its own
	wait(t.Context(), n.cfg.movePace())                                                   // of what leaves one name
	back := ann.moves(ann.cert, ann.certified(a, "anna@a.test"), 3)
	must(t, take(back))
	held, err := n.store.StatementByID(t.Context(), uint8(pki.StatementMove), back.Leaves())
	if must(t, err); held.Serial != 3 || held.Issuer != "b.test" {
		t.Errorf("%d, on account of %s", held.Serial, held.Issuer)
	}
}

// Where it is full, the moves of revoked keys and to ended names give way; steps of a way do not.
func TestMovesGiveWay(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b, ann := m.authority("a.test"), m.authority("b.test"), m.user("ann@a.test")
	n := m.nodes["a.test"].node
	idle := func(move pki.Move) bool {
		t.Helper()
		is, err := n.idle(t.Context(), move)
		must(t, err)
		return is
	}
	there := ann.certified(b, "ann@b.test")
	first := ann.moves(ann.cert, there, 1)
	take := func(s pki.Statement) {
		t.Helper()
		_, err := n.accept(t.Context(), s.Marshal())
		must(t, err)
	}
	take(first.Statement())
	if idle(first) {
		t.Error("it is of use")
	}
	ended, err := b.RevokeName(there, time.Now())
	must(t, err)
	take(ended.Statement())
	if !idle(first) {
		t.Error("it leads to a name that is no more")
	}
	on := ann.moves(there, ann.certified(a, "anna@a.test"), 2)
	take(on.Statement())
	if idle(first) {
		t.Error("it is a step of a way")
	}
	take(ann.byRevoker().Statement())
	if !idle(first) || !idle(on) {
		t.Error("a revoked key moves")
	}
	must(t, n.dropMoves(t.Context(), first.To().Domain()))
	if held := m.held("a.test", pki.StatementMove); len(held) != 1 || held[0].Serial != 2 {
		t.Errorf("%d are held", len(held))
	}
}

// A key that moves again and again has one move taken in a while; the last one is taken all the same, from a
// peer as well.
func TestMovesInMasses(t *testing.T) {
	const pace = 2 * time.Second
	m := newMesh(t)
	a := m.add("a.test", func(c *Config) { c.Lab.ViewPace = Duration(pace) })
	a.start()
	z := m.rawPeers("a.test", "z.test")[0]
	ann := m.user("ann@a.test")
	there := ann.certified(m.authority("z.test"), "ann@z.test")
	begun := time.Now()
	const many = 20
	var all [][]byte
	for i := range many {
		all = append(all, ann.moves(ann.cert, there, uint64(i+1)).Statement().Marshal())
	}
	serial := func() uint64 {
		held, err := a.node.store.StatementByID(t.Context(), uint8(pki.StatementMove), ann.moves(ann.cert, there, 1).Leaves())
		must(t, notFoundIsNil(err))
		return held.Serial
	}
	z.say(peerMessage{Statements: &statementPage{Since: z.asked(), Statements: all, Last: 100}})
	m.until("a move to be taken", func() error {
		if serial() == 0 {
			return errors.New("none is")
		}
		return nil
	})
	if serial() == many && time.Since(begun) < pace {
		t.Fatal("each of them was taken")
	}
	if time.Since(begun) < pace/2 {
		wantCode(t, m.stranger("nobody@a.test", "a.test").client.Move(t.Context(), all[many-1][1:]), session.Unavailable, "moved just now; wait")
	}
	for since := z.asked(); since != 0; since = z.asked() { // until it asks again, from before they came
		z.say(peerMessage{Statements: &statementPage{Since: since, Last: 100}})
	}
	z.say(peerMessage{Statements: &statementPage{Statements: all[many-1:], Last: 100}})
	m.until("the last move to be taken", func() error {
		if got := serial(); got != many {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
	if since := time.Since(begun); since < pace {
		t.Errorf("after %v", since)
	}
}

// A bad move of a domain that has changed its key is refused, as of any other.
func TestMoveRefusedAfterRotation(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, n := m.user("ann@a.test"), m.nodes["a.test"].node
	namesake, err := pki.NewAuthority(rand.Reader, m.nodes["b.test"].domain, time.Now())
	must(t, err)
	p, _ := n.beliefs.pin(m.nodes["b.test"].domain)
	p.Former = append(p.Former, pki.Fingerprint{1})
	n.beliefs.setPin(m.nodes["b.test"].domain, p)
	bad := ann.moves(ann.cert, ann.certified(namesake, "ann@b.test"), 1)
	if _, err := n.accept(t.Context(), bad.Statement().Marshal()); err == nil || errors.Is(err, errUnknownDomain) {
		t.Error(err)
	}
	wantCode(t, m.stranger("nobody@a.test", "a.test").client.Move(t.Context(), bad.Raw()), session.Refused, "does not hold here")
}
