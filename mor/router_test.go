package mor_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// junk is a packet for nobody; each n makes another.
func junk(now time.Time, n int) onion.Packet {
	raw := make([]byte, onion.Size)
	raw[0], raw[1] = onion.Version, onion.Suite
	binary.BigEndian.PutUint16(raw[2:], onion.EpochAt(now).Wire())
	binary.BigEndian.PutUint64(raw[100:], uint64(n))
	return must(onion.Parse(raw))
}

// speeches are the packets of a Broadcast, comparable.
func speeches(out mor.Output) (ids []string) {
	for _, s := range out.Broadcast {
		ids = append(ids, fmt.Sprint(s.On, s.Packet.ID()))
	}
	return ids
}

// Who owns the key of a packet says the same, at the same time, and wakes at the same time
// as any other member that hears it (the packets are cover, so nothing of the owner's own
// comes after them).
func TestOwnerActsLikeEverybody(t *testing.T) {
	slow := func(c *mor.Config) { c.Delay = 60 * time.Millisecond }
	a, owner := newServer("a", 1, nil), newServer("x", 1, slow)
	member := newServer("x", 1, func(c *mor.Config) {
		slow(c)
		c.Contexts = slices.Clone(c.Contexts)
		c.Contexts[0].Key, c.Contexts[0].Hint = must(onion.NewContextKey(stream("k"))), onion.Hint{1}
	})
	owner.listen(a, 0)
	member.listen(a, 0)
	random, now := rand.New(rand.NewPCG(1, 2)), start
	same := func(mine, others mor.Output) {
		t.Helper()
		if !slices.Equal(speeches(mine), speeches(others)) || len(mine.Forward)+len(others.Forward) != 0 || !mine.Wake.Equal(others.Wake) {
			t.Fatalf("the owner says %v and wakes at %s, others say %v and wake at %s",
				speeches(mine), mine.Wake, speeches(others), others.Wake)
		}
	}
	said := 0
	for i := range 300 {
		p := junk(now, i)
		if i%3 == 0 {
			p = cover(random8(random), now, owner.hop(0, now))
		}
		mine := owner.did(owner.Hear(now, a.own[0].ID, p))
		said += len(mine.Broadcast)
		same(mine, member.did(member.Hear(now, a.own[0].ID, p)))
		for range random.IntN(4) {
			now = owner.wake
			mine := owner.did(owner.Tick(now))
			said += len(mine.Broadcast)
			same(mine, member.did(member.Tick(now)))
		}
		now = now.Add(time.Duration(random.IntN(8)) * time.Millisecond)
	}
	if c := owner.counters(); c.Peeled < 90 || said < 250 || member.counters().Peeled != 0 {
		t.Errorf("the test shows little: %s, %d said", words(c), said)
	}
}

// random8 makes an io.Reader of a random source.
func random8(r *rand.Rand) *rand.ChaCha8 {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], r.Uint64())
	return rand.NewChaCha8(seed)
}

// lie signs a record that says s's context leads to servers that others own.
func (s *server) lie(now time.Time, leads ...onion.ServerID) mor.Answered {
	c := s.own[0]
	raw := must(mor.Record{
		ID: c.ID, Owner: s.cfg.Domain, Key: c.Key.Public(), Hint: c.Hint, Epoch: c.Epoch,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(mor.RecordLifetime), Leads: leads,
	}.Sign(s.authority.Sign))
	return mor.Answered{Depth: 1, Raw: raw}
}

// Each context says that the next leads to a server that is nowhere. After LegBudget
// re-wraps the packet goes no further.
func TestLegBudgetEndsAChain(t *testing.T) {
	nowhere := newServer("nowhere", 1, nil)
	var chain []*server
	for i := range 7 {
		chain = append(chain, newServer(fmt.Sprintf("s%d", i), 1, nil))
	}
	for i, s := range chain[:6] {
		s.listen(chain[i+1], 0)
		chain[i+1].listen(s, 0)
		must(s.Learn(start, chain[i+1].own[0].ID, []mor.Answered{chain[i+1].lie(start, nowhere.key.Public().ID())}, authorities(chain)))
	}
	spoken := walkChain(t, chain, nowhere)
	if spoken != 1+mor.LegBudget {
		t.Errorf("spoken by %d servers", spoken)
	}
	wantCounters(t, chain[4], "heard=1 rebroadcast=1 peeled=1 budget=1")
	wantCounters(t, chain[5], "nothing")
}

// walkChain submits at the first server and carries what each says to the next.
func walkChain(t *testing.T, chain []*server, to *server) (spoken int) {
	t.Helper()
	now := start
	in := inner(stream("in"), onion.Mailbox{}, now, to)
	out, err := chain[0].Submit(now, onion.Entry{First: to.key.Public().ID(), Inner: in})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range chain {
		s.did(out)
		for !s.wake.IsZero() {
			now = s.wake
			if out = s.did(s.Tick(now)); len(out.Broadcast) > 0 {
				break
			}
		}
		if len(out.Broadcast) == 0 || i == len(chain)-1 {
			return spoken
		}
		spoken++
		own := out.Broadcast[0].Packet
		out = chain[i+1].Hear(now, s.own[0].ID, own)
	}
	return spoken
}

// Two contexts say of each other that they lead to a server. The second sight of the inner
// packet ends the circle.
func TestCircleEnds(t *testing.T) {
	nowhere, a, b := newServer("nowhere", 1, nil), newServer("a", 1, nil), newServer("b", 1, nil)
	all := []*server{a, b, a}
	a.listen(b, 0)
	b.listen(a, 0)
	must(a.Learn(start, b.own[0].ID, []mor.Answered{b.lie(start, nowhere.key.Public().ID())}, authorities(all)))
	must(b.Learn(start, a.own[0].ID, []mor.Answered{a.lie(start, nowhere.key.Public().ID())}, authorities(all)))
	walkChain(t, all, nowhere)
	if got := a.counters(); got.Dropped[mor.DropReplay] != 1 || got.Spoken != 1 {
		t.Error(words(got))
	}
}

// The queues have ends. What comes after them is dropped and counted.
func TestQueuesAreCapped(t *testing.T) {
	a := newServer("a", 1, nil)
	b := newServer("b", 1, func(c *mor.Config) { c.Delay, c.MaxDelay = time.Hour, time.Minute })
	b.listen(a, 0)
	for i := range mor.MaxQueue + 5 {
		b.did(b.Hear(start, a.own[0].ID, junk(start, i)))
	}
	early := b.counters().Rebroadcast // drawn shorter than an instant: none, with this mean
	wantCounters(t, b, fmt.Sprintf("heard=%d queue-full=%d", mor.MaxQueue+5, 5-int(early)))
	said := 0
	for now := start; !b.wake.IsZero(); now = b.wake {
		said += len(b.did(b.Tick(now)).Broadcast)
	}
	if said != mor.MaxQueue {
		t.Errorf("%d said", said)
	}
}

// A context that brings too much to peel is refused alone.
func TestMarksAreShared(t *testing.T) {
	a, c := newServer("a", 1, nil), newServer("c", 1, nil)
	b := newServer("b", 1, func(cfg *mor.Config) { cfg.MarkShare = 2 })
	b.listen(a, 0)
	b.listen(c, 0)
	now, random := start, stream("cover")
	hear := func(from *server) {
		b.did(b.Hear(now, from.own[0].ID, cover(random, now, b.hop(0, now))))
		now = b.wake
		b.did(b.Tick(now))
	}
	for range 3 {
		hear(a)
	}
	wantCounters(t, b, "heard=3 rebroadcast=3 peeled=2 cover=2 marks-full=1")
	hear(c)
	wantCounters(t, b, "heard=4 rebroadcast=4 peeled=3 cover=3 marks-full=1")
	now = now.Add(3 * time.Hour) // the marks have run out
	hear(a)
	wantCounters(t, b, "heard=5 rebroadcast=5 peeled=4 cover=4 marks-full=1")
}

// A packet whose first layer is our own server's, and for which there is no way on, leaves
// no trace: handed in again when there is one, it goes.
func TestSubmitAgainAfterError(t *testing.T) {
	a, b := newServer("a", 1, nil), newServer("b", 1, nil)
	a.listen(b, 0)
	b.listen(a, 0)
	entry := onion.Entry{First: a.key.Public().ID(), Inner: inner(stream("in"), onion.Mailbox{}, start, a, b)}
	out, err := a.Submit(start, entry)
	var leg *mor.LegError
	if !errors.As(err, &leg) || leg.Reason != mor.DropNoRoute || len(out.Remember) != 0 {
		t.Fatalf("%v, remember %v", err, out.Remember)
	}
	if _, _, err := a.ask(start, b, 0, []*server{b}); err != nil {
		t.Fatal(err)
	}
	if out, err = a.Submit(start, entry); err != nil || len(out.Remember) != 2 {
		t.Fatalf("%v, remember %v", err, out.Remember)
	}
	if out := a.Tick(out.Wake); len(out.Broadcast) != 1 {
		t.Errorf("%d said", len(out.Broadcast))
	}
	wantCounters(t, a, "forwarded=1 spoken=1 no-route=1")
}

// An inner layer that has expired, or that expires later than its mark may be kept, is
// refused.
func TestExpiryIsBounded(t *testing.T) {
	for expiry, delivered := range map[time.Duration]int{
		time.Hour: 1, mor.LetterLifetime: 1, -time.Hour: 0, mor.LetterLifetime + 48*time.Hour: 0,
	} {
		a := newServer("a", 1, nil)
		hops := []onion.InnerHop{{Key: a.key.Public()}}
		in := must(onion.BuildInner(stream("in"), hops, onion.Mailbox{}, start.Add(expiry), make([]byte, onion.PayloadSize)))
		out, err := a.Submit(start, onion.Entry{First: a.key.Public().ID(), Inner: in})
		if err != nil || len(out.Deliver) != delivered {
			t.Errorf("expiring after %s: %v, %d delivered", expiry, err, len(out.Deliver))
		}
	}
}

// A reply with a payload of another length is refused, and the router stays usable.
func TestReplyRefuses(t *testing.T) {
	a := newServer("a", 1, nil)
	if _, err := a.Reply(start, onion.SURB{}, nil); err == nil {
		t.Error("replied by no reply block")
	}
}

// Listeners and members have ends, and nobody takes another's place.
func TestMembership(t *testing.T) {
	a, b, c := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil)
	own, theirs := a.own[0].ID, b.own[0].ID
	if a.Listen(b.cfg.Domain, theirs, theirs) || a.Admit(theirs, b.cfg.Domain) || a.Listen(b.cfg.Domain, own, own) {
		t.Error("spoke on a context of somebody else, or listened to its own")
	}
	for range 2 { // again after the link was made anew
		if !a.Listen(b.cfg.Domain, theirs, own) {
			t.Error("b is not listened to")
		}
	}
	if a.Listen(c.cfg.Domain, theirs, own) {
		t.Error("c took the place of b's context")
	}
	for i := range mor.MaxListeners - 1 {
		if !a.Listen(c.cfg.Domain, mor.ContextID{1, byte(i), byte(i >> 8)}, own) {
			t.Fatal(i)
		}
	}
	if a.Listen(c.cfg.Domain, mor.ContextID{2}, own) {
		t.Error("one listener too many")
	}
	for i := range mor.MaxMembers {
		if !a.Admit(own, must(pki.ParseDomain(fmt.Sprintf("m%d.test", i)))) {
			t.Fatal(i)
		}
	}
	first := must(pki.ParseDomain("m0.test"))
	if a.Admit(own, b.cfg.Domain) || !a.Admit(own, first) {
		t.Error("one member too many, or an old one refused")
	}
	a.Dismiss(own, first)
	if _, ok := a.Ask(start, own, first); ok || !a.Admit(own, b.cfg.Domain) {
		t.Error("dismissed, and still a member")
	}
	if _, ok := a.Ask(start, own, b.cfg.Domain); !ok {
		t.Error("a member got no answer")
	}
}

// What is heard after Unlisten was not said to us.
func TestUnlisten(t *testing.T) {
	a, b := newServer("a", 1, nil), newServer("b", 1, nil)
	b.listen(a, 0)
	b.Unlisten(a.own[0].ID)
	b.Hear(start, a.own[0].ID, junk(start, 1))
	wantCounters(t, b, "nothing")
}

func TestNewRouterReturnsAllFaults(t *testing.T) {
	_, err := mor.NewRouter(mor.Config{ExtraHops: 4, Delay: -1, SeenShare: -1, MaxDelay: time.Hour})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 9 {
		t.Errorf("%v", err)
	}
}

// A server key cannot be turned into a context key, nor the other way: by the rules of the
// language, which reflect applies. So no leg can be built over one (row M7).
func TestServerKeysAreNoContextKeys(t *testing.T) {
	server, context := reflect.TypeFor[onion.ServerKey](), reflect.TypeFor[onion.ContextKey]()
	if server.ConvertibleTo(context) || context.ConvertibleTo(server) {
		t.Error("one kind of key converts to the other")
	}
	field, _ := reflect.TypeFor[onion.OuterHop]().FieldByName("Key")
	key, _ := reflect.TypeFor[mor.Record]().FieldByName("Key")
	if field.Type != context || key.Type != context {
		t.Errorf("legs are built over %s, records hold %s", field.Type, key.Type)
	}
}
