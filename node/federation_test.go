package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/pki"
)

var testNow = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// found reports whether text holds word as a word of its own.
func found(text, word string) bool {
	inWord := func(b byte) bool {
		return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
	}
	for rest := text; ; {
		i := strings.Index(rest, word)
		if i < 0 {
			return false
		}
		j := i + len(word)
		if (i == 0 || !inWord(rest[i-1])) && (j == len(rest) || !inWord(rest[j])) {
			return true
		}
		rest = rest[i+1:]
	}
}

// impostor stops the node of a domain and starts another one, with other keys, at the same
// key server's address.
func (m *mesh) impostor(domain string) *member {
	m.t.Helper()
	old := m.nodes[domain]
	must(m.t, old.end())
	fake := m.add(domain, func(c *Config) { c.Listen.KeyServer = old.running.KeyServer })
	fake.start()
	return fake
}

// A node that is dead is soon used in no leg: its peers miss it, and the others hear of it.
func TestTheDeadAreForgotten(t *testing.T) {
	t.Parallel()
	domains := []string{"a.test", "b.test", "c.test", "d.test", "e.test"}
	m := newMesh(t, domains...)
	for i, d := range domains {
		for _, step := range []int{1, 4} {
			m.peer(d, domains[(i+step)%len(domains)])
		}
	}
	m.settled(domains...)
	must(t, m.nodes["e.test"].end())
	for _, d := range domains[:4] {
		m.until(d+" to forget the dead", func() error {
			if s := m.status(d); s.Known != 3 {
				return fmt.Errorf("%d contexts of 3 others", s.Known)
			}
			return nil
		})
	}
}

// Five nodes in a ring with chords: each learns the descriptors and contexts of all, also
// of those that it has no link with.
func TestMeshLearnsAll(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test", "e.test"}
	m := newMesh(t, domains...)
	for i, d := range domains {
		for _, step := range []int{1, 4} { // two links each
			m.peer(d, domains[(i+step)%len(domains)])
		}
	}
	m.settled(domains...)
	for _, d := range domains {
		m.linked(d, 2)
		c := m.counters(d)
		if c.Members != 2 || c.Listeners != 2 {
			t.Errorf("%s has %d members and %d listeners", d, c.Members, c.Listeners)
		}
	}
}

// One side alone waits for the other; both together are mutual (row K3).
func TestPeerAdd(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	if p := m.peer("a.test", "b.test"); p.State != "waiting for b.test" || !p.Given || p.Received || p.Linked {
		t.Errorf("one-sided: %+v", p)
	}
	peers, err := m.nodes["b.test"].control.Peers(t.Context())
	must(t, err)
	if len(peers) != 0 {
		t.Errorf("b.test has peers: %+v", peers)
	}
	m.peer("b.test", "a.test")
	for _, d := range []string{"a.test", "b.test"} {
		m.until(d+" to be mutual", func() error {
			peers, err := m.nodes[d].control.Peers(t.Context())
			if err != nil || len(peers) != 1 || peers[0].State != "mutual" || !peers[0].Given || !peers[0].Received || !peers[0].Linked {
				return fmt.Errorf("%+v %v", peers, err)
			}
			return nil
		})
	}
	_, err = m.nodes["a.test"].control.AddPeer(t.Context(), m.nodes["a.test"].domain)
	wantText(t, err, "a.test is this node's own domain")
	_, err = m.nodes["a.test"].control.AddPeer(t.Context(), parse(t, pki.ParseDomain, "nobody.test"))
	wantText(t, err, "no record")
	_, err = m.nodes["a.test"].node.AddPeer(t.Context(), "No Domain")
	wantErr(t, err, ErrInput)
}

// A domain whose key has changed since it was pinned is refused, whether DNS shows the new
// key or only its key server does.
func TestChangedDomainKeyIsRefused(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.peer("a.test", "b.test")
	m.impostor("b.test") // and DNS agrees with it
	a := m.nodes["a.test"]
	_, err := a.control.AddPeer(t.Context(), m.nodes["b.test"].domain)
	wantErr(t, err, ErrKeyChanged)
	wantText(t, err, "b.test")
	_, err = a.node.directory.discover(t.Context(), m.nodes["b.test"].domain)
	if !errorsAs[*pki.KeyChangedError](err) {
		t.Errorf("discover: %v", err)
	}
	err = a.node.peers.add(t.Context(), m.nodes["b.test"].domain)
	if !errorsAs[*pki.KeyChangedError](err) {
		t.Errorf("add: %v", err)
	}
}

// What a peer hands on is refused if it is not under the domain's pin, and, of a domain not
// seen before, if it is not under what DNS says.
func TestHandedOnDescriptors(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	a, b := m.nodes["a.test"].node, m.nodes["b.test"]
	signed, err := b.node.directory.descriptor(t.Context(), b.domain)
	must(t, err)
	take := func() error {
		_, err := a.directory.take(t.Context(), signed)
		return err
	}
	truth, err := m.nodes["c.test"].node.directory.descriptor(t.Context(), m.nodes["c.test"].domain)
	must(t, err)
	_, record, err := Record(b.dir)
	must(t, err)
	record.Fingerprint = truth.CA.Fingerprint()
	must(t, m.dns.Set(b.domain, record))
	if !errorsAs[*pki.KeyChangedError](take()) {
		t.Error("taken against DNS")
	}
	must(t, m.dns.Remove(b.domain))
	wantErr(t, take(), dnstxt.ErrNone)

	record.Fingerprint = signed.CA.Fingerprint()
	must(t, m.dns.Set(b.domain, record))
	a.beliefs.setPin(b.domain, pinned{Pin: pki.Pin{Subject: "b.test", Key: truth.CA.Fingerprint(), Trust: pki.FirstSeen}})
	if !errorsAs[*pki.KeyChangedError](take()) {
		t.Error("taken against the pin")
	}
	if _, known := a.directory.authority(b.domain); known {
		t.Error("known all the same")
	}
}

// A peer that has moved to other addresses is found again.
func TestPeerMoves(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	b := m.nodes["b.test"]
	must(t, b.end())
	m.linked("a.test", 0)
	b.start() // at other ports
	m.linked("a.test", 1)
	m.linked("b.test", 1)
	m.settled("a.test", "b.test")
}

// A countersignature is made anew in time.
func TestCountersignatureIsRenewed(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.peer("a.test", "b.test")
	p, b := m.nodes["a.test"].node.peers, m.nodes["b.test"].domain
	before, _ := p.crossOf(b)
	must(t, p.renew(t.Context(), time.Now()))
	if same, _ := p.crossOf(b); !same.NotAfter().Equal(before.NotAfter()) {
		t.Error("renewed at once")
	}
	must(t, p.renew(t.Context(), before.NotAfter().Add(-pki.CrossLifetime/4)))
	if after, _ := p.crossOf(b); !after.NotAfter().After(before.NotAfter()) {
		t.Error("not renewed")
	}
}
