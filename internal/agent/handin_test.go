package agent

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/mor"
)

// scissors cut all connections that were made through them.
type scissors struct {
	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func (s *scissors) through(door dial.Func) dial.Func {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := door(ctx, network, address)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.conns = append(s.conns, conn)
		}
		return conn, err
	}
}

func (s *scissors) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
}

// A text that is in the outbox was sent, whatever becomes of the link then: an error would
// have its writer write it again.
func TestLinkEndsWhileSending(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	link, sending := new(scissors), false
	cfg := m.config(t)
	cfg.Dial = link.through(cfg.Dial)
	cfg.Durable = func(uint64) {
		if sending {
			link.cut()
		}
	}
	ann, err := New(t.Context(), cfg, m.name(t, "a.test"))
	must(t, err)
	defer ann.Close()
	_, err = ann.correspondent(t.Context(), bob.self.name) // so that he need not be looked up then
	must(t, err)
	sending = true
	status, err := ann.Send(t.Context(), bob.self.name, "hello", Way{})
	must(t, err)
	if status.State != mor.Queued {
		t.Errorf("the text is %s, and the home never saw it", status.State)
	}
	sending = false
	id, err := mor.ParseMessageID(status.ID)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = ann.Wait(ctx, id, mor.StoredThere, func(Status) {})
	must(t, err)
}
