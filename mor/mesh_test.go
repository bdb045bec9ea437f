package mor_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
	"github.com/p3do/p3do/simulations"
)

// letters is what a test of a mesh sends, and what became of it.
type letters struct {
	world *simulations.World
	users []*simulations.User
	sent  []letter
}

type letter struct {
	from, to *simulations.User
	id       mor.MessageID
	text     string
}

// newLetters makes a world and a user at each of the homes.
func newLetters(t *testing.T, cfg simulations.Config, homes ...int) *letters {
	t.Helper()
	l := &letters{world: must(simulations.NewWorld(cfg))}
	for _, home := range homes {
		l.users = append(l.users, must(l.world.AddUser(home)))
	}
	return l
}

func (l *letters) send(t *testing.T, from, to, hops int) {
	t.Helper()
	text := fmt.Sprintf("letter %d", len(l.sent))
	id, err := l.users[from].SendBy(l.users[to], text, hops)
	if err != nil {
		t.Fatal(err)
	}
	l.sent = append(l.sent, letter{l.users[from], l.users[to], id, text})
}

// arrive demands that within limit every letter is acknowledged, and shown exactly once.
func (l *letters) arrive(t *testing.T, limit time.Duration) {
	t.Helper()
	if !l.world.RunUntil(limit, l.acknowledged) {
		t.Errorf("not all acknowledged within %s; %+v", limit, l.world.Counts())
	}
	l.world.Run(time.Minute) // what is still under way must change nothing
	for _, s := range l.sent {
		shown := 0
		for _, m := range s.to.Inbox() {
			if m.ID == s.id && m.Text == s.text {
				shown++
			}
		}
		if shown != 1 {
			t.Errorf("%q shown %d times, %s for its sender by %s", s.text, shown, s.from.State(s.id), s.from.Outgoing(s.id).Last)
		}
	}
}

func (l *letters) acknowledged() bool {
	for _, s := range l.sent {
		if s.from.State(s.id) != mor.Acknowledged {
			return false
		}
	}
	return true
}

// dropped adds up what the nodes counted.
func (l *letters) dropped(nodes int, reason mor.Drop) (sum uint64) {
	for i := range nodes {
		own, _ := l.world.Node(i).Router.Status()
		for _, c := range own {
			sum += c.Counters.Dropped[reason]
		}
	}
	return sum
}

// reach is how many links away servers may be: records travel three Asks, and name the
// neighbours of their owners.
const reach = mor.MaxDepth + 1

// Every message with two or more relays between live servers is delivered exactly once,
// and nothing is dropped on the way, whatever the mesh (as far as records travel), the
// added hops and the delays.
func TestMeshDeliversOnce(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			nodes := 5 + random.IntN(12)
			cfg := simulations.Config{
				Seed: seed, Nodes: nodes, Degree: 2 + random.IntN(4), ExtraHops: random.IntN(3),
				Jitter: 30 * time.Millisecond, Delay: time.Duration(random.IntN(60)) * time.Millisecond,
				PeelDelay: time.Duration(random.IntN(60)) * time.Millisecond, Lazy: seed%2 == 1,
			}
			homes := []int{random.IntN(nodes), random.IntN(nodes), random.IntN(nodes)}
			l := newLetters(t, cfg, homes...)
			for l.world.Diameter() > reach {
				cfg.Degree++
				l = newLetters(t, cfg, homes...)
			}
			for range 4 {
				from := random.IntN(3)
				l.send(t, from, (from+1+random.IntN(2))%3, 2+random.IntN(2))
			}
			l.arrive(t, 4*time.Hour)
			for _, reason := range []mor.Drop{mor.DropAuth, mor.DropEpoch, mor.DropNoRoute, mor.DropBudget, mor.DropSeenFull} {
				if n := l.dropped(nodes, reason); n != 0 {
					t.Errorf("%d dropped for %s", n, reason)
				}
			}
		})
	}
}

// Beyond the reach of records there is no route, which the sender is told, and nothing
// leaves in its place. In steps within reach the same server is reached.
func TestMeshBeyondReach(t *testing.T) {
	var chain [][2]int
	for i := range 8 {
		chain = append(chain, [2]int{i, i + 1})
	}
	l := newLetters(t, simulations.Config{Seed: 1, Nodes: 9, Edges: chain}, 0, 8)
	if got := l.world.Diameter(); got != 8 {
		t.Fatal(got)
	}
	relay := func(i int) pki.Domain { return l.world.Node(i).Domain() }
	id := must(l.users[0].SendBy(l.users[1], "too far", 2, relay(5), relay(6)))
	l.world.Run(2 * time.Second)
	if got := l.users[0].State(id); got != mor.Queued || l.world.Counts().Refused == 0 || l.world.Counts().Said != 0 {
		t.Errorf("%s, %+v", got, l.world.Counts())
	}
	id = must(l.users[0].SendBy(l.users[1], "in steps", 2, relay(4), relay(6)))
	l.world.Run(time.Hour)
	if inbox := l.users[1].Inbox(); len(inbox) != 1 || inbox[0].ID != id {
		t.Errorf("%v", inbox)
	}
}

// With a tenth of all packets lost on all links, letters arrive, and are shown once.
func TestMeshWithLoss(t *testing.T) {
	for seed := range uint64(4) {
		l := newLetters(t, simulations.Config{Seed: seed, Nodes: 8, Degree: 3, Loss: 0.1, ExtraHops: 1, Lazy: seed%2 == 1}, 0, 4)
		for range 10 {
			l.send(t, 0, 1, 2)
		}
		l.arrive(t, 24*time.Hour)
	}
}

// A relay that flips bits, drops or repeats cannot stop a message that has another way.
func TestMeshWithHostileRelay(t *testing.T) {
	t.Parallel()
	for name, behaviour := range map[string]simulations.Behaviour{
		"flips tags": simulations.FlipTags, "flips bodies": simulations.FlipBodies,
		"drops": simulations.Silent, "repeats": simulations.Repeating,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				cfg := simulations.Config{Seed: seed, Nodes: 8, Degree: 4, ExtraHops: 1, Lazy: seed == 1}
				l := newLetters(t, cfg, 0, 4)
				l.world.Node(2).Behave(behaviour)
				for range 4 {
					l.send(t, 0, 1, 2)
					l.send(t, 1, 0, 3)
				}
				l.arrive(t, 6*24*time.Hour)
			}
		})
	}
}

// The shortest way is by a relay that flips tags (1 - 4 - 3), the honest one is longer (1 -
// 5 - 6 - 3). With a seen key without the tag, the flipped packet, which is first, would
// silence the true one; here every first copy arrives.
func TestFlippedTagsCensorNothing(t *testing.T) {
	edges := [][2]int{{0, 1}, {1, 4}, {4, 3}, {1, 5}, {5, 6}, {6, 3}, {3, 2}}
	l := newLetters(t, simulations.Config{Seed: 5, Nodes: 7, Edges: edges}, 0, 2)
	l.world.Node(4).Behave(simulations.FlipTags)
	first, second := l.world.Node(1).Domain(), l.world.Node(3).Domain()
	for range 6 {
		id, err := l.users[0].SendBy(l.users[1], "hello", 2, first, second)
		if err != nil {
			t.Fatal(err)
		}
		l.world.Run(3 * time.Second) // less than the shortest time to a second copy
		if o := l.users[0].Outgoing(id); o.Attempts != 1 {
			t.Fatalf("%d copies", o.Attempts)
		}
	}
	if got := len(l.users[1].Inbox()); got != 6 {
		t.Errorf("%d of 6 first copies arrived", got)
	}
}

// A letter whose relay goes down under way takes another, and one that was sent while the
// mailbox server was down arrives when that is up again.
func TestMeshWithDeadServers(t *testing.T) {
	l := newLetters(t, simulations.Config{Seed: 3, Nodes: 8, Degree: 4}, 0, 4)
	l.world.Node(2).Stop()
	l.world.Node(4).Stop()
	for range 4 {
		l.send(t, 0, 1, 2)
	}
	l.world.Run(5 * time.Minute)
	for _, s := range l.sent {
		if got := s.from.State(s.id); got != mor.Sent {
			t.Errorf("%s while the mailbox server is down", got)
		}
	}
	if err := l.world.Node(4).Restart(); err != nil {
		t.Fatal(err)
	}
	l.arrive(t, 24*time.Hour)
}

// Two users' programs crash again and again, and go on with the outbox that was saved.
func TestMeshWithCrashes(t *testing.T) {
	l := newLetters(t, simulations.Config{Seed: 4, Nodes: 6, Degree: 3, Loss: 0.1}, 0, 3)
	for range 5 {
		l.send(t, 0, 1, 2)
		for i := range 40 {
			l.world.After(time.Duration(i)*700*time.Millisecond, l.users[i%2].Crash)
		}
	}
	l.arrive(t, 24*time.Hour)
}

// Restarted in the middle of everything, nodes neither peel nor deliver twice.
func TestMeshWithRestarts(t *testing.T) {
	l := newLetters(t, simulations.Config{Seed: 6, Nodes: 6, Degree: 3}, 0, 3)
	l.world.Node(1).Behave(simulations.Repeating)
	for range 6 {
		l.send(t, 0, 1, 2)
	}
	for i := range 30 {
		l.world.After(time.Duration(i)*100*time.Millisecond, func() {
			if err := l.world.Node(i % 6).Restart(); err != nil {
				t.Error(err)
			}
		})
	}
	l.arrive(t, 24*time.Hour)
}

// A message that nobody takes expires after its lifetime, and then nothing more is sent.
func TestMeshExpiry(t *testing.T) {
	t.Parallel()
	l := newLetters(t, simulations.Config{Seed: 8, Nodes: 4, Degree: 2}, 0, 2)
	l.world.Node(2).Stop()
	l.send(t, 0, 1, 2)
	l.world.Run(mor.LetterLifetime - time.Minute)
	if got := l.users[0].State(l.sent[0].id); got != mor.Sent {
		t.Fatalf("%s before its time", got)
	}
	l.world.Run(2 * time.Minute)
	if got := l.users[0].State(l.sent[0].id); got != mor.Expired {
		t.Fatalf("%s after its time", got)
	}
	submitted := l.world.Counts().Submitted
	l.world.Run(24 * time.Hour)
	if got := l.world.Counts().Submitted; got != submitted {
		t.Errorf("%d copies of an expired message", got-submitted)
	}
}

// The same seed gives the same events, another seed others.
func TestSameSeedSameTrace(t *testing.T) {
	trace := func(seed uint64) [32]byte {
		cfg := simulations.Config{
			Seed: seed, Nodes: 7, Degree: 3, Loss: 0.2, Jitter: 20 * time.Millisecond,
			Delay: 30 * time.Millisecond, PeelDelay: 30 * time.Millisecond, ExtraHops: 2,
		}
		l := newLetters(t, cfg, 0, 3, 5)
		l.world.Node(1).Behave(simulations.FlipBodies)
		for i := range 6 {
			l.send(t, i%3, (i+1)%3, 2)
		}
		l.world.Run(2 * time.Minute)
		return l.world.Trace()
	}
	first, again, other := trace(1), trace(1), trace(2)
	if first != again {
		t.Error("one seed, two traces")
	}
	if first == other {
		t.Error("two seeds, one trace")
	}
}
