package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
)

// Who begins a slot and says no more is a user who has not logged in: LoginTime ends her
// link, though bytes of her come one by one.
func TestSlowLogin(t *testing.T) {
	h := newHome(t)
	h.loginTime = 100 * time.Millisecond
	var wire net.Conn
	keep := func(ctx context.Context, network, address string) (net.Conn, error) {
		var err error
		wire, err = dial.Direct()(ctx, network, address)
		return wire, err
	}
	conn := must(link.Dial(t.Context(), link.Config{Judge: h.judge, Dial: keep}, h.listener.Addr().String()))
	defer conn.Close()
	go func() { // a record of application data that never ends
		for _, b := range append([]byte{23, 3, 3, 0x40, 0x11}, make([]byte, 1000)...) {
			if _, err := wire.Write([]byte{b}); err != nil {
				return
			}
			runtime.Gosched()
		}
	}()
	select {
	case <-h.served:
	case <-time.After(20 * time.Second):
		t.Error("the link goes on")
	}
}

// A user who asks and asks and never reads the answers loses her link when the queue of
// them is full; others are served meanwhile.
func TestNeverReads(t *testing.T) {
	h := newHome(t)
	_, other := h.ann(t)
	deaf := h.connect(t)
	ended := make(chan int, 1)
	go func() {
		request := []byte(`{"seq":1,"op":"shout"}`) // not logged in: a short answer
		n := 0
		for ; ; n++ {
			err := deaf.SendControl(request)
			if errors.Is(err, link.ErrFull) {
				runtime.Gosched()
			} else if err != nil {
				break
			}
		}
		ended <- n
	}()
	for {
		check(t, other.Claim(t.Context(), make([]Mailbox, 1)))
		select {
		case n := <-ended:
			t.Logf("the link ended after %d requests", n)
			return
		default:
		}
	}
}

// Answers that nobody asked for, twice the same, or for another request, and packets, do
// the client no harm: it passes them by.
func TestStrayAnswers(t *testing.T) {
	near, far := linkPair(t)
	c := NewClient(near)
	defer c.Close(context.Background())
	go func() {
		m, err := far.Receive()
		if err != nil {
			return
		}
		var asked message
		_ = json.Unmarshal(m.Control, &asked)
		_ = far.SendPacket(0, frame(t, 1))
		right := fmt.Sprintf(`{"seq":%d,"body":{"descriptors":[]}}`, asked.Seq)
		for _, answer := range []string{
			`{"seq":18446744073709551615,"body":{}}`, fmt.Sprintf(`{"seq":%d,"op":"submitted","body":{}}`, asked.Seq), right, right,
		} {
			_ = far.SendControl([]byte(answer))
		}
	}()
	if _, _, err := c.Directory(t.Context()); err != nil {
		t.Error(err)
	}
}

// What no node says ends the client's session, with an error.
func TestHostileNode(t *testing.T) {
	for what, say := range map[string]func(*link.Conn) error{
		"no JSON": func(c *link.Conn) error { return c.SendControl([]byte("hello")) },
		"an escape sequence": func(c *link.Conn) error {
			return c.SendControl([]byte(`{"seq":1,"error":{"code":"full","text":"\u001b[31m"}}`))
		},
		"a depth of 20 000": func(c *link.Conn) error { return c.SendControl([]byte(strings.Repeat("[", 20_000))) },
	} {
		t.Run(what, func(t *testing.T) {
			near, far := linkPair(t)
			c := NewClient(near)
			defer c.Close(context.Background())
			go func() {
				if _, err := far.Receive(); err == nil {
					_ = say(far)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, _, err := c.Directory(ctx); err == nil || ctx.Err() != nil {
				t.Errorf("err = %v", err)
			}
		})
	}
}
