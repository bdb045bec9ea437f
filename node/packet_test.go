package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A rawPeer is a link with a node, held by a test that has the keys of one of its peers.
type rawPeer struct {
	mesh    *mesh
	conn    *link.Conn
	context mor.ContextID // what it speaks on
	theirs  mor.ContextID // what the node speaks on
}

// rawPeers federates to with each domain of as, of whom only the keys remain.
func (m *mesh) rawPeers(to string, as ...string) []*rawPeer {
	m.t.Helper()
	all := make([]*rawPeer, len(as))
	for i, domain := range as {
		m.add(domain, nil).start()
		m.peer(to, domain)
		must(m.t, m.nodes[domain].end())
		all[i] = m.rawPeer(to, domain)
	}
	return all
}

func (m *mesh) rawPeer(to, as string) *rawPeer {
	m.t.Helper()
	p := &rawPeer{mesh: m, conn: m.rawLink(to, as), context: mor.ContextID{1, as[0]}}
	p.say(peerMessage{Hello: &hello{Contexts: []contextID{contextID(p.context)}, Cross: m.cross(as, to)}})
	p.theirs = mor.ContextID(p.control().Hello.Contexts[0])
	m.until("the listener of "+as, func() error {
		if !m.listens(to, as, p.context) {
			return errors.New("not yet")
		}
		return nil
	})
	return p
}

// listens reports whether the node has a listener on a context of owner.
func (m *mesh) listens(domain, owner string, on mor.ContextID) bool {
	m.t.Helper()
	l := m.nodes[domain].node.loop
	listens, err := ask(m.t.Context(), l, func(l *loop, _ time.Time) bool {
		for _, p := range l.links {
			for _, id := range p.listening {
				if id == place(m.nodes[owner].domain, contextID(on)) {
					return true
				}
			}
		}
		return false
	})
	must(m.t, err)
	return listens
}

// rawLink dials with the keys of a domain.
func (m *mesh) rawLink(to, as string) *link.Conn {
	m.t.Helper()
	conn, err := m.tryLink(to, as)
	must(m.t, err)
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

func (m *mesh) tryLink(to, as string) (*link.Conn, error) {
	m.t.Helper()
	authority := m.authority(as)
	key, err := keyring{m.nodes[as].dir + "/" + keysFolder}.link()
	must(m.t, err)
	cert, err := authority.SignLink(rand.Reader, time.Now(), key.Public(), pki.LinkLifetime)
	must(m.t, err)
	return link.Dial(m.t.Context(), link.Config{
		Certificate: tls.Certificate{Certificate: [][]byte{cert.DER()}, PrivateKey: key.Signer()},
		Judge:       func(*x509.Certificate) error { return nil }, Dial: dial.Direct(),
	}, m.nodes[to].running.Link)
}

// cross is the countersignature of as over to.
func (m *mesh) cross(as, to string) []byte {
	m.t.Helper()
	c, err := m.authority(as).Countersign(rand.Reader, time.Now(), m.authority(to).CA())
	must(m.t, err)
	return c.DER()
}

func (p *rawPeer) say(message peerMessage) {
	p.mesh.t.Helper()
	raw, err := message.marshal()
	must(p.mesh.t, err)
	must(p.mesh.t, p.conn.SendControl(raw))
}

// control returns the next control message that is no question or news: those a node has
// for every peer.
func (p *rawPeer) control() peerMessage {
	p.mesh.t.Helper()
	for {
		m, err := p.conn.Receive()
		must(p.mesh.t, err)
		if m.Kind != link.KindControl {
			continue
		}
		message, err := parsePeerMessage(m.Control)
		must(p.mesh.t, err)
		if message.Ask == nil && message.News == nil && message.Since == nil && message.CopiesOf == nil {
			return message
		}
	}
}

// packet returns the next slot that carries a packet.
func (p *rawPeer) packet() link.Message {
	p.mesh.t.Helper()
	for {
		m, err := p.conn.Receive()
		must(p.mesh.t, err)
		if m.Kind != link.KindControl {
			return m
		}
	}
}

// records asks on a context of the node, and returns what it says, verified.
func (p *rawPeer) records(node string) []mor.Record {
	p.mesh.t.Helper()
	p.say(peerMessage{Ask: &query{contextID(p.theirs)}})
	answered, err := mor.ParseAnswer(p.control().Answer.Records)
	must(p.mesh.t, err)
	records := make([]mor.Record, len(answered))
	for i, a := range answered {
		records[i], err = mor.ParseRecord(a.Raw, p.mesh.nodes[node].node.directory.authority, time.Now())
		must(p.mesh.t, err)
	}
	return records
}

// packetFor is a packet for one context that ends there.
func packetFor(t testing.TB, key onion.ContextKey, hint onion.Hint) onion.Packet {
	t.Helper()
	p, err := onion.Wrap(rand.Reader, onion.EpochAt(time.Now()), []onion.OuterHop{{Key: key, Hint: hint}}, onion.OuterEnd{Drop: true}, onion.Inner{})
	must(t, err)
	return p
}

// packetForNobody is for a context that nobody knows.
func packetForNobody(t testing.TB) onion.Packet {
	t.Helper()
	key, err := onion.NewContextKey(rand.Reader)
	must(t, err)
	hint, err := onion.NewHint(rand.Reader)
	must(t, err)
	return packetFor(t, key.Public(), hint)
}

// floodAll has a node send whole packets to every peer, whoever brought them.
func floodAll(c *Config) { c.Routing.FloodAll = true }

// counted waits until the counters of a node have moved as much as want says.
func (m *mesh) counted(domain string, before ContextStatus, heard, duplicates, rebroadcast, forwarded, peeled uint64) {
	m.t.Helper()
	want := fmt.Sprint("heard ", heard, " duplicates ", duplicates, " rebroadcast ", rebroadcast, " forwarded ", forwarded, " peeled ", peeled)
	m.until(want, func() error {
		now := m.counters(domain)
		have := fmt.Sprint("heard ", now.Heard-before.Heard, " duplicates ", now.Duplicates-before.Duplicates,
			" rebroadcast ", now.Rebroadcast-before.Rebroadcast, " forwarded ", now.Forwarded-before.Forwarded, " peeled ", now.Peeled-before.Peeled)
		if have != want {
			return errors.New(have)
		}
		return nil
	})
}

// The same packet from two peers, whose owner is unknown: said again once, and forwarded to
// nobody (rows M2 to M4, by the counters that an operator sees).
func TestHeardTwice(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", floodAll).start()
	peers := m.rawPeers("a.test", "y.test", "z.test")
	y, z := peers[0], peers[1]
	p := packetForNobody(t)
	before := m.counters("a.test")
	must(t, y.conn.SendPacket(0, p.Bytes()))
	m.counted("a.test", before, 1, 0, 1, 0, 0)
	must(t, z.conn.SendPacket(0, p.Bytes()))
	m.counted("a.test", before, 2, 1, 1, 0, 0)
	for _, peer := range peers {
		if got := peer.packet(); got.Kind != link.KindPacket || *got.Packet != *p.Bytes() {
			t.Error("a peer did not hear it said again as it was")
		}
	}
}

// In a lab links lose what the configuration says, and count it; what they say of control
// arrives.
func TestLabLoss(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", func(c *Config) { c.Lab.Loss, c.Routing.FloodAll = 1, true }).start()
	y := m.rawPeers("a.test", "y.test")[0]
	before := m.counters("a.test")
	must(t, y.conn.SendPacket(0, packetForNobody(t).Bytes()))
	m.counted("a.test", before, 1, 0, 1, 0, 0)
	m.until("the rebroadcast to be lost", func() error {
		if s := m.status("a.test").Links[0].Stats; s.Lost != 1 || s.Sent[link.KindPacket] != 0 {
			return fmt.Errorf("%d lost, %d sent", s.Lost, s.Sent[link.KindPacket])
		}
		return nil
	})
	if len(y.records("a.test")) == 0 {
		t.Error("no answer")
	}
}

// A packet whose owner is a peer is forwarded to it and said again; one of the node's own
// is said again like any other, and peeled.
func TestHeardForKnownOwner(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", floodAll).start()
	m.add("b.test", floodAll).start()
	m.federate("a.test", "b.test")
	y := m.rawPeers("a.test", "y.test")[0]
	records, now := y.records("a.test"), onion.EpochAt(time.Now())

	b := ownedBy(t, records, "b.test")
	hint, _ := b.HintAt(now)
	p := packetFor(t, b.Key, hint)
	at, bt := m.counters("a.test"), m.counters("b.test")
	must(t, y.conn.SendPacket(0, p.Bytes()))
	m.counted("a.test", at, 2, 1, 1, 1, 0) // heard from y.test, and again from b.test, which says it too
	m.counted("b.test", bt, 2, 1, 1, 0, 1) // heard as a forward, and as what a.test says
	if got := y.packet(); *got.Packet != *p.Bytes() {
		t.Error("y.test did not hear it said again")
	}

	a := ownedBy(t, records, "a.test")
	hint, _ = a.HintAt(now)
	p = packetFor(t, a.Key, hint)
	at, bt = m.counters("a.test"), m.counters("b.test")
	must(t, y.conn.SendPacket(0, p.Bytes()))
	m.counted("a.test", at, 3, 2, 1, 0, 1) // b.test knows the owner too: it says it and forwards it
	m.counted("b.test", bt, 1, 0, 1, 1, 0)
	if got := y.packet(); *got.Packet != *p.Bytes() {
		t.Error("y.test did not hear it said again")
	}
}

func ownedBy(t testing.TB, records []mor.Record, domain string) mor.Record {
	t.Helper()
	for _, r := range records {
		if r.Owner.String() == domain {
			return r
		}
	}
	t.Fatalf("no record of %s among %d", domain, len(records))
	return mor.Record{}
}

// Members are answered, with records that their owners signed; whoever asks on a context
// that it is no member of is not, and strangers have no link to ask on (row M8).
func TestAsk(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	z := m.rawPeers("a.test", "z.test")[0]
	records := z.records("a.test")
	if len(records) != 2 {
		t.Errorf("%d records", len(records))
	}
	b := ownedBy(t, records, "b.test")
	z.say(peerMessage{Ask: &query{contextID(b.ID)}}) // of b.test, and asked at a.test
	z.say(peerMessage{Ask: &query{contextID{9}}})    // of nobody
	z.say(peerMessage{Ask: &query{contextID(z.theirs)}})
	if got := z.control(); got.Answer == nil || mor.ContextID(got.Answer.Context) != z.theirs {
		t.Errorf("the first answer is %+v", got)
	}

	m.add("x.test", nil).start() // has not been countersigned
	_, err := m.tryLink("a.test", "x.test")
	wantErr(t, err, link.ErrRefused)

	conn, err := link.Dial(t.Context(), link.Config{Judge: func(*x509.Certificate) error { return nil }, Dial: dial.Direct()},
		m.nodes["a.test"].running.Link)
	must(t, err)
	defer conn.Close()
	must(t, conn.SendControl([]byte(`{"ask":{"context":[]}}`))) // as a user
	if got, err := conn.Receive(); err == nil {
		t.Errorf("a user was answered %s", got.Control)
	}
}

// A peer that claims the context of somebody else takes nothing away from its owner, who
// is heard as before, also if it comes later.
func TestContextsCannotBeTakenOver(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	b := ownedBy(t, m.rawPeers("a.test", "z.test")[0].records("a.test"), "b.test")
	thief := &rawPeer{mesh: m, conn: m.rawLink("a.test", "z.test")}
	thief.say(peerMessage{Hello: &hello{Contexts: []contextID{contextID(b.ID)}, Cross: m.cross("z.test", "a.test")}})
	m.until("the thief to be heard", func() error {
		if !m.listens("a.test", "z.test", b.ID) {
			return errors.New("not yet")
		}
		return nil
	})
	if !m.listens("a.test", "b.test", b.ID) {
		t.Error("b.test is not heard any more")
	}
	must(t, m.nodes["b.test"].end())
	m.linked("a.test", 1)
	m.nodes["b.test"].start()
	m.linked("a.test", 2)
	m.until("b.test to be heard again", func() error {
		if !m.listens("a.test", "b.test", b.ID) {
			return errors.New("not yet")
		}
		return nil
	})
	thief.conn.Close()
	m.linked("a.test", 1)
	if !m.listens("a.test", "b.test", b.ID) || m.counters("a.test").Listeners != 1 {
		t.Errorf("%d listeners are left", m.counters("a.test").Listeners)
	}
}

// A new link with a peer takes the place of the old one, and no listener is left of that.
func TestNewLinkReplacesOld(t *testing.T) {
	m := newMesh(t, "a.test")
	old := m.rawPeers("a.test", "z.test")[0]
	for i := range 5 {
		p := &rawPeer{mesh: m, conn: m.rawLink("a.test", "z.test"), context: mor.ContextID{2, byte(i)}}
		p.say(peerMessage{Hello: &hello{Contexts: []contextID{contextID(p.context)}, Cross: m.cross("z.test", "a.test")}})
		m.until("the new listener", func() error {
			if !m.listens("a.test", "z.test", p.context) {
				return errors.New("not yet")
			}
			return nil
		})
	}
	if s := m.status("a.test"); len(s.Links) != 1 || s.Contexts[0].Listeners != 1 || s.Contexts[0].Members != 1 {
		t.Errorf("%d links, %d listeners, %d members", len(s.Links), s.Contexts[0].Listeners, s.Contexts[0].Members)
	}
	for {
		if _, err := old.conn.Receive(); err != nil {
			break // it was closed
		}
	}
}

// What a peer may not say ends its link.
func TestMalformedPeers(t *testing.T) {
	m := newMesh(t, "a.test")
	m.rawPeers("a.test", "z.test")
	bad := new([onion.Size]byte)
	bad[0], bad[1] = onion.Version, 99 // a suite that is unknown
	for what, say := range map[string]func(p *rawPeer){
		"no JSON":                         func(p *rawPeer) { must(t, p.conn.SendControl([]byte("hello"))) },
		"two at once":                     func(p *rawPeer) { p.say(peerMessage{News: &news{}, Ask: &query{}}) },
		"nothing":                         func(p *rawPeer) { p.say(peerMessage{}) },
		"unknown field":                   func(p *rawPeer) { must(t, p.conn.SendControl([]byte(`{"news":{},"ann":1}`))) },
		"a second hello":                  func(p *rawPeer) { p.say(peerMessage{Hello: &hello{}}) },
		"a short name":                    func(p *rawPeer) { must(t, p.conn.SendControl([]byte(`{"ask":{"context":"AAAA"}}`))) },
		"unknown suite":                   func(p *rawPeer) { must(t, p.conn.SendPacket(0, bad)) },
		"notices of nothing":              func(p *rawPeer) { must(t, p.conn.SendNotice(link.Notice{}, true)) },
		"a fetch of what is none of ours": func(p *rawPeer) { must(t, p.conn.SendNotice(notice{fetches, 1, onion.ID{}}.marshal(), true)) },
		"a prune with an id": func(p *rawPeer) {
			must(t, p.conn.SendNotice(notice{prunes, 0, onion.ID{Tag: onion.Tag{1}}}.marshal(), true))
		},
		"17 contexts": func(p *rawPeer) { p.say(peerMessage{Hello: &hello{Contexts: make([]contextID, 17)}}) },
	} {
		t.Run(what, func(t *testing.T) {
			p := m.rawPeer("a.test", "z.test")
			say(p)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stop := context.AfterFunc(ctx, func() { p.conn.Close() })
			defer stop()
			for {
				if _, err := p.conn.Receive(); err != nil {
					break
				}
			}
			if ctx.Err() != nil {
				t.Error("the link goes on")
			}
		})
	}
}

// A peel is not repeated after a restart: what was done is on the disk before it shows.
func TestMarksSurviveRestart(t *testing.T) {
	m := newMesh(t, "a.test")
	z := m.rawPeers("a.test", "z.test")[0]
	own := ownedBy(t, z.records("a.test"), "a.test")
	hint, _ := own.HintAt(onion.EpochAt(time.Now()))
	p := packetFor(t, own.Key, hint)
	before := m.counters("a.test")
	must(t, z.conn.SendPacket(0, p.Bytes()))
	m.counted("a.test", before, 1, 0, 1, 0, 1)

	a := m.nodes["a.test"]
	m.until("the mark to be on the disk", func() error { // the counter moves before
		marks, err := a.node.store.Marks(t.Context(), time.Now())
		if err == nil && len(marks) == 0 {
			err = errors.New("it is not")
		}
		return err
	})
	must(t, a.end())
	a.start()
	z = m.rawPeer("a.test", "z.test")
	before = m.counters("a.test")
	must(t, z.conn.SendPacket(0, p.Bytes())) // not seen by this process
	m.counted("a.test", before, 1, 0, 1, 0, 0)
	m.until("the replay to be dropped", func() error {
		if m.counters("a.test").Dropped["replay"] != 1 {
			return fmt.Errorf("dropped %v", m.counters("a.test").Dropped)
		}
		return nil
	})
}
