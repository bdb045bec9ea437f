package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// A forge makes packets as a hostile relay can: a member of a.test's context, who knows its
// key and hint, and the public key of its server.
type forge struct {
	t      testing.TB
	hop    onion.OuterHop // the context of a.test
	record mor.Record     // and what says so
	server onion.ServerKey
	box    onion.Mailbox
}

// inner is an inner packet for a mailbox at a.test that expires after a time; n of its
// bytes are flipped.
func (f forge) inner(life time.Duration, flip ...int) onion.Inner {
	f.t.Helper()
	letter := letterTo(f.t, f.box, nil)
	in, err := onion.BuildInner(rand.Reader, []onion.InnerHop{{Key: f.server}}, f.box, time.Now().Add(life), letter.Payload)
	must(f.t, err)
	raw := bytes.Clone(in.Bytes()[:])
	for _, at := range flip {
		raw[at] ^= 1
	}
	in, err = onion.ParseInner(raw)
	must(f.t, err)
	return in
}

// wrap brings in to a.test; n of the packet's bytes are flipped.
func (f forge) wrap(epoch onion.Epoch, hop onion.OuterHop, in onion.Inner, flip ...int) onion.Packet {
	f.t.Helper()
	p, err := onion.Wrap(rand.Reader, epoch, []onion.OuterHop{hop}, onion.OuterEnd{Server: f.server.ID(), Budget: 3}, in)
	must(f.t, err)
	raw := bytes.Clone(p.Bytes()[:])
	for _, at := range flip {
		raw[at] ^= 1
	}
	p, err = onion.Parse(raw)
	must(f.t, err)
	return p
}

// A hostile relay flips a bit in a layer, or hands in what is expired, of another epoch,
// for another key, or a copy: the packet is dropped where that shows, in silence, and a
// counter says why (rows V1, V4). Who sent it hears no more than of any packet: that it is
// said again. What is sound arrives.
func TestTamperedPackets(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", floodAll).start()
	z := m.rawPeers("a.test", "z.test")[0]
	f, ann := m.forge(z)
	now := onion.EpochAt(time.Now())
	other, err := onion.NewContextKey(rand.Reader)
	must(t, err)
	const (
		stack = 4 + 16 // before the outer stack
		body  = 4800   // before the body of an inner packet
		day   = 24 * time.Hour
	)
	sound := f.inner(day)
	first := f.wrap(now, f.hop, sound)
	for _, x := range []struct {
		what    string
		packet  onion.Packet
		again   uint64 // said again
		peeled  uint64
		dropped string // the counter; "" if it is passed by
	}{
		{"sound", first, 1, 1, "no-route"},    // it arrives; the receipt has no way
		{"sound, and again", first, 0, 0, ""}, // a duplicate
		{"the same inner packet in a new one", f.wrap(now, f.hop, sound), 1, 1, "replay"},
		{"tag flipped", f.wrap(now, f.hop, f.inner(day), 4), 1, 0, ""}, // nobody's
		{"share flipped", f.wrap(now, f.hop, f.inner(day), stack), 1, 0, ""},
		{"end flipped", f.wrap(now, f.hop, f.inner(day), onion.Size-1), 1, 0, ""},
		{"outer layer for another key", f.wrap(now, onion.OuterHop{Key: other.Public(), Hint: f.hop.Hint}, f.inner(day)), 1, 0, "auth"},
		{"inner share flipped", f.wrap(now, f.hop, f.inner(day, 0)), 1, 1, "auth"},
		{"inner header flipped", f.wrap(now, f.hop, f.inner(day, body-1)), 1, 1, "auth"},
		{"body flipped", f.wrap(now, f.hop, f.inner(day, body)), 1, 1, "auth"},
		{"end of the body flipped", f.wrap(now, f.hop, f.inner(day, onion.InnerSize-1)), 1, 1, "auth"},
		{"expired", f.wrap(now, f.hop, f.inner(-time.Hour)), 1, 1, "expired"},
		{"expires too late", f.wrap(now, f.hop, f.inner(30*day)), 1, 1, "expired"},
		{"of an old epoch", f.wrap(now-3, f.hop, f.inner(day)), 0, 0, "epoch"},
		{"of a coming epoch", f.wrap(now+3, f.hop, f.inner(day)), 0, 0, "epoch"},
	} {
		before := m.counters("a.test")
		must(t, z.conn.SendPacket(0, x.packet.Bytes()))
		want := maps.Clone(before.Dropped)
		if x.dropped != "" {
			want[x.dropped]++
		}
		m.until(x.what, func() error {
			now := m.counters("a.test")
			if now.Heard != before.Heard+1 || now.Rebroadcast != before.Rebroadcast+x.again ||
				now.Peeled != before.Peeled+x.peeled || !maps.Equal(now.Dropped, want) {
				return fmt.Errorf("from %+v to %+v", before, now)
			}
			return nil
		})
		if x.again == 1 {
			if got := z.packet(); *got.Packet != *x.packet.Bytes() {
				t.Errorf("%s: said again otherwise", x.what)
			}
		}
	}
	if items := ann.items(); len(items) != 1 {
		t.Errorf("%d letters arrived", len(items))
	}
}

// forge looks as z does at a.test, where ann has a mailbox for contacts.
func (m *mesh) forge(z *rawPeer) (forge, *user) {
	t := m.t
	t.Helper()
	record := ownedBy(t, z.records("a.test"), "a.test")
	hint, _ := record.HintAt(onion.EpochAt(time.Now()))
	servers, err := m.nodes["a.test"].node.keys.servers(time.Now())
	must(t, err)
	ann := m.user("ann@a.test")
	f := forge{t: t, hop: onion.OuterHop{Key: record.Key, Hint: hint}, record: record, server: current(t, servers), box: onion.Mailbox{7}}
	until := uint32(mor.DayAt(time.Now())) + 7
	must(t, ann.client.Claim(t.Context(), []session.Mailbox{{Address: f.box, Kind: session.Contact, Until: until}}))
	return f, ann
}

func current(t testing.TB, servers []mor.ServerKey) onion.ServerKey {
	t.Helper()
	for _, s := range servers {
		if s.Period.Start().Before(time.Now()) && time.Now().Before((s.Period + 1).Start()) {
			return s.Private.Public()
		}
	}
	t.Fatal("no server key of now")
	return onion.ServerKey{}
}

// Before its hello a peer cannot be placed: what it says is not heard, and nothing comes of it.
func TestPacketsBeforeTheHello(t *testing.T) {
	m := newMesh(t, "a.test")
	m.rawPeers("a.test", "z.test")
	early := &rawPeer{mesh: m, conn: m.rawLink("a.test", "z.test"), context: mor.ContextID{9}}
	theirs := early.control() // the node's hello
	before := m.counters("a.test")
	for range 10 {
		must(t, early.conn.SendPacket(0, packetForNobody(t).Bytes()))
		must(t, early.conn.Forward(15, packetForNobody(t).Bytes()))
	}
	for early.conn.Stats().Queued > 0 {
		m.counters("a.test") // as good as any way to pass time
	}
	early.say(peerMessage{Hello: &hello{Contexts: []contextID{contextID(early.context)}, Cross: m.cross("z.test", "a.test")}})
	m.until("the listener", func() error {
		if !m.listens("a.test", "z.test", early.context) {
			return errors.New("not yet")
		}
		return nil
	})
	must(t, early.conn.SendPacket(0, packetForNobody(t).Bytes()))
	must(t, early.conn.SendPacket(1, packetForNobody(t).Bytes())) // a channel that the hello has not
	must(t, early.conn.SendPacket(0, packetForNobody(t).Bytes()))
	m.counted("a.test", before, 2, 0, 2, 0, 0)
	if theirs.Hello == nil {
		t.Error("the node did not say hello first")
	}
}

// Bits flipped on a link end it, with an error that says so; the other links go on, and the
// peer may come again (rows V1, V4).
func TestTamperedLink(t *testing.T) {
	m := newMesh(t, "a.test")
	y := m.rawPeers("a.test", "y.test", "z.test")[0]
	a := m.nodes["a.test"]
	direct := a.running.Link
	wire := newWire(t, direct)
	a.running.Link = wire.address
	z := m.rawPeer("a.test", "z.test")
	must(t, z.conn.SendPacket(0, packetForNobody(t).Bytes()))
	y.packet()

	before := m.counters("a.test")
	wire.flip.Store(true)
	must(t, z.conn.SendPacket(0, packetForNobody(t).Bytes()))
	m.until("the link to end", func() error {
		for line := range strings.Lines(m.log.String()) {
			if strings.Contains(line, "link ended") && strings.Contains(line, "peer=z.test") && strings.Contains(line, "tls: bad record MAC") {
				return nil
			}
		}
		return errors.New("no line says so")
	})
	m.counted("a.test", before, 0, 0, 0, 0, 0)

	a.running.Link = direct
	z = m.rawPeer("a.test", "z.test")
	must(t, z.conn.SendPacket(0, packetForNobody(t).Bytes()))
	m.counted("a.test", before, 1, 0, 1, 0, 0)
	y.packet()
}

// A wire passes on what comes in both directions, and flips a bit of the dialler's next
// bytes when it is told to.
type wire struct {
	address string
	flip    atomic.Bool
}

func newWire(t testing.TB, target string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{address: listener.Addr().String()}
	var passing sync.WaitGroup
	passing.Go(func() {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		far, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer far.Close()
		passing.Go(func() { _, _ = io.Copy(near, far); near.Close() })
		w.pass(far, near)
	})
	t.Cleanup(func() { listener.Close(); passing.Wait() })
	return w
}

func (w *wire) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && w.flip.CompareAndSwap(true, false) {
			buffer[n-1] ^= 1
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}
