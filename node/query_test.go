package node

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// ask hands a copy of a question to u's node.
func (u *user) ask(q *mor.Question) (frame *[onion.Size]byte) {
	t := u.mesh.t
	t.Helper()
	u.sender.SetServers(u.servers())
	q.Hops, q.Reply = mor.DefaultHops, u.replies
	out, err := u.sender.Ask(time.Now(), q)
	must(t, err)
	raw, err := out.Submit[0].Entry.Marshal(rand.Reader)
	must(t, err)
	frame = (*[onion.Size]byte)(raw)
	must(t, u.client.Submit(t.Context(), frame))
	return frame
}

// finding waits for an answer, and returns the item that it came in.
func (u *user) finding(q *mor.Question) (mor.Finding, pki.Domain, session.Item) {
	u.mesh.t.Helper()
	item := u.items()[0]
	_, f, from, ok := u.sender.TakeFinding(q, item.SURB, item.Body)
	if !item.Reply || !ok {
		u.mesh.t.Fatal("what has come is no finding")
	}
	must(u.mesh.t, u.client.Forget(u.mesh.t.Context(), []int64{item.Seq}))
	return f, from, item
}

// proven verifies the proof that came with a card, under the log of its domain.
func (m *mesh) proven(name pki.Name, f mor.Finding) {
	m.t.Helper()
	log := m.nodes[name.Domain().String()].node.ledger.Reader()
	claim := keylog.Claim{Kind: keylog.Card, Subject: name.String(), Record: sha256.Sum256(f.Card)}
	_, err := log.Verify(f.Proof.Bytes, claim, nil)
	if n := len(keylog.Cosigners(f.Proof.Bytes)); err != nil || n < 2 {
		m.t.Errorf("%s: %d bytes of proof, cosigned by %d: %v", name, len(f.Proof.Bytes), n, err)
	}
	m.t.Logf("%s: %d bytes of proof", name, len(f.Proof.Bytes))
}

// A look-up goes through the mesh to the key server that knows, and its answer comes back with its proof; what is not
// there is answered in the same size. No node writes down who was asked for.
func TestLookupThroughTheMesh(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.federate(domains...)
	ann, bob := m.user("ann@a.test"), m.user("bob@b.test")
	for _, domain := range []string{"a.test", "b.test"} {
		m.cosignedBy(domain, 2, len(domains)-1)
	}
	home := bob.name.Domain()
	for _, test := range []struct {
		what  string
		q     mor.Question
		of    pki.Name
		found bool
	}{
		{"a name", mor.Question{Name: bob.name, Home: home}, bob.name, true},
		{"a key", mor.Question{Key: bob.key.Fingerprint(), Home: home}, bob.name, true},
		{"no such name", mor.Question{Name: parse(t, pki.ParseName, "bo@b.test"), Home: home}, pki.Name{}, false},
		{"a name elsewhere", mor.Question{Name: parse(t, pki.ParseName, "ann@z.test"), Home: home}, pki.Name{}, false},
		{"no such key", mor.Question{Key: pki.Fingerprint{1}, Home: home}, pki.Name{}, false},
		{"her own home, of which she asks", mor.Question{Name: ann.name, Home: ann.name.Domain()}, ann.name, true},
	} {
		ann.ask(&test.q)
		f, from, item := ann.finding(&test.q)
		if (len(f.Card) > 0) != test.found || from != test.q.Home || len(item.Body) != onion.BodySize {
			t.Errorf("%s: a card of %d bytes from %s, in %d bytes", test.what, len(f.Card), from, len(item.Body))
		}
		if test.found != (f.Proof.Kind == mor.ProofOfLog) {
			t.Errorf("%s: a proof of kind %d, %d bytes", test.what, f.Proof.Kind, len(f.Proof.Bytes))
		} else if test.found {
			m.proven(test.of, f)
		}
		if card, err := pki.ParseCard(f.Card); test.found && (err != nil || card.Name() != test.of) {
			t.Errorf("%s: the card of %s: %v", test.what, card.Name(), err)
		}
	}
	if got := m.status("b.test").Lookups; got.Answered != 5 || got.Over+got.Malformed+got.Unsent > 0 {
		t.Errorf("counted %+v", got)
	}
	for _, name := range []string{"bob", "bo@"} {
		if strings.Contains(m.log.String(), name) {
			t.Errorf("%s is in a log", name)
		}
	}
}

// A look-up that is handed in twice, and a packet that is no look-up, bring one answer and none.
func TestLookupIsAnsweredOnce(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.federate(domains...)
	ann, bob := m.user("ann@a.test"), m.user("bob@b.test")
	q := mor.Question{Name: bob.name, Home: bob.name.Domain()}
	frame := ann.ask(&q)
	must(t, ann.client.Submit(t.Context(), frame))
	ann.finding(&q)

	odd := make([]byte, onion.PayloadSize)
	odd[0] = mor.QueryVersion + 1
	ann.deliver(bob.name.Domain(), mor.QueryMailbox(), odd)
	m.until("the odd one to be counted", func() error {
		if got := m.status("b.test").Lookups; got.Malformed != 1 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if got := m.status("b.test").Lookups; got.Answered != 1 {
		t.Errorf("counted %+v", got)
	}
	next := mor.Question{Name: bob.name, Home: bob.name.Domain()}
	ann.ask(&next)
	ann.finding(&next) // which is the next that comes: there was no second answer to the first
}

// deliver sends a payload to a mailbox at a server, over two relays.
func (u *user) deliver(at pki.Domain, to onion.Mailbox, payload []byte) {
	t := u.mesh.t
	t.Helper()
	var hops []onion.InnerHop
	var last onion.InnerHop
	for _, s := range u.servers() {
		switch s.Domain {
		case at:
			last = onion.InnerHop{Key: s.Key}
		case u.name.Domain():
		default:
			hops = append(hops, onion.InnerHop{Key: s.Key})
		}
	}
	hops = append(hops[:2], last)
	inner, err := onion.BuildInner(rand.Reader, hops, to, time.Now().Add(mor.LetterLifetime), payload)
	must(t, err)
	raw, err := onion.Entry{First: hops[0].Key.ID(), Inner: inner}.Marshal(rand.Reader)
	must(t, err)
	must(t, u.client.Submit(t.Context(), (*[onion.Size]byte)(raw)))
}

// Look-ups in masses are answered up to a bound for each context that brings them, and one in all.
func TestLookupsAreBounded(t *testing.T) {
	q, now := newQueries(), time.Now()
	take := func(from mor.ContextID, n int) (taken int) {
		for range n {
			if q.may(from, now) {
				taken++
			}
		}
		return taken
	}
	if got := take(mor.ContextID{1}, 2*queriesAtOnceEach); got != queriesAtOnceEach {
		t.Errorf("%d of one context", got)
	}
	all := queriesAtOnceEach
	for i := range byte(10) {
		all += take(mor.ContextID{2, i}, queriesAtOnceEach)
	}
	if all != queriesAtOnce {
		t.Errorf("%d in all", all)
	}
	now = now.Add(queriesAtOnceEach * queryEveryEach)
	if got := take(mor.ContextID{1}, 1); got != 1 {
		t.Error("no more after a while")
	}
	for range 2 * maxQueried { // of contexts that come and go nothing is left
		var id mor.ContextID
		_, err := io.ReadFull(rand.Reader, id[:])
		must(t, err)
		now = now.Add(queryEveryEach)
		if !q.may(id, now) {
			t.Fatal("a context without a turn")
		}
	}
	if len(q.each) > maxQueried {
		t.Errorf("%d contexts are kept", len(q.each))
	}
}
