package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
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
	of := n.movings.bucket(second.From().Domain())
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
