package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Who is to forget a log waits until nobody copies it, and interrupts who does; then nobody begins.
func TestHaltedMirror(t *testing.T) {
	m := newMirrors(&Node{})
	a, err := pki.ParseDomain("a.test")
	must(t, err)
	copying, ok := m.begin(t.Context(), a)
	if _, twice := m.begin(t.Context(), a); !ok || twice {
		t.Fatal("one log is copied by two")
	}
	ended := false
	go func() {
		<-copying.ctx.Done()
		ended = true
		m.end(a)
	}()
	must(t, m.halt(t.Context(), a))
	if !ended {
		t.Error("it is still being copied")
	}
	if _, ok := m.begin(t.Context(), a); ok {
		t.Error("copied while it is forgotten")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.halt(gone, a); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone does not wait: %v", err)
	}
	m.end(a)
	if _, ok := m.begin(t.Context(), a); !ok {
		t.Error("never copied again")
	}
}

// A head of more leaves than there are silences no smaller one that our copy has come to: that is kept and handed on
// beside it, and what contradicts it is found.
func TestClaimedHeadSilencesNothing(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 1))
	m.mirrored("a.test", was.Size, "b.test")
	claimed, next := a.headBeyond(t, 1<<39), a.headBeyond(t, 1)
	other := a.headBy(t, next.Size, tlog.Hash{2})
	must(t, a.end()) // it would not sign beside what it has signed
	accept := func(head store.Head) (fresh bool) {
		t.Helper()
		m.until("a head to be taken", func() (err error) {
			fresh, err = b.node.acceptHead(t.Context(), head.Checkpoint)
			return err
		})
		return fresh
	}
	if !accept(claimed) {
		t.Fatal("the greatest is not kept")
	}
	if accept(next) {
		t.Error("a smaller one is kept, to which no copy has come")
	}
	must(t, b.node.store.SetMirror(t.Context(), next))
	if !accept(next) || accept(next) {
		t.Error("the one of our copy is not kept, or twice")
	}
	told, err := b.node.toldHeads(t.Context(), a.domain)
	if err != nil || string(told[0].Raw) != string(claimed.Checkpoint) || string(told[1].Raw) != string(next.Checkpoint) {
		t.Errorf("%d and %d leaves are handed on, %v", told[0].Serial, told[1].Serial, err)
	}
	if b.node.frozen(a.domain) {
		t.Error("frozen for nothing")
	}
	accept(other)
	if !b.node.frozen(a.domain) {
		t.Error("two heads of as many leaves, and no fork")
	}
}

// A copy that is full is said once, and by the doctor; the log is cosigned all the same.
func TestFullCopyIsSaid(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 1))
	m.mirrored("a.test", was.Size, "b.test")
	_, has, err := b.node.store.Mirror(t.Context(), was.Origin)
	must(t, err)
	for i := int64(0); has < witness.MaxMirror; i++ {
		tile := store.Tile{Level: 6, Number: i, Width: 1, Data: make([]byte, min(witness.MaxMirror-has, store.MaxTile))} // higher than a log is
		must(t, b.node.store.PutTiles(t.Context(), was.Origin, []store.Tile{tile}, witness.MaxMirror))
		has += int64(len(tile.Data))
	}
	m.user("ann@a.test")
	m.cosignedBy("a.test", was.Size+1, 1)
	m.noted("b.test", "a.test", EventLog, 1)
	all, err := Doctor{Dir: b.dir, Dial: dial.Direct()}.Examine(t.Context(), time.Now())
	must(t, err)
	if !slices.ContainsFunc(all, func(f Finding) bool { return f.Check == "copies" && strings.Contains(f.Text, "a.test") }) {
		t.Errorf("the doctor says nothing of it: %+v", all)
	}
}
