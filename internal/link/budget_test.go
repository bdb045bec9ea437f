package link

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// unfinished is a slot with a full fragment that is not the last of its message.
func unfinished() []byte {
	return append([]byte{0x30, 0, fragmentSize >> 8, fragmentSize & 0xff}, make([]byte, fragmentSize)...)
}

// heap is how many bytes this process holds, after a collection.
func heap(t *testing.T, when string) uint64 {
	t.Helper()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	t.Logf("%s: %d goroutines, %.1f MiB", when, runtime.NumGoroutine(), float64(s.HeapInuse+s.StackInuse)/(1<<20))
	return s.HeapInuse + s.StackInuse
}

// eventually polls until it is true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *Budget) now() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Hundreds of users each begin a control message of 1 MiB and do not end it. Together they hold no more than the budget of
// users: who has been at it for the longest goes. A user who ends hers is heard, and so is a node.
func TestUnfinishedControlOfMany(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	users := l.config.UserBudget
	peer := connect(t, node(t, "b.test", "a.test"), l.Addr().String())
	fromPeer := accept(t, l)
	before := heap(t, "before")

	const (
		most = MaxControl / fragmentSize * fragmentSize // of full fragments
		room = DefaultBudget / most
		many = room + room/2
	)
	ended := make(chan error, many)
	message := bytes.Repeat(unfinished(), most/fragmentSize)
	for i := range many {
		bad, err := stranger(t, l.Addr().String(), nil)
		must(t, err)
		c := accept(t, l)
		go func() {
			_, err := c.Receive()
			ended <- err
		}()
		_, err = bad.Write(message)
		must(t, err)
		eventually(t, "it to arrive", func() bool { return int(c.Stats().Received[KindControl]) == most/fragmentSize })
		if n := users.now(); n != min(i+1, room)*most {
			t.Fatalf("%d users hold %d bytes", i+1, n)
		}
	}
	for range many - room {
		if err := <-ended; !errors.Is(err, ErrClosed) || !errors.Is(err, errCrowded) {
			t.Fatal(err)
		}
	}
	if n := l.Stats().Crowded; n != many-room {
		t.Errorf("%d had to go", n)
	}
	if height := heap(t, fmt.Sprint(many, " unfinished messages of 1 MiB")); height > before+DefaultBudget*3/2 {
		t.Errorf("%d bytes", height)
	}

	ann := connect(t, user("a.test"), l.Addr().String())
	fromAnn := accept(t, l)
	for _, x := range []struct{ by, at *Conn }{{ann, fromAnn}, {peer, fromPeer}} {
		must(t, x.by.SendControl(make([]byte, MaxControl)))
		if m := receive(t, x.at); len(m.Control) != MaxControl {
			t.Errorf("%d bytes arrived", len(m.Control))
		}
	}
	l.Close()
}

// Users ask and do not read: what waits for them together is no more than the budget. Who reads, however slowly, is not
// the one to go.
func TestUnreadControlOfMany(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	ann := connect(t, user("a.test"), l.Addr().String())
	toAnn := accept(t, l)
	before := heap(t, "before")
	answer, refused := make([]byte, MaxControl), 0
	const many = DefaultBudget / MaxControl
	for range many {
		c := deaf(t, l)
		for c.SendControl(answer) == nil { // until its queue is full, or it had to go
		}
		must(t, toAnn.SendControl(answer[:100_000]))
		if m := receive(t, ann); len(m.Control) != 100_000 {
			t.Errorf("%d bytes arrived", len(m.Control))
		}
		if n := l.config.UserBudget.now(); n > DefaultBudget {
			t.Fatalf("%d bytes are held", n)
		}
		if c.queue.end() != nil {
			refused++
		}
	}
	if n := l.Stats().Crowded; n < many/4 || refused == many {
		t.Errorf("%d had to go, %d of them at once", n, refused)
	}
	if height := heap(t, fmt.Sprint(many, " users who do not read")); height > before+DefaultBudget*3/2 {
		t.Errorf("%d bytes", height)
	}
}

// deaf links a user who reads nothing after the greeting. Between her and l is no system that would keep bytes for her.
func deaf(t *testing.T, l *Listener) *Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	go func() {
		conn := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ALPN}})
		io.ReadFull(conn, make([]byte, SlotSize))
	}()
	c, err := listenSide(t.Context(), l.config, far, l.admit)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// What a budget says of who has to go: who has finished nothing for the longest, and nobody else.
func TestBudget(t *testing.T) {
	b := NewBudget(10)
	share := func() *share { return b.shareOf(&Conn{queue: newQueue(1), raw: &gate{Conn: noConn{}}}) }
	first, second, third := share(), share(), share()
	for _, s := range []*share0{{first, 4}, {second, 3}, {third, 3}} {
		if !s.of.grow(s.n) {
			t.Fatal("within the budget")
		}
	}
	first.finish(1) // and is the last now
	if !third.grow(2) || !second.gone || first.gone || b.now() != 3+5 {
		t.Errorf("the second had to go: %d bytes, %d gone", b.now(), b.Ended())
	}
	first.shrink(1) // makes nobody newer
	if third.finish(5); third.place != nil || b.now() != 2 {
		t.Errorf("%d bytes", b.now())
	}
	if first.grow(9) || !first.gone || b.now() != 0 || first.grow(1) {
		t.Errorf("more than all: %d bytes", b.now())
	}
	second.end()
	second.finish(7)
	if b.now() != 0 || b.line.Len() != 0 || b.Ended() != 2 {
		t.Errorf("%d bytes, %d in the line, %d gone", b.now(), b.line.Len(), b.Ended())
	}
}

type share0 struct {
	of *share
	n  int
}

type noConn struct{ net.Conn }

func (noConn) Close() error { return nil }
