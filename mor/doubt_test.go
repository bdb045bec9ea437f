package mor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
)

// deliver sends a message, answers the first copy that does not meet the dead server, there or
// back, and is not lost otherwise, as every third is. The sender starts anew for each step, as
// a program does that goes on with what is on disk. It returns how many copies met the dead
// server, and the time of the last.
func (p *post) deliver(t *testing.T, now time.Time, n int, dead string) (met int, after time.Time) {
	t.Helper()
	o := letterTo(p.bob("b"))
	o.ID = mor.MessageID{1, byte(n)}
	out, _, err := p.Send(now, o)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		p.did(out)
		entry := out.Submit[0].Entry
		end, there := p.walk(t, entry.First, entry.Inner)
		l := must(mor.ParseLetter(end.Payload))
		back, home := p.walk(t, l.SURB.First(), must(l.SURB.Use(mor.Receipt{ID: l.ID, Status: mor.Stored}.Marshal())))
		p.restart()
		p.made++
		if slices.Contains(there, dead) || slices.Contains(home, dead) {
			met++
		} else if p.made%3 != 0 {
			out, _, ok := p.TakeReceipt(now, back.SURB, back.Body)
			if !ok {
				t.Fatal("a receipt was not taken")
			}
			p.did(out)
			return met, now
		}
		now = out.Wake
		out = p.Tick(now)
	}
	t.Fatal("no copy gets through")
	return met, now
}

// A round trip uses four of five relays. One that is dead is found out, for all messages, and
// whatever was lost over it speaks no longer against the others.
func TestDeadRelayIsFoundOut(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f", "dead")
	now, met := start, 0
	for n := range 120 {
		p.saved = nil // acknowledged; what is known of relays stays
		p.restart()
		var m int
		if m, now = p.deliver(t, now, n, "dead"); n >= 20 {
			met += m
		}
	}
	if met > 5 {
		t.Errorf("%d copies of 100 messages went over the dead relay", met)
	}
}

// With three relays, who avoids two of them takes the third. One that is dead is found out all
// the same, and soon.
func TestDeadRelayOfThree(t *testing.T) {
	p := newPost("a", "b", "c", "d", "dead")
	now, met := start, 0
	for n := range 40 {
		p.saved = nil // acknowledged; what is known of relays stays
		p.restart()
		var m int
		if m, now = p.deliver(t, now, n, "dead"); n >= 5 {
			met += m
		}
	}
	if met > 5 {
		t.Errorf("%d copies of 35 messages went over the dead relay", met)
	}
}

// A relay that comes back is tried again when the doubts have faded.
func TestDoubtsFade(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f", "dead")
	now := start
	for n := range 10 {
		_, now = p.deliver(t, now, n, "dead")
	}
	p.saved = nil
	p.restart()
	if len(p.doubts) == 0 {
		t.Fatal("no doubts about a dead relay")
	}
	seen := 0
	for range 20 {
		if slices.Contains(must(p.Plan(now, p.bob("b"), 2, nil)), p.domain("dead")) {
			seen++
		}
	}
	if seen > 0 {
		t.Errorf("%d of 20 routes over it", seen)
	}
	for range 20 {
		if slices.Contains(must(p.Plan(now.Add(24*time.Hour), p.bob("b"), 2, nil)), p.domain("dead")) {
			seen++
		}
	}
	if seen == 0 {
		t.Error("never tried again")
	}
}
