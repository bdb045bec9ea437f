package mor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// lazily has a router send whole packets over some links only.
func lazily(c *mor.Config) { c.Lazy = true }

// A star is a router and neighbours that it hears and that hear it.
type star struct {
	*server
	around []*server
	now    time.Time
}

func newStar(neighbours int) *star {
	s := &star{server: newServer("x", 1, lazily), now: start}
	for i := range neighbours {
		n := newServer(fmt.Sprintf("n%d", i), 1, lazily)
		s.listen(n, 0)
		s.Admit(s.own[0].ID, n.cfg.Domain)
		s.around = append(s.around, n)
	}
	return s
}

// heard is the context on which neighbour i speaks.
func (s *star) heard(i int) mor.ContextID { return s.around[i].own[0].ID }

// asks lets time pass until the router asks for something, and returns of whom, in turn.
func (s *star) asks(limit time.Duration) (whom []string) {
	for end := s.now.Add(limit); s.now.Before(end); s.now = s.now.Add(20 * time.Millisecond) {
		for _, f := range s.Tick(s.now).Fetch {
			whom = append(whom, f.To.String())
		}
	}
	return whom
}

// whole says who is sent p whole when it comes from neighbour i, and who is told of it.
func (s *star) whole(i int, p onion.Packet) (sent, told []string) {
	take := func(out mor.Output) {
		for _, b := range out.Broadcast {
			for _, to := range b.To {
				sent = append(sent, to.String())
			}
		}
		for _, a := range out.Announce {
			told = append(told, a.To.String())
		}
	}
	take(s.Hear(s.now, s.heard(i), p))
	s.now = s.now.Add(3 * time.Second)
	take(s.Tick(s.now))
	return sent, told
}

// late has neighbour 0 bring a packet, and neighbour i the same one after it.
func (s *star) late(i, n int) mor.Output {
	s.Hear(s.now, s.heard(0), junk(s.now, n))
	return s.Hear(s.now, s.heard(i), junk(s.now, n))
}

// A link is lazy after LateCopies late copies in a row, and not before; a packet that comes over it first begins the
// count anew. What was forwarded to the owner of its key counts for nothing.
func TestLinksBecomeLazy(t *testing.T) {
	s := newStar(3)
	for n := range mor.LateCopies - 1 {
		if out := s.late(1, n); len(out.Prune) != 0 {
			t.Fatalf("lazy after %d late copies", n+1)
		}
	}
	s.Hear(s.now, s.heard(1), junk(s.now, 50)) // first
	for n := range mor.LateCopies - 1 {
		s.Handed(s.now, s.heard(1), junk(s.now, n)) // was forwarded
		if out := s.late(1, 100+n); len(out.Prune) != 0 {
			t.Fatalf("lazy after %d late copies in a row", n+1)
		}
	}
	out := s.late(1, 200)
	if len(out.Prune) != 1 || out.Prune[0].To != s.around[1].cfg.Domain || out.Prune[0].On != s.heard(1) {
		t.Fatalf("%+v", out.Prune)
	}
	sent, told := s.whole(0, junk(s.now, 300))
	if want := []string{"n2.test"}; !slices.Equal(sent, want) {
		t.Errorf("sent to %v, want %v", sent, want)
	}
	if want := []string{"n1.test"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// Who says that what we said was there already is told of what we say next; when it fetches that, it is given it, and
// sent the next packets whole. Nobody is given what it could not have heard of.
func TestPrunedThenFetched(t *testing.T) {
	s := newStar(2)
	on, one := s.own[0].ID, s.around[1].cfg.Domain
	s.Pruned(s.now, on, one)
	p := junk(s.now, 1)
	if sent, told := s.whole(0, p); len(sent) != 0 || !slices.Equal(told, []string{"n1.test"}) {
		t.Fatalf("sent to %v, told %v", sent, told)
	}
	stranger := newServer("z", 1, nil)
	for name, out := range map[string]mor.Output{
		"not a member":     s.Fetched(s.now, on, stranger.cfg.Domain, p.ID()),
		"not ours":         s.Fetched(s.now, s.heard(0), one, p.ID()),
		"never said":       s.Fetched(s.now, on, one, junk(s.now, 9).ID()),
		"of another style": s.Announced(s.now, on, p.ID()),
	} {
		if len(out.Broadcast)+len(out.Forward) != 0 {
			t.Errorf("%s: %+v", name, out.Broadcast)
		}
	}
	out := s.Fetched(s.now, on, one, p.ID())
	if len(out.Broadcast) != 1 || out.Broadcast[0].Packet.ID() != p.ID() || len(out.Broadcast[0].To) != 1 || out.Broadcast[0].To[0] != one {
		t.Fatalf("%+v", out.Broadcast)
	}
	if sent, told := s.whole(0, junk(s.now, 2)); len(told) != 0 || !slices.Equal(sent, []string{"n1.test"}) {
		t.Errorf("sent to %v, told %v", sent, told)
	}
	s.now = s.now.Add(mor.BodyKept + time.Second)
	if out := s.Fetched(s.now, on, one, p.ID()); len(out.Broadcast) != 0 {
		t.Error("given after BodyKept")
	}
}

// What was announced and does not come is asked for of all that announced it, in turn, FetchRounds times; then it is
// given up. What came meanwhile is not asked for.
func TestAnnouncedIsFetched(t *testing.T) {
	s := newStar(3)
	p, came := junk(s.now, 1), junk(s.now, 2)
	for i := range 3 {
		s.Announced(s.now, s.heard(i), p.ID())
		s.Announced(s.now, s.heard(i), p.ID()) // the same again
	}
	s.Announced(s.now, s.heard(0), came.ID())
	s.Hear(s.now, s.heard(1), came)
	want := []string{"n0.test", "n1.test", "n2.test", "n0.test", "n1.test", "n2.test"}
	if got := s.asks(time.Minute); !slices.Equal(got, want) {
		t.Errorf("asked %v", got)
	}
	if out := s.Tick(s.now); !out.Wake.IsZero() {
		t.Errorf("still waiting, until %s", out.Wake)
	}
	s.Announced(s.now, s.heard(1), came.ID())
	if got := s.asks(time.Minute); len(got) != 0 {
		t.Errorf("asked %v for what was seen", got)
	}
}

// A neighbour that announces what is nowhere fills its own share only.
func TestAnnouncementsAreBounded(t *testing.T) {
	s := newStar(2)
	for n := range mor.MaxAwaited + 10 {
		s.Announced(s.now, s.heard(0), junk(s.now, n).ID())
	}
	if got := s.counters().Dropped[mor.DropUnwaited]; got != 10 {
		t.Errorf("%d dropped", got)
	}
	s.Announced(s.now, s.heard(1), junk(s.now, 5000).ID())
	if got := s.counters(); got.Dropped[mor.DropUnwaited] != 10 || got.Noticed != mor.MaxAwaited+11 {
		t.Errorf("%s", words(got))
	}
	if got := len(s.asks(time.Minute)); got != mor.FetchRounds*(mor.MaxAwaited+1) {
		t.Errorf("asked %d times", got)
	}
	s.Announced(s.now, s.heard(0), junk(s.now, 1).ID())
	if got := s.counters().Dropped[mor.DropUnwaited]; got != 10 {
		t.Error("its share is full for ever")
	}
}

// Whether a body is asked for, of whom and when does not depend on whose tag it bears.
func TestFetchingIgnoresTags(t *testing.T) {
	var asked [][]string
	for _, mine := range []bool{true, false} {
		s := newStar(2)
		p := junk(s.now, 1)
		if mine {
			p = cover(stream("cover"), s.now, s.hop(0, s.now))
		}
		s.Announced(s.now, s.heard(0), p.ID())
		asked = append(asked, append(s.asks(time.Minute), s.now.String()))
	}
	if !slices.Equal(asked[0], asked[1]) {
		t.Errorf("asked %v for its own, %v for another's", asked[0], asked[1])
	}
}
