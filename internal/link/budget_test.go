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

// inUse is how many bytes this process holds, after a collection.
func inUse(t *testing.T, when string) uint64 {
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
	before := inUse(t, "before")

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
	if height := inUse(t, fmt.Sprint(many, " unfinished messages of 1 MiB")); height > before+DefaultBudget*3/2 {
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

// Users ask and do not read: what waits for them together is no more than the budget. Who takes her own is not the one
// to go.
func TestUnreadControlOfMany(t *testing.T) {
	l := listen(t, node(t, "a.test", "b.test"))
	ann := connect(t, user("a.test"), l.Addr().String())
	toAnn := accept(t, l)
	before := inUse(t, "before")
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
	if height := inUse(t, fmt.Sprint(many, " users who do not read")); height > before+DefaultBudget*3/2 {
		t.Errorf("%d bytes", height)
	}
}

// Users have answers of one slot queued, and take one now and then: who does that is as old as the next that waits for her,
// and not the one to stay when somebody else is slow over an answer of 1 MiB.
func TestSlowlyReadControl(t *testing.T) {
	c := node(t, "a.test", "b.test")
	c.UserBudget = NewBudget(4 << 20)
	l := listen(t, c)
	const slow, answers = 2, 90
	var bad [slow]*Conn
	var readers [slow]io.Reader
	slot := make([]byte, SlotSize)
	for i := range bad {
		bad[i], readers[i] = slowly(t, l)
		for range answers {
			must(t, bad[i].SendControl(slot[:fragmentSize]))
		}
	}
	toAnn, ann := slowly(t, l)
	must(t, toAnn.SendControl(make([]byte, MaxControl)))
	for range 3 {
		for i, r := range readers { // each ends some, and asks for as many more
			sent := bad[i].Stats().Sent[KindControl]
			_, err := io.ReadFull(r, slot)
			must(t, err)
			eventually(t, "a slot to go", func() bool { return bad[i].Stats().Sent[KindControl] > sent })
			must(t, bad[i].SendControl(slot[:fragmentSize]))
		}
	}
	other, _ := slowly(t, l)
	must(t, other.SendControl(make([]byte, MaxControl))) // the budget is full
	if ended := bad[0].queue.end(); !errors.Is(ended, errCrowded) || bad[1].queue.end() != nil {
		t.Errorf("whose oldest answer is the oldest: %v; who came after: %v", ended, bad[1].queue.end())
	}
	for range fragmentCount(MaxControl) {
		_, err := io.ReadFull(ann, slot)
		must(t, err)
	}
	eventually(t, "her answer to go", func() bool { return toAnn.Stats().Queued == 0 })
	if err := toAnn.queue.end(); err != nil {
		t.Error(err)
	}
}

// deaf links a user who reads nothing after the greeting.
func deaf(t *testing.T, l *Listener) *Conn {
	t.Helper()
	c, _ := slowly(t, l)
	return c
}

// slowly links a user who has read the greeting, and reads on as she is told to. Between her and l is no system that would
// keep bytes for her.
func slowly(t *testing.T, l *Listener) (*Conn, io.Reader) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	user := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ALPN}})
	greeted := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(user, make([]byte, SlotSize))
		greeted <- err
	}()
	c, err := listenSide(t.Context(), l.config, far, l.admit)
	must(t, err)
	must(t, <-greeted)
	t.Cleanup(func() { c.Close() })
	return c, user
}

// What a budget says of who has to go: whoever holds the oldest message, and nobody else.
func TestBudget(t *testing.T) {
	b := NewBudget(10)
	share := func() *share { return b.shareOf(&Conn{queue: newQueue(1, false), raw: &gate{Conn: noConn{}}}) }
	first, second, third, fourth := share(), share(), share(), share()
	if !first.begin(2) || !second.begin(2) || !third.begin(1) || !third.grow(2) || !first.begin(2) {
		t.Fatal("within the budget")
	}
	first.finish(2) // its other one is the youngest of all
	if !third.grow(4) || !second.gone || first.gone || third.gone || b.now() != 2+7 {
		t.Errorf("the second had to go: %d bytes, %d gone", b.now(), b.Ended())
	}
	if !first.begin(1) {
		t.Error("within the budget")
	}
	first.withdraw(1)
	third.finish(7)
	if !third.begin(1) || !first.begin(1) {
		t.Error("within the budget")
	}
	first.grow(1) // makes nobody younger
	if !fourth.begin(6) || !first.gone || third.gone || b.now() != 1+6 || b.Ended() != 2 {
		t.Errorf("the first had to go: %d bytes, %d gone", b.now(), b.Ended())
	}
	if fourth.finish(6); len(b.line) != 1 || b.now() != 1 {
		t.Errorf("%d bytes", b.now())
	}
	if third.begin(10) || !third.gone || b.now() != 0 || third.begin(1) || third.grow(1) {
		t.Errorf("more than all: %d bytes", b.now())
	}
	second.end()
	second.finish(7)
	second.withdraw(7)
	if b.now() != 0 || len(b.line) != 0 || b.Ended() != 3 {
		t.Errorf("%d bytes, %d in the line, %d gone", b.now(), len(b.line), b.Ended())
	}
}

type noConn struct{ net.Conn }

func (noConn) Close() error { return nil }
