package link

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Somebody on the path alters, repeats, exchanges or leaves out a record: the link ends
// with an error that says so (row V4), and what came before it was received as sent.
func TestTamperedRecords(t *testing.T) {
	flip := func(at int) mangler {
		return func(n int, record []byte) []byte {
			if n == 1 {
				record[(at+len(record))%len(record)] ^= 1
			}
			return record
		}
	}
	var kept []byte
	for _, x := range []struct {
		what  string
		do    mangler
		sound int // packets that arrive
		want  string
	}{
		{"first byte flipped", flip(5), 1, "bad record MAC"},
		{"middle flipped", flip(5 + SlotSize/2), 1, "bad record MAC"},
		{"tag flipped", flip(-1), 1, "bad record MAC"},
		{"content type flipped", flip(0), 1, "bad record MAC"},
		{"length made longer", flip(3), 1, "oversized record"},
		{"repeated", func(n int, record []byte) []byte {
			if n == 1 {
				return slices.Concat(record, record)
			}
			return record
		}, 2, "bad record MAC"},
		{"exchanged", func(n int, record []byte) []byte {
			switch n {
			case 1:
				kept = slices.Clone(record)
				return nil
			case 2:
				return slices.Concat(record, kept)
			}
			return record
		}, 1, "bad record MAC"},
		{"left out", func(n int, record []byte) []byte {
			if n == 1 {
				return nil
			}
			return record
		}, 1, "bad record MAC"},
		{"cut off", func(n int, record []byte) []byte {
			if n == 1 {
				return record[:100]
			}
			return record[:0]
		}, 0, "EOF"},
	} {
		t.Run(x.what, func(t *testing.T) {
			l := listen(t, node(t, "b.test", "a.test"))
			a := connect(t, user("b.test"), newMangler(t, l.Addr().String(), x.do))
			b := accept(t, l)
			for i := range 4 {
				must(t, a.SendPacket(0, packet(i)))
			}
			if x.want == "EOF" {
				must(t, a.Drain(t.Context()))
			}
			for i := range x.sound {
				if m := receive(t, b); *m.Packet != *packet(i) {
					t.Fatalf("packet %d is another", i)
				}
			}
			_, err := b.Receive()
			wantText(t, err, x.want)
			if err := b.SendPacket(0, packet(0)); !errors.Is(err, ErrClosed) {
				t.Errorf("sending afterwards: %v", err)
			}
		})
	}
}

// A mangler is given the nth slot of the dialler as a TLS record, and returns what is passed on.
type mangler func(n int, record []byte) []byte

// newMangler proxies one connection to target, and returns its own address.
func newMangler(t *testing.T, target string, do mangler) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		near, err := ln.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		far, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer far.Close()
		running.Go(func() { pass(near, far, nil) })
		for n := 0; ; {
			record, err := readRecord(near)
			if err == nil && len(record) == recordSize {
				record = do(n, record)
				n++
			}
			if _, werr := far.Write(record); err != nil || werr != nil {
				far.(*net.TCPConn).CloseWrite()
				return
			}
		}
	})
	t.Cleanup(func() { ln.Close(); running.Wait() })
	return ln.Addr().String()
}

// readRecord reads one TLS record, header included.
func readRecord(from io.Reader) ([]byte, error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	record := append(header, make([]byte, int(header[3])<<8|int(header[4]))...)
	_, err := io.ReadFull(from, record[5:])
	return record, err
}

// A handshake that comes byte by byte has no more time than any other.
func TestSlowHandshake(t *testing.T) {
	config := node(t, "a.test", "b.test")
	config.HandshakeTimeout = 300 * time.Millisecond
	l := listen(t, config)
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	begun := time.Now()
	for {
		// A header of a handshake record, and then one byte of it after the other.
		_, err := conn.Write([]byte{22})
		if err != nil {
			break
		}
		must(t, conn.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("it goes on and on")
		}
	}
}

// The first flight of a handshake may be no longer than crypto/tls takes: an endless one is
// cut off, and costs no more memory than that.
func TestEndlessHandshake(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(DefaultHandshakeTimeout/2)))
	record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 1<<14)...)
	copy(record[5:], []byte{1, 0xff, 0xff, 0xff}) // a ClientHello of 16 MiB
	sent := 0
	for ; sent < 1<<24; sent += len(record) {
		if _, err = conn.Write(record); err != nil {
			break
		}
	}
	if err == nil {
		_, err = io.ReadAll(conn)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes were taken", sent)
	}
}

// A peer that begins many long control messages and ends none keeps one of them, up to
// MaxControl, and no more memory than has arrived.
func TestUnfinishedControl(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	bad, err := stranger(t, l.Addr().String(), func(c *tls.Config) { c.ServerName = "" })
	must(t, err)
	c := accept(t, l)
	fragment := append([]byte{0x30, 0, fragmentSize >> 8, fragmentSize & 0xff}, make([]byte, fragmentSize)...)
	go func() {
		for range MaxControl / fragmentSize {
			if _, err := bad.Write(fragment); err != nil {
				return
			}
		}
		bad.Write(append([]byte{0x10}, make([]byte, SlotSize-1)...)) // packets come through meanwhile
	}()
	if m := receive(t, c); m.Kind != KindPacket {
		t.Errorf("received %v", m.Kind)
	}
	if n := cap(c.in.partial); n > 2*MaxControl {
		t.Errorf("%d bytes are kept", n)
	}
}
