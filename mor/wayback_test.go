package mor_test

import (
	"slices"
	"testing"

	"github.com/p3do/p3do/mor"
)

// The reply comes by the relays that the letter went over, the last first.
func TestWayBackIsTheWayThere(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	for i := range 20 {
		o := letterTo(p.bob("b"))
		o.ID[1] = byte(i)
		out, _, _ := p.Send(start, o)
		end, there := p.walk(t, out.Submit[0].Entry.First, out.Submit[0].Entry.Inner)
		l := must(mor.ParseLetter(end.Payload))
		_, back := p.walk(t, l.SURB.First(), must(l.SURB.Use(mor.Receipt{ID: l.ID, Status: mor.Stored}.Marshal())))
		if back[0] != there[1] || back[1] != there[0] {
			t.Errorf("there by %s, back by %s", there, back)
		}
	}
}

// Who writes from elsewhere may have her home as a relay. The way back ends there, so it is drawn anew then: it never has the
// home, nor the mailbox server, among its relays.
func TestWayBackSparesTheHome(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e")
	p.cfg.Home = p.domain("c")
	p.restart()
	over := 0
	for i := range 40 {
		o := letterTo(p.bob("b"))
		o.ID[1] = byte(i)
		out, _, err := p.Send(start, o)
		if err != nil {
			t.Fatal(err)
		}
		there, back := p.ways(t, out.Submit[0])
		if slices.Contains(there, "c") {
			over++
		} else if back[0] != there[1] || back[1] != there[0] {
			t.Errorf("there by %s, back by %s", there, back)
		}
		if len(back) != 2 || slices.Contains(back, "c") || slices.Contains(back, "b") {
			t.Errorf("back to c by %s", back)
		}
	}
	if over == 0 {
		t.Error("the home was never a relay")
	}
}
