package simulations

import (
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// What speaks against a relay is durable: a program that starts anew leaves it alone, as the
// one before did.
func TestDoubtsSurviveACrash(t *testing.T) {
	w, err := NewWorld(Config{Seed: 4, Nodes: 6})
	if err != nil {
		t.Fatal(err)
	}
	ann, err := w.AddUser(0)
	if err != nil {
		t.Fatal(err)
	}
	bob, err := w.AddUser(1)
	if err != nil {
		t.Fatal(err)
	}
	const dead = 5
	if err := w.Node(dead).Kill(); err != nil {
		t.Fatal(err)
	}
	gone := w.Node(dead).Domain()
	by := []pki.Domain{w.Node(2).Domain(), gone} // were it the first, her node would take no copy, and nothing be learnt
	if _, err := ann.SendBy(bob, "hello", len(by), by...); err != nil {
		t.Fatal(err)
	}
	doubted := func() bool {
		return slices.ContainsFunc(ann.doubts, func(d mor.Doubt) bool { return d.Relay == gone && d.Copies > 2 })
	}
	if !w.RunUntil(10*time.Minute, doubted) {
		t.Fatalf("nothing speaks against the dead relay: %v", ann.doubts)
	}
	if _, err := ann.Send(bob, "by others"); err != nil { // which takes back what speaks against those
		t.Fatal(err)
	}
	w.Run(10 * time.Second)
	ann.Crash()
	for range 50 {
		route, err := ann.sender.Plan(w.Now(), bob.Address(), mor.DefaultHops, nil)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(route, gone) {
			t.Fatalf("by the dead relay again: %v", route)
		}
	}
}
