package mor_test

import (
	"errors"
	"slices"
	"strings"
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
	newPost("a", "b", "c", "d", "e", "f", "dead").findsOut(t, "dead", 20, 100)
}

// findsOut sends messages one after the other, and fails if after the first learn of them many
// copies of the others meet the dead server.
func (p *post) findsOut(t *testing.T, dead string, learn, others int) {
	t.Helper()
	now, met := start, 0
	for n := range learn + others {
		p.saved = nil // acknowledged; what is known of relays stays
		p.restart()
		var m int
		if m, now = p.deliver(t, now, n, dead); n >= learn {
			met += m
		}
	}
	if met > 5 {
		t.Errorf("%d copies of %d messages went over the dead relay", met, others)
	}
}

// With three relays, who avoids two of them takes the third. One that is dead is found out all
// the same, and soon.
func TestDeadRelayOfThree(t *testing.T) {
	newPost("a", "b", "c", "d", "dead").findsOut(t, "dead", 5, 35)
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

// A spool that never answers has all relays doubted. That brings none next to both ends: each way back is the way there.
func TestDoubtsDoNotMixTheWays(t *testing.T) {
	for _, relays := range []string{"c d e f g", "c d e f g h i j"} {
		p, now := newPost(append([]string{"a", "b"}, strings.Fields(relays)...)...), start
		for n := range 8 {
			o := letterTo(p.bob("b"))
			o.ID = mor.MessageID{1, byte(n)}
			out, _, err := p.Send(now, o)
			for range 30 {
				if err != nil || len(out.Submit) != 1 {
					t.Fatal(err, out.Submit)
				}
				p.did(out)
				if there, back := p.ways(t, out.Submit[0]); back[0] != there[1] || back[1] != there[0] {
					t.Fatalf("of %s: there by %s, back by %s; doubts %v", relays, there, back, p.doubts)
				}
				now = out.Wake
				out = p.Tick(now)
			}
			p.saved = nil // given up; what is known of relays stays
			p.restart()
		}
		if len(p.doubts) != len(strings.Fields(relays)) {
			t.Errorf("of %s: doubts %v", relays, p.doubts)
		}
	}
}

// ways are the relays of a copy: there, and back.
func (p *post) ways(t *testing.T, s mor.Submission) (there, back []string) {
	t.Helper()
	end, there := p.walk(t, s.Entry.First, s.Entry.Inner)
	l := must(mor.ParseLetter(end.Payload))
	_, back = p.walk(t, l.SURB.First(), must(l.SURB.Use(mor.Receipt{ID: l.ID, Status: mor.Stored}.Marshal())))
	return there[:len(there)-1], back[:len(back)-1]
}

// A copy that our node did not take speaks against no relay, whatever is told of the next. If
// it got out all the same, its receipt counts.
func TestNotTakenIsNoDoubt(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	out, _, err := p.Send(start, letterTo(p.bob("b")))
	if err != nil {
		t.Fatal(err)
	}
	refused := out.Submit[0]
	for range 3 {
		p.did(out)
		out = p.did(p.Submitted(out.Wake, out.Submit[0].Message, errors.New("no way")))
		p.restart()
		if out = p.Tick(out.Wake); len(out.Submit) != 1 || len(out.Doubts) != 0 {
			t.Fatalf("%d copies; doubts %v", len(out.Submit), out.Doubts)
		}
	}
	p.did(out)
	p.did(p.Submitted(out.Wake, out.Submit[0].Message, nil))
	p.restart()
	if out = p.Tick(out.Wake); len(out.Doubts) != 2 {
		t.Errorf("doubts %v, for a copy that was taken", out.Doubts)
	}
	id, body := p.receipt(t, refused, mor.Stored)
	if _, _, ok := p.TakeReceipt(start, id, body); !ok {
		t.Error("refused a receipt")
	}
}
