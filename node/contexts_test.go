package node

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
)

// cells makes two cells with a gateway: a.test and b.test with g.test, and c.test and d.test with g.test on its context
// "east". Everybody comes to know all other contexts.
func cells(t *testing.T) *mesh {
	t.Helper()
	m := newMesh(t, "a.test", "b.test", "g.test", "c.test", "d.test")
	must(t, m.nodes["g.test"].control.AddContext(t.Context(), "east"))
	for _, cell := range [][]string{{"a.test", "b.test", "g.test"}, {"c.test", "d.test", "g.test"}} {
		for _, from := range cell {
			for _, to := range cell {
				if from == "g.test" && cell[0] == "c.test" {
					m.bound(from, to, "east")
				} else if from != to {
					m.peer(from, to)
				}
			}
		}
	}
	m.knowAll()
	return m
}

// bound has a federate with b, which hears a context of a's.
func (m *mesh) bound(a, b, context string) {
	m.t.Helper()
	if a == b {
		return
	}
	_, err := m.nodes[a].control.AddPeerOn(m.t.Context(), m.nodes[b].domain, context)
	must(m.t, err)
}

// knowAll waits until each node knows the descriptors and the contexts of all others.
func (m *mesh) knowAll() {
	m.t.Helper()
	all := 0
	for domain := range m.nodes {
		all += len(m.status(domain).Contexts)
	}
	for domain := range m.nodes {
		m.until(domain+" to know all contexts", func() error {
			s := m.status(domain)
			if s.Servers != len(m.nodes) || s.Known != all-len(s.Contexts) {
				return fmt.Errorf("%d servers, %d contexts of others", s.Servers, s.Known)
			}
			return nil
		})
	}
}

// named is what a node counts on its context of that name.
func (m *mesh) named(domain, context string) ContextStatus {
	m.t.Helper()
	for _, c := range m.status(domain).Contexts {
		if c.Name == context {
			return c
		}
	}
	m.t.Fatalf("%s has no context %s", domain, context)
	return ContextStatus{}
}

// A message crosses a gateway, which peels in one cell and speaks in the other, and its receipt comes back; no packet is
// heard in both.
func TestGateway(t *testing.T) {
	m := cells(t)
	ann, dan := m.user("ann@a.test"), m.user("dan@d.test")
	for range 4 {
		id := ann.send(dan)
		item := ann.items()[0]
		_, r, ok := ann.sender.TakeReceipt(time.Now(), item.SURB, item.Body)
		if !ok || r.ID != id || r.Status != mor.Stored {
			t.Fatalf("receipt %v %d", r.ID, r.Status)
		}
		must(t, ann.client.Forget(t.Context(), []int64{item.Seq}))
	}
	west, east := m.named("g.test", FirstContext), m.named("g.test", "east")
	if west.Members != 2 || east.Members != 2 || west.Listeners != 2 || east.Listeners != 2 {
		t.Errorf("%+v %+v", west, east)
	}
	if west.Peeled == 0 || east.Peeled == 0 || west.Spoken == 0 || east.Spoken == 0 {
		t.Errorf("nothing was carried across: %+v %+v", west, east)
	}
}

// A peer is bound to another context while all serve, and after a restart still; a context that somebody hears stays, one
// that nobody hears goes, with its key.
func TestContexts(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, ctx := m.nodes["a.test"], t.Context()
	a.stays(t)
	must(t, a.control.AddContext(ctx, "far"))
	for _, name := range []string{"far", FirstContext, "", "Far", "a/b", "-x", "0123456789012345678901234"} {
		if err := a.control.AddContext(ctx, name); !errors.Is(err, ErrInput) {
			t.Errorf("added %q: %v", name, err)
		}
	}
	m.bound("a.test", "b.test", "far")
	hears := func(name string) {
		t.Helper()
		m.until("b.test to hear "+name, func() error {
			if c := m.named("a.test", name); c.Members != 1 || c.Listeners != 1 {
				return fmt.Errorf("%d members, %d listeners", c.Members, c.Listeners)
			}
			return nil
		})
	}
	hears("far")
	must(t, a.end())
	a.start()
	hears("far")

	// Without its key it is not there; made again by the same name, it is heard again.
	must(t, a.end())
	must(t, os.Remove(a.path(keysFolder, "context-far")))
	a.start()
	if all := m.status("a.test").Contexts; len(all) != 1 {
		t.Errorf("%+v", all)
	}
	must(t, a.control.AddContext(ctx, "far"))
	hears("far")
	if err := a.control.DropContext(ctx, "far"); !errors.Is(err, ErrInput) {
		t.Errorf("dropped while b.test hears it: %v", err)
	}
	for _, name := range []string{FirstContext, "none", "../authority"} {
		if err := a.control.DropContext(ctx, name); !errors.Is(err, ErrInput) {
			t.Errorf("dropped %q: %v", name, err)
		}
	}
	m.bound("a.test", "b.test", FirstContext)
	hears(FirstContext)
	must(t, a.control.DropContext(ctx, "far"))
	if _, err := os.Stat(a.path(keysFolder, "context-far")); !os.IsNotExist(err) {
		t.Errorf("the key is still there: %v", err)
	}
	if _, err := a.control.AddPeerOn(ctx, m.nodes["b.test"].domain, "far"); !errors.Is(err, ErrInput) {
		t.Errorf("bound to a context that is gone: %v", err)
	}
	m.settled("a.test", "b.test")
}
