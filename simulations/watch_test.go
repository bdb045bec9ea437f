package simulations

import (
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// counter counts what a watcher is told.
type counter struct {
	heard, noticed, made, entries int
	from                          []pki.Domain
}

func (c *counter) Heard(_ mor.ContextID, from pki.Domain, _ onion.Packet, _ bool) {
	c.heard++
	c.from = append(c.from, from)
}
func (c *counter) Noticed(_ mor.ContextID, from pki.Domain, _ onion.ID) {
	c.noticed++
	c.from = append(c.from, from)
}
func (c *counter) Made(onion.Packet)    { c.made++ }
func (c *counter) HandedIn(onion.Entry) { c.entries++ }

// A watcher is told what the router is told and makes, of neighbours alone, and changes nothing: the trace is the same. What a
// node is told by Ask are the contexts of the others.
func TestWatchingChangesNothing(t *testing.T) {
	run := func(c *counter) (*World, int) {
		w, err := NewWorld(Config{Seed: 2, Nodes: 6, Degree: 3, Lazy: true, ExtraHops: 1, Delay: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		var users []*User
		for _, home := range []int{0, 3} {
			u, err := w.AddUser(home)
			if err != nil {
				t.Fatal(err)
			}
			users = append(users, u)
		}
		copies := 0
		if c != nil {
			w.Node(0).Watch(c)
			users[0].Watch(func(s mor.Submission) {
				copies++
				if w := users[0].Outgoing(s.Message).Waiting; len(w) == 0 || !slices.Contains(w[len(w)-1].Relays, s.Route[1]) {
					t.Errorf("copy by %s, and durable is %v", s.Route, w)
				}
			})
		}
		for range 10 {
			if _, err := users[0].Send(users[1], "hello"); err != nil {
				t.Fatal(err)
			}
			w.Run(3 * time.Second)
		}
		return w, copies
	}
	var c counter
	watched, copies := run(&c)
	alone, _ := run(nil)
	if watched.Trace() != alone.Trace() {
		t.Error("watching changed what happens")
	}
	n := watched.Node(0)
	own, _ := n.Router.Status()
	got := own[0].Counters
	if c.heard != int(got.Heard) || c.noticed != int(got.Noticed) || c.made != int(got.Spoken) || copies < 10 || c.entries != copies {
		t.Errorf("told of %d heard, %d noticed, %d made, %d handed in; %d copies, %+v", c.heard, c.noticed, c.made, c.entries, copies, got)
	}
	for _, to := range n.neighbours {
		c.from = slices.DeleteFunc(c.from, func(d pki.Domain) bool { return d == to.Domain() })
	}
	if len(c.from) > 0 {
		t.Errorf("heard of %v, who are no neighbours", c.from)
	}
	told, err := n.Told()
	owners := make(map[pki.Domain]bool)
	for _, r := range told {
		owners[r.Owner] = true
	}
	if err != nil || len(owners) != 5 || len(n.ServerKeys()) == 0 {
		t.Errorf("told of the contexts of %d domains, %v", len(owners), err)
	}
}
