package mor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// Routers that are told to say the truth do: each packet is named by the change that made it and by the
// one that ended it, from hand to mailbox. Others say nothing.
func TestTrail(t *testing.T) {
	for _, told := range []bool{true, false} {
		edit := func(c *mor.Config) { c.Trace = told }
		a, b, c := newServer("a", 1, edit), newServer("b", 1, edit), newServer("c", 1, edit)
		all := []*server{a, b, c}
		for _, s := range all {
			for _, other := range all {
				if s != other {
					s.listen(other, 0)
					other.Admit(other.own[0].ID, s.cfg.Domain)
					must(s.Learn(start, other.own[0].ID, []mor.Answered{other.lie(start, other.key.Public().ID())}, authorities(all)))
				}
			}
		}
		in := inner(stream("in"), onion.Mailbox{}, start, b, c)
		out, err := a.Submit(start, onion.Entry{First: b.key.Public().ID(), Inner: in})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := wayOf(all, out, in.ID()), "a submitted, b opened, c delivered"; told && got != want {
			t.Errorf("%s, want %s", got, want)
		} else if !told && got != "" {
			t.Errorf("untold, they say %s", got)
		}
	}
}

// wayOf lets the servers hear each other until all is done, and follows the trail from an inner packet.
func wayOf(all []*server, out mor.Output, in onion.InnerID) string {
	var said []string
	var next onion.ID
	note := func(s *server, out mor.Output) {
		for _, trace := range out.Trail {
			if trace.Inner == in || trace.Inner == (onion.InnerID{}) && trace.Of == next {
				said, next = append(said, fmt.Sprint(s.name, " ", trace.Change)), trace.Packet
			}
		}
	}
	note(all[0], all[0].did(out))
	for now, rounds := start, 0; rounds < 50; rounds++ {
		now = now.Add(all[0].cfg.MaxDelay + 100_000_000)
		for _, s := range all {
			out := s.Tick(now)
			note(s, s.did(out))
			for _, b := range append([]mor.Speech(nil), out.Broadcast...) {
				for _, other := range all {
					if other != s {
						note(other, other.did(other.Hear(now, s.own[0].ID, b.Packet)))
					}
				}
			}
		}
	}
	return strings.Join(said, ", ")
}
