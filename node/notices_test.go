package node

import (
	"slices"
	"testing"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// heard returns what the node says next that is no control message.
func (p *rawPeer) heard() (packet *[onion.Size]byte, notices []notice) {
	p.mesh.t.Helper()
	m := p.packet()
	for _, raw := range m.Notices {
		n, err := parseNotice(raw)
		must(p.mesh.t, err)
		notices = append(notices, n)
	}
	return m.Packet, notices
}

func (p *rawPeer) tell(n notice) {
	p.mesh.t.Helper()
	must(p.mesh.t, p.conn.SendNotice(n.marshal(), true))
}

// A peer that is late again and again is told so, and from then on of packets only; it is given one that it fetches,
// and the next ones come whole again. What a peer announces and does not send is asked for.
func TestNotices(t *testing.T) {
	m := newMesh(t, "a.test")
	peers := m.rawPeers("a.test", "y.test", "z.test")
	y, z := peers[0], peers[1]
	for range mor.LateCopies {
		p, before := packetForNobody(t), m.counters("a.test")
		must(t, y.conn.SendPacket(0, p.Bytes()))
		if got, _ := z.heard(); got == nil || *got != *p.Bytes() { // and y.test hears nothing: it has it
			t.Fatal("z.test was not sent what y.test said")
		}
		must(t, z.conn.SendPacket(0, p.Bytes()))
		m.counted("a.test", before, 2, 1, 1, 0, 0)
	}
	if _, got := z.heard(); !slices.Equal(got, []notice{{verb: prunes}}) {
		t.Errorf("z.test heard %v", got)
	}

	p := packetForNobody(t)
	must(t, y.conn.SendPacket(0, p.Bytes()))
	if got, news := z.heard(); got != nil || !slices.Equal(news, []notice{{announces, 0, p.ID()}}) {
		t.Errorf("z.test heard %v", news)
	}
	z.tell(notice{fetches, 0, packetForNobody(t).ID()}) // that is nowhere
	z.tell(notice{fetches, 0, p.ID()})
	if got, _ := z.heard(); got == nil || *got != *p.Bytes() {
		t.Error("z.test was not given what it fetched")
	}
	next := packetForNobody(t)
	must(t, y.conn.SendPacket(0, next.Bytes()))
	if got, _ := z.heard(); got == nil || *got != *next.Bytes() {
		t.Error("z.test was not sent the next packet whole")
	}

	p = packetForNobody(t)
	y.tell(notice{prunes, 0, onion.ID{}})
	z.tell(notice{announces, 0, p.ID()})
	z.tell(notice{announces, 7, p.ID()}) // on a context that it has not
	if _, got := z.heard(); !slices.Equal(got, []notice{{fetches, 0, p.ID()}}) {
		t.Errorf("z.test heard %v", got)
	}
	must(t, z.conn.SendPacket(0, p.Bytes()))
	if _, news := y.heard(); !slices.Equal(news, []notice{{announces, 0, p.ID()}}) { // the first that y.test hears at all
		t.Errorf("y.test heard %v", news)
	}
	c := m.counters("a.test")
	if c.Noticed != 1 || c.Asked != 1 || c.Given != 1 || c.Announced != 2 {
		t.Errorf("counted %+v", c)
	}
}

// What is written is read, and nothing else is.
func FuzzNotice(f *testing.F) {
	for _, n := range []notice{{announces, 15, onion.ID{Core: onion.Core{1}}}, {fetches, 0, onion.ID{Tag: onion.Tag{2}}}, {verb: prunes}} {
		raw := n.marshal()
		f.Add(raw[:])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) != link.NoticeSize {
			return
		}
		if n, err := parseNotice(link.Notice(raw)); err == nil && n.marshal() != link.Notice(raw) {
			t.Errorf("%x is %+v", raw, n)
		}
	})
}
