package mor_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// start is when the tests begin: at an instant of the grid, not at that of an epoch.
var start = time.Unix(1_800_000_000, 0).UTC().Add(5 * time.Minute)

// stream is a random stream of its own for each label.
func stream(label string) *rand.ChaCha8 {
	var seed [32]byte
	copy(seed[:], label)
	return rand.NewChaCha8(seed)
}

// must is for what cannot fail here.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// server is a router with all its keys in the test's hands.
type server struct {
	*mor.Router
	name      string
	authority *pki.Authority
	key       *onion.ServerPrivateKey
	own       []mor.OwnContext
	cfg       mor.Config
	marks     []mor.Mark
	wake      time.Time
}

// newServer makes the server of name.test with the given number of contexts. edit may
// change its Config.
func newServer(name string, contexts int, edit func(*mor.Config)) *server {
	random := stream(name)
	s := &server{name: name}
	s.authority = must(pki.NewAuthority(random, must(pki.ParseDomain(name+".test")), start))
	s.key = must(onion.NewServerKey(random))
	for range contexts {
		s.own = append(s.own, must(mor.NewContext(random, start)))
	}
	s.cfg = mor.Config{
		Domain: s.authority.Domain(), Rand: random, Sign: s.authority.Sign,
		Servers: []mor.ServerKey{{Period: pki.PeriodAt(start), Private: s.key}}, Contexts: s.own,
	}
	if edit != nil {
		edit(&s.cfg)
	}
	s.boot()
	return s
}

// boot starts s, or starts it again with what it was told to remember.
func (s *server) boot() {
	s.cfg.Marks = s.marks
	s.Router = must(mor.NewRouter(s.cfg))
}

// did keeps what is durable of an output.
func (s *server) did(out mor.Output) mor.Output {
	s.marks = append(s.marks, out.Remember...)
	s.wake = out.Wake
	return out
}

// hop is s's context as an honest maker of packets uses it.
func (s *server) hop(i int, at time.Time) onion.OuterHop {
	c := s.own[i].Advance(at)
	for c.Epoch < onion.EpochAt(at) {
		c.Epoch, c.Hint = c.Epoch+1, c.Hint.Next()
	}
	return onion.OuterHop{Key: c.Key.Public(), Hint: c.Hint, Delay: 20 * time.Millisecond}
}

// listen makes s a member of a context of other, which it binds to its first one.
func (s *server) listen(other *server, i int) { s.bind(0, other, i) }

// bind makes s a member of a context of other, which it binds to a context of its own.
func (s *server) bind(own int, other *server, i int) {
	other.Admit(other.own[i].ID, s.cfg.Domain)
	s.Listen(other.cfg.Domain, other.own[i].ID, s.own[own].ID)
}

// ask has s learn what other answers on its context i. ok is false if there was no answer.
func (s *server) ask(now time.Time, other *server, i int, all []*server) (kept int, ok bool, err error) {
	answer, ok := other.Ask(now, other.own[i].ID, s.cfg.Domain)
	if !ok {
		return 0, false, nil
	}
	answer = must(mor.ParseAnswer(must(mor.MarshalAnswer(answer))))
	learnt, err := s.Learn(now, other.own[i].ID, answer, authorities(all))
	return learnt.Kept, true, err
}

func authorities(all []*server) mor.Authorities {
	return func(domain pki.Domain) (pki.CACert, bool) {
		for _, s := range all {
			if s.cfg.Domain == domain {
				return s.authority.CA(), true
			}
		}
		return pki.CACert{}, false
	}
}

// inner builds an inner packet through the servers to a mailbox.
func inner(random io.Reader, to onion.Mailbox, now time.Time, servers ...*server) onion.Inner {
	var hops []onion.InnerHop
	for _, s := range servers {
		hops = append(hops, onion.InnerHop{Key: s.key.Public()})
	}
	return must(onion.BuildInner(random, hops, to, now.Add(mor.LetterLifetime), make([]byte, onion.PayloadSize)))
}

// cover builds a packet over contexts at whose end there is nothing.
func cover(random io.Reader, now time.Time, hops ...onion.OuterHop) onion.Packet {
	return must(onion.Wrap(random, onion.EpochAt(now), hops, onion.OuterEnd{Drop: true}, onion.Inner{}))
}

// exposing builds a packet over contexts at whose end in comes out, for server.
func exposing(random io.Reader, now time.Time, in onion.Inner, server onion.ServerID, budget uint8, hops ...onion.OuterHop) onion.Packet {
	return must(onion.Wrap(random, onion.EpochAt(now), hops, onion.OuterEnd{Server: server, Budget: budget}, in))
}

// counters of the first context of s.
func (s *server) counters() mor.Counters {
	own, _ := s.Status()
	return own[0].Counters
}

// wantCounters compares counters, by the words of p3dod status.
func wantCounters(t testing.TB, s *server, want string) {
	t.Helper()
	if got := words(s.counters()); got != want {
		t.Errorf("%s: %s\nwant: %s", s.name, got, want)
	}
}

// words writes the counters that are not zero, in a fixed order.
func words(c mor.Counters) string {
	text := ""
	add := func(name string, n uint64) {
		if n > 0 {
			text += fmt.Sprintf(" %s=%d", name, n)
		}
	}
	add("heard", c.Heard)
	add("duplicates", c.Duplicates)
	add("forwarded", c.Forwarded)
	add("rebroadcast", c.Rebroadcast)
	add("peeled", c.Peeled)
	add("crossed", c.Crossed)
	add("spoken", c.Spoken)
	for reason, n := range c.Dropped {
		add(mor.Drop(reason).String(), n)
	}
	if text == "" {
		return "nothing"
	}
	return text[1:]
}
