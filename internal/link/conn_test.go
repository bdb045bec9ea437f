package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacketsAndForwardsArriveAsSent(t *testing.T) {
	a, b := pair(t, node(t, "a.test", "b.test"), node(t, "b.test", "a.test"))
	for _, way := range [][2]*Conn{{a, b}, {b, a}} {
		sent, heard := way[0], way[1]
		for channel := range uint8(MaxChannel + 1) {
			must(t, sent.SendPacket(channel, packet(int(channel))))
			must(t, sent.Forward(channel, packet(100+int(channel))))
		}
		for channel := range uint8(MaxChannel + 1) {
			for _, want := range []Message{
				{Kind: KindPacket, Channel: channel, Packet: packet(int(channel))},
				{Kind: KindForward, Channel: channel, Packet: packet(100 + int(channel))},
			} {
				got := receive(t, heard)
				if got.Kind != want.Kind || got.Channel != want.Channel || *got.Packet != *want.Packet || got.Control != nil {
					t.Fatalf("got %v on %d", got.Kind, got.Channel)
				}
			}
		}
	}
	all := [kindCount]uint64{0, 16, 16, 0}
	if got := b.Stats().Received; got != all {
		t.Errorf("received %v", got)
	}
	// A slot counts as sent when its write has returned, and a may have it before that.
	eventually(t, "all to be counted", func() bool { return b.Stats().Sent == all })
}

// One packet may be queued on many links: nothing on the way writes to it.
func TestPacketIsOnlyRead(t *testing.T) {
	a, b := pair(t, user("b.test"), node(t, "b.test", "a.test"))
	p := packet(1)
	must(t, a.SendPacket(1, p))
	must(t, a.Forward(2, p))
	receive(t, b)
	receive(t, b)
	if *p != *packet(1) {
		t.Error("the packet was changed")
	}
}

func TestControlMessages(t *testing.T) {
	a, b := pair(t, user("b.test"), node(t, "b.test", "a.test"))
	for _, n := range []int{1, fragmentSize, fragmentSize + 1, MaxControl} {
		message := bytes.Repeat([]byte("control"), n/7+1)[:n]
		must(t, a.SendControl(message))
		clear(message) // it was copied
		got := receive(t, b)
		if got.Kind != KindControl || !bytes.Equal(got.Control, bytes.Repeat([]byte("control"), n/7+1)[:n]) {
			t.Fatalf("%d bytes arrived as %d", n, len(got.Control))
		}
	}
	for _, n := range []int{0, MaxControl + 1} {
		if err := a.SendControl(make([]byte, n)); !errors.Is(err, ErrControl) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	a, _ := pair(t, user("b.test"), node(t, "b.test", "a.test"))
	wantText(t, a.SendPacket(MaxChannel+1, packet(1)), "channel 16")
	wantText(t, a.Forward(0, new([SlotSize]byte)), "version 0")
}

// What a hostile peer may write after a handshake in good order, and how the link ends.
func TestHostilePeer(t *testing.T) {
	slot := func(first ...byte) []byte { return append(first, make([]byte, SlotSize-len(first))...) }
	overlong := bytes.Repeat(append([]byte{0x30, 0, fragmentSize >> 8, fragmentSize & 0xff}, make([]byte, fragmentSize)...), MaxControl/fragmentSize+1)
	tests := []struct {
		name  string
		write []byte
		want  error
	}{
		{"unknown kind", slot(0x40), ErrSlot},
		{"highest kind", slot(0xff), ErrSlot},
		{"dummy with a channel", slot(0x01), ErrSlot},
		{"control with a channel", slot(0x31), ErrSlot},
		{"malformed fragment", slot(0x30, 1, 0xff, 0xff), ErrControl},
		{"overlong control message", overlong, ErrControl},
		{"short record", make([]byte, 100), ErrSlot},
		{"record one byte short", make([]byte, SlotSize-1), ErrSlot},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := listen(t, node(t, "a.test", "b.test"))
			bad, err := stranger(t, l.Addr().String(), nil)
			must(t, err)
			c := accept(t, l)
			go bad.Write(test.write)
			if _, err := c.Receive(); !errors.Is(err, test.want) {
				t.Fatalf("received %v, want %v", err, test.want)
			}
			if err := c.SendPacket(0, packet(0)); !errors.Is(err, ErrClosed) || !errors.Is(err, test.want) {
				t.Errorf("sending afterwards: %v", err)
			}
			if _, err := bad.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the peer's side is still open: %v", err)
			}
		})
	}
}

func TestDummiesAreCountedAndDropped(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	peer, err := stranger(t, l.Addr().String(), nil)
	must(t, err)
	c := accept(t, l)
	for _, first := range []byte{0x00, 0x00, 0x00, 0x1a} {
		_, err := peer.Write(append([]byte{first}, bytes.Repeat([]byte{7}, SlotSize-1)...))
		must(t, err)
	}
	if m := receive(t, c); m.Kind != KindPacket || m.Channel != 10 || m.Packet[0] != 1 || m.Packet[1] != 7 {
		t.Errorf("received %v on %d", m.Kind, m.Channel)
	}
	if got := c.Stats().Received; got != [kindCount]uint64{3, 1, 0, 0} {
		t.Errorf("received %v", got)
	}
}

// A peer that never reads: the queue fills, the newest is refused, and in the end the link is closed.
func TestStuckPeer(t *testing.T) {
	dialler, listener := user("b.test"), node(t, "b.test", "a.test")
	dialler.Queue = 4
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipePair(t, dialler, listener)
		start := time.Now()
		must(t, a.SendPacket(0, packet(0)))
		synctest.Wait() // the writer holds one slot and is stuck with it
		for i := range 4 {
			must(t, a.SendPacket(0, packet(i)))
		}
		if err := a.SendPacket(0, packet(9)); !errors.Is(err, ErrFull) {
			t.Fatalf("beyond the queue: %v", err)
		}
		must(t, a.SendControl([]byte("control has its own room")))
		if s := a.Stats(); s.Full != 1 || s.Queued != 5 {
			t.Errorf("stats %+v", s)
		}
		_, err := a.Receive() // until the deadline closes the link
		if !errors.Is(err, ErrStuck) || !errors.Is(err, ErrClosed) || time.Since(start) != WriteTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := a.SendControl([]byte("more")); !errors.Is(err, ErrStuck) {
			t.Errorf("sending afterwards: %v", err)
		}
		if err := a.Drain(t.Context()); !errors.Is(err, ErrStuck) {
			t.Errorf("draining afterwards: %v", err)
		}
	})
}

// Each packet that is not lost arrives exactly Delay later, in order, and which ones are lost follows from the seed.
func TestFaults(t *testing.T) {
	const seed, loss, n = 7, 0.3, 100
	dialler, listener := user("b.test"), node(t, "b.test", "a.test")
	dialler.Faults = &Faults{Loss: loss, Delay: 250 * time.Millisecond, Rand: rand.New(rand.NewPCG(seed, 0))}
	draw := rand.New(rand.NewPCG(seed, 0))
	var want []int
	for i := range n {
		if draw.Float64() >= loss {
			want = append(want, i)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := pipePair(t, dialler, listener)
		start := time.Now()
		for i := range n {
			must(t, a.SendPacket(0, packet(i)))
		}
		must(t, a.SendControl([]byte("not delayed")))
		if m := receive(t, b); m.Kind != KindControl || time.Since(start) != 0 {
			t.Errorf("%v after %v", m.Kind, time.Since(start))
		}
		for _, i := range want {
			if m := receive(t, b); *m.Packet != *packet(i) || time.Since(start) != 250*time.Millisecond {
				t.Fatalf("%q after %v, want packet %d", m.Packet[1:11], time.Since(start), i)
			}
		}
		if got := a.Stats().Lost; got != uint64(n-len(want)) {
			t.Errorf("%d lost, want %d", got, n-len(want))
		}
	})
}

func TestFaultsOnControl(t *testing.T) {
	dialler, listener := user("b.test"), node(t, "b.test", "a.test")
	dialler.Faults = &Faults{Delay: time.Second, Control: true}
	synctest.Test(t, func(t *testing.T) {
		a, b := pipePair(t, dialler, listener)
		start := time.Now()
		must(t, a.SendControl(make([]byte, 3*fragmentSize)))
		receive(t, b)
		if time.Since(start) != time.Second {
			t.Errorf("after %v", time.Since(start))
		}
		a.faults.Loss, a.faults.Rand = 1, rand.New(rand.NewPCG(1, 1))
		must(t, a.SendControl([]byte("gone")))
		if s := a.Stats(); s.Lost != 1 || s.Queued != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestDrainDeliversAllThenEnds(t *testing.T) {
	a, b := pair(t, node(t, "a.test", "b.test"), node(t, "b.test", "a.test"))
	const n = 200
	for i := range n {
		must(t, a.SendPacket(0, packet(i)))
		must(t, b.SendPacket(0, packet(i)))
	}
	var wg sync.WaitGroup
	for _, c := range []*Conn{a, b} {
		wg.Go(func() {
			if err := c.Drain(context.Background()); err != nil {
				t.Errorf("draining: %v", err)
			}
			if err := c.SendPacket(0, packet(0)); !errors.Is(err, ErrClosed) {
				t.Errorf("sending on a drained link: %v", err)
			}
		})
		wg.Go(func() {
			for i := range n {
				if m, err := c.Receive(); err != nil || *m.Packet != *packet(i) {
					t.Errorf("packet %d: %v", i, err)
					return
				}
			}
			if _, err := c.Receive(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestDrainEndsWithItsContext(t *testing.T) {
	dialler, listener := user("b.test"), node(t, "b.test", "a.test")
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipePair(t, dialler, listener)
		must(t, a.SendPacket(0, packet(0)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestCloseEndsBothSides(t *testing.T) {
	a, b := pair(t, node(t, "a.test", "b.test"), node(t, "b.test", "a.test"))
	received := make(chan error)
	go func() {
		_, err := a.Receive()
		received <- err
	}()
	must(t, a.Close())
	must(t, a.Close())
	if err := <-received; !errors.Is(err, ErrClosed) {
		t.Errorf("own side: %v", err)
	}
	if err := a.SendPacket(0, packet(0)); !errors.Is(err, ErrClosed) {
		t.Errorf("sending: %v", err)
	}
	if _, err := b.Receive(); err == nil {
		t.Error("other side goes on")
	}
}

// A key encrypts no more than it may; then the link ends.
func TestKeyIsSpent(t *testing.T) {
	a, b := pair(t, user("b.test"), node(t, "b.test", "a.test"))
	a.maxSlots = 2
	for i := range 3 {
		must(t, a.SendPacket(0, packet(i)))
	}
	receive(t, b)
	receive(t, b)
	if _, err := a.Receive(); !errors.Is(err, ErrSpent) {
		t.Error(err)
	}
	if m, err := b.Receive(); err == nil {
		t.Errorf("a third slot: %v", m.Kind)
	}
}

// Many goroutines may send on one link: nothing is lost, doubled or torn. For the race detector.
func TestSendersSideBySide(t *testing.T) {
	dialler := node(t, "a.test", "b.test")
	dialler.Queue = 1000
	a, b := pair(t, dialler, node(t, "b.test", "a.test"))
	const senders, each = 4, 50
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for range each {
				if err := a.SendPacket(uint8(s), packet(s)); err != nil {
					t.Error(err)
				}
				if err := a.SendControl(bytes.Repeat([]byte{byte(s)}, 20_000)); err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				a.Stats()
			}
		})
	}
	for got := 0; got < senders*each; {
		m := receive(t, b)
		if m.Kind == KindPacket {
			got++
			if *m.Packet != *packet(int(m.Channel)) {
				t.Fatal("torn packet")
			}
		} else if len(m.Control) != 20_000 || bytes.Count(m.Control, m.Control[:1]) != 20_000 {
			t.Fatal("torn control message")
		}
	}
	wg.Wait()
}

// Every record after the handshake has one size, in both directions, while both sides send all that they can and end the
// link, by Drain or by Close. In TLS 1.3 what is before the first slot is the handshake: the hellos and the
// change_cipher_spec of compatibility mode in clear, then the encrypted messages: EncryptedExtensions,
// CertificateRequest, Certificate, CertificateVerify, Finished of the listener; Certificate, CertificateVerify (not of a
// user), Finished of the dialler.
func TestOneRecordSize(t *testing.T) {
	tests := []struct {
		name      string
		dialler   Config
		encrypted int // handshake records of the dialler
	}{
		{"node", node(t, "a.test", "b.test"), 3},
		{"user", user("b.test"), 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := listen(t, node(t, "b.test", "a.test"))
			p := newTap(t, l.Addr().String(), nil)
			a := connect(t, test.dialler, p.address)
			b := accept(t, l)
			for _, way := range [][2]*Conn{{a, b}, {b, a}} {
				must(t, way[0].SendPacket(1, packet(1)))
				must(t, way[0].Forward(2, packet(2)))
				must(t, way[0].SendControl([]byte("short")))
				must(t, way[0].SendControl(make([]byte, 5*fragmentSize)))
				for range 4 {
					receive(t, way[1])
				}
			}
			must(t, a.Drain(context.Background()))
			if _, err := b.Receive(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
			b.Close()
			<-p.done
			checkRecords(t, "dialler", p.up, test.encrypted, 8)
			checkRecords(t, "listener", p.down, 5, 1+8) // the greeting
		})
	}
}

// checkRecords wants a hello, a change_cipher_spec, the encrypted rest of the handshake, and then slots only.
func checkRecords(t *testing.T, who string, stream []byte, encrypted, slots int) {
	t.Helper()
	const changeCipherSpec, handshake, applicationData = 20, 22, 23
	types, lengths := records(t, stream)
	want := append([]byte{handshake, changeCipherSpec}, bytes.Repeat([]byte{applicationData}, encrypted+slots)...)
	if !bytes.Equal(types, want) {
		t.Fatalf("%s: record types %v, want %v", who, types, want)
	}
	for i, n := range lengths {
		if isSlot := i >= 2+encrypted; isSlot != (n == recordSize-5) {
			t.Errorf("%s: record %d of %d has %d bytes", who, i, len(lengths), n)
		}
	}
}

// Somebody on the path who alters a record learns nothing from the answer: the TLS alert is held back.
func TestNoAlertAfterTampering(t *testing.T) {
	l := listen(t, node(t, "b.test", "a.test"))
	altered := false
	p := newTap(t, l.Addr().String(), func(soFar int, b []byte) {
		if soFar+len(b) > recordSize && !altered { // the handshake is smaller than a slot
			b[len(b)-1] ^= 1
			altered = true
		}
	})
	a := connect(t, user("b.test"), p.address)
	b := accept(t, l)
	must(t, a.SendPacket(0, packet(0)))
	if _, err := b.Receive(); err == nil {
		t.Fatal("an altered record was accepted")
	}
	a.Close()
	<-p.done
	checkRecords(t, "listener", p.down, 5, 1)
}

// The gate holds back whatever crypto/tls may want to say beside slots.
func TestGate(t *testing.T) {
	l := listen(t, node(t, "b.test", "a.test"))
	p := newTap(t, l.Addr().String(), nil)
	a := connect(t, user("b.test"), p.address)
	b := accept(t, l)
	must(t, a.SendPacket(0, packet(0)))
	receive(t, b)
	if err := a.tls.CloseWrite(); !errors.Is(err, errOddRecord) {
		t.Errorf("close_notify: %v", err)
	}
	a.Close()
	b.Close()
	<-p.done
	checkRecords(t, "dialler", p.up, 2, 1)
}

// No session ticket follows the handshake, even to a client that would like one.
func TestNoSessionTicket(t *testing.T) {
	l := listen(t, node(t, "b.test", "a.test"))
	p := newTap(t, l.Addr().String(), nil)
	peer, err := stranger(t, p.address, func(c *tls.Config) {
		c.ServerName, c.ClientSessionCache = "b.test", tls.NewLRUClientSessionCache(1)
	})
	must(t, err)
	b := accept(t, l)
	must(t, b.SendPacket(0, packet(0)))
	_, err = io.ReadFull(peer, make([]byte, SlotSize))
	must(t, err)
	b.Close()
	peer.NetConn().Close()
	<-p.done
	checkRecords(t, "listener", p.down, 5, 2)
}
