package node

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// What is of a node's own making waits until what was remembered before it is durable;
// rebroadcasts wait for nothing, so the loop does not wait either.
func TestScribe(t *testing.T) {
	s := &scribe{store: openStore(t), entries: make(chan entry, maxEntries)}
	l := &loop{entries: s.entries, spooled: make(chan mor.Delivery, 4), jobs: make(chan job, 4), links: map[pki.Domain]*peerLink{}}
	s.loop = l
	var id [16]byte
	rand.Read(id[:])
	mark := mor.Mark{ID: id, Kind: mor.InnerPeel, Until: time.Now().Add(time.Hour)}
	l.carryOut(mor.Output{Remember: []mor.Mark{mark}, Deliver: []mor.Delivery{{Reply: true}}})
	l.carryOut(mor.Output{Deliver: []mor.Delivery{{}}}) // remembers nothing, but comes after
	if len(l.spooled) != 0 || l.waiting != 2 {
		t.Fatalf("%d delivered before anything is durable, %d wait", len(l.spooled), l.waiting)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	for l.waiting > 0 {
		(<-l.jobs)(l, time.Now())
	}
	cancel()
	must(t, <-ended)
	marks, err := s.store.Marks(t.Context(), time.Now())
	must(t, err)
	if len(marks) != 1 || marks[0].ID != id {
		t.Fatalf("remembered: %+v", marks)
	}
	if first, second := <-l.spooled, <-l.spooled; !first.Reply || second.Reply {
		t.Error("out of order")
	}
	l.carryOut(mor.Output{Deliver: []mor.Delivery{{}}})
	if len(l.spooled) != 1 {
		t.Error("what waits for nothing waited")
	}
}

// When too many entries wait for the disk, what they are about is not done.
func TestScribeBehind(t *testing.T) {
	l := &loop{entries: make(chan entry, 1), spooled: make(chan mor.Delivery, 4)}
	for range 3 {
		l.carryOut(mor.Output{Remember: []mor.Mark{{}}, Deliver: []mor.Delivery{{}}})
	}
	if len(l.spooled) != 0 || l.wasted.MarksFull != 2 || l.waiting != 1 {
		t.Errorf("%d delivered, %+v, %d wait", len(l.spooled), l.wasted, l.waiting)
	}
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "node.db"))
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}
