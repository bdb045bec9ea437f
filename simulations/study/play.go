package study

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/standin"
)

// An Outcome is what happened in one world.
type Outcome struct {
	Seed  uint64
	Trace Trace // of all that happened, in its order

	Nodes         int
	Messages      []Message
	Delivered     measure.Share
	Acknowledged  measure.Share
	Latencies     []float64 // in seconds, of the messages that were shown; in order
	Stretches     []float64 // the same over the shortest way; in order
	Transmissions uint64
	Bytes         uint64
	Copies        uint64
	Heard         uint64
	Duplicates    uint64
	Busiest       float64 // 0: nobody said anything
	Events        uint64
}

// A Trace is SHA-256 of all that happened in a world. It is written in hexadecimal.
type Trace [sha256.Size]byte

// MarshalText writes the 64 digits.
func (t Trace) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, t[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (t *Trace) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(t) {
		return fmt.Errorf("study: %q is no trace", text)
	}
	copy(t[:], raw)
	return nil
}

// A Message is one that was sent.
type Message struct {
	From, To  int // nodes
	Sent      time.Duration
	Shown     time.Duration // since the beginning, if it was delivered
	Shortest  time.Duration // that it could have taken over the links
	Acked     bool
	Delivered bool
}

// noticeSize is what the news of a packet, a wish for it or a refusal takes on a link.
const noticeSize = 48

// per divides by the messages that were shown; NaN if none was.
func (o *Outcome) per(n uint64) float64 {
	if o.Delivered.Hits == 0 {
		return math.NaN()
	}
	return float64(n) / float64(o.Delivered.Hits)
}

// A stage is a world that is being played.
type stage struct {
	scenario Scenario
	world    *simulations.World
	random   *rand.Rand
	users    []*simulations.User
	homes    []int
	at       map[int][]int // the users of a node
	dying    map[int]bool  // nodes
	letters  []*letter
	links    map[[2]int]time.Duration
}

// A letter is a message on its way.
type letter struct {
	from, to int // users
	sent     time.Duration
	id       mor.MessageID
	failed   bool // its sender could not send it
}

// Play plays a scenario with one seed: the production router and sender, under a virtual clock.
func Play(s Scenario, seed uint64) (*Outcome, error) {
	st := &stage{scenario: s, random: rand.New(stream(seed, "traffic")), at: make(map[int][]int), links: make(map[[2]int]time.Duration)}
	if err := st.build(seed); err != nil {
		return nil, err
	}
	end, err := st.plan()
	if err != nil {
		return nil, err
	}
	st.world.RunUntil(end, st.done)
	return st.outcome(seed), nil
}

// stream is a random stream of one part of a study's world. That of the world itself has others.
func stream(seed uint64, label string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("study "+label), seed)))
}

// build makes the world and its users.
func (st *stage) build(seed uint64) (err error) {
	w, r := st.scenario.World, st.scenario.Router
	st.world, err = simulations.NewWorld(simulations.Config{
		Seed: seed, Nodes: w.Nodes, Degree: w.Degree, Cells: w.Cells,
		Latency: time.Duration(w.Latency), Distance: st.distances(seed), Jitter: time.Duration(w.Jitter), Loss: w.Loss, Reach: st.scenario.Traffic.Reach,
		Scheme: w.scheme(), ExtraHops: r.ExtraHops, Delay: time.Duration(r.Delay), PeelDelay: time.Duration(r.PeelDelay), Lazy: r.Lazy, Cover: time.Duration(r.Cover),
	})
	if err != nil {
		return fmt.Errorf("study: making the world of seed %d: %w", seed, err)
	}
	for range st.scenario.Traffic.Users {
		home := st.random.IntN(w.Nodes)
		u, err := st.world.AddUser(home)
		if err != nil {
			return fmt.Errorf("study: making the users of seed %d: %w", seed, err)
		}
		st.at[home] = append(st.at[home], len(st.users))
		st.users, st.homes = append(st.users, u), append(st.homes, home)
	}
	return nil
}

// scheme is that of packets.
func (w World) scheme() onion.Scheme {
	if w.Crypto == CryptoStandIn {
		return standin.Scheme()
	}
	return onion.Scheme{}
}

// spreads is how many latencies of links are told apart.
const spreads = 1 << 10

// distances draws the latency of each link, the same in both directions.
func (st *stage) distances(seed uint64) func(from, to int) time.Duration {
	w := st.scenario.World
	random := rand.New(stream(seed, "latency"))
	return func(from, to int) time.Duration {
		link := [2]int{min(from, to), max(from, to)}
		d, known := st.links[link]
		if !known {
			// A quantile of the log-normal, in whole microseconds: the last bit of a logarithm must not decide what happens.
			q := (float64(random.IntN(spreads)) + 0.5) / spreads
			factor := math.Exp(w.Spread * math.Sqrt2 * math.Erfinv(2*q-1))
			d = time.Duration(math.Round(float64(time.Duration(w.Latency).Microseconds())*factor)) * time.Microsecond
			st.links[link] = d
		}
		return d
	}
}

// plan has the messages sent and the nodes fail, and returns when the world ends.
func (st *stage) plan() (time.Duration, error) {
	t := st.scenario.Traffic
	dying := st.drawDying()
	at := time.Duration(0)
	for range t.Messages {
		at += time.Duration(st.random.ExpFloat64() * float64(t.Pause))
		from, to, err := st.pair()
		if err != nil {
			return 0, err
		}
		l := &letter{sent: at, from: from, to: to}
		st.letters = append(st.letters, l)
		st.world.After(at, func() { st.send(l) })
	}
	for i, node := range dying {
		after := time.Duration(st.scenario.Faults.After)
		pause := max(at-after, 0) / time.Duration(len(dying))
		st.world.After(after+time.Duration(i)*pause, st.world.Node(node).Stop)
	}
	return at + time.Duration(t.Patience), nil
}

// drawDying draws the nodes that fail. At least two users live elsewhere.
func (st *stage) drawDying() []int {
	all := st.random.Perm(st.scenario.World.Nodes)
	all = all[:int(st.scenario.Faults.Dead*float64(len(all)))]
	st.dying = make(map[int]bool, len(all))
	for _, node := range all {
		st.dying[node] = true
	}
	for len(all) > 0 && st.safe() < 2 {
		delete(st.dying, all[len(all)-1])
		all = all[:len(all)-1]
	}
	return all
}

// safe counts the users whose homes last.
func (st *stage) safe() (n int) {
	for _, home := range st.homes {
		if !st.dying[home] {
			n++
		}
	}
	return n
}

// tries is how often two users are drawn before there are taken to be none.
const tries = 10_000

// pair draws two users whose homes last, the second within reach of the first.
func (st *stage) pair() (from, to int, err error) {
	for range tries {
		from = st.random.IntN(len(st.users))
		near := st.world.Near(st.homes[from])
		if near == nil {
			to = st.random.IntN(len(st.users))
		} else if users := st.at[near[st.random.IntN(len(near))].Index()]; len(users) > 0 {
			to = users[st.random.IntN(len(users))]
		} else {
			continue
		}
		if from != to && !st.dying[st.homes[from]] && !st.dying[st.homes[to]] {
			return from, to, nil
		}
	}
	return 0, 0, errors.New("study: no two users are within traffic.reach of each other: give it more, or more users")
}

func (st *stage) send(l *letter) {
	id, err := st.users[l.from].SendBy(st.users[l.to], "a message", st.scenario.Router.Hops)
	l.id, l.failed = id, err != nil
}

// done reports whether every sender knows that her message was read.
func (st *stage) done() bool {
	for i := len(st.letters) - 1; i >= 0; i-- { // the last ones are the last to arrive
		l := st.letters[i]
		if l.id == (mor.MessageID{}) && !l.failed || !l.failed && st.users[l.from].State(l.id) != mor.Acknowledged {
			return false
		}
	}
	return true
}

// outcome reads what happened.
func (st *stage) outcome(seed uint64) *Outcome {
	c := st.world.Counts()
	o := &Outcome{
		Seed: seed, Trace: st.world.Trace(), Nodes: st.scenario.World.Nodes, Events: c.Events,
		Transmissions: c.Said, Bytes: c.Said*onion.Size + c.Notices*noticeSize, Copies: c.Submitted,
	}
	shown := make(map[mor.MessageID]time.Time)
	for _, u := range st.users {
		for _, m := range u.Inbox() {
			shown[m.ID] = m.At
		}
	}
	start := time.Unix(simulations.Beginning, 0)
	shortest := st.shortest()
	for _, l := range st.letters {
		m := Message{From: st.homes[l.from], To: st.homes[l.to], Sent: l.sent}
		m.Shortest = shortest(m.From, m.To)
		if at, ok := shown[l.id]; ok && !l.failed {
			m.Delivered, m.Shown = true, at.Sub(start)
		}
		m.Acked = !l.failed && st.users[l.from].State(l.id) == mor.Acknowledged
		o.add(m)
	}
	slices.Sort(o.Latencies)
	slices.Sort(o.Stretches)
	st.loads(o)
	return o
}

// add counts a message.
func (o *Outcome) add(m Message) {
	o.Messages = append(o.Messages, m)
	o.Delivered.N++
	o.Acknowledged.N++
	if m.Acked {
		o.Acknowledged.Hits++
	}
	if m.Delivered {
		o.Delivered.Hits++
		took := m.Shown - m.Sent
		o.Latencies = append(o.Latencies, took.Seconds())
		if m.Shortest > 0 {
			o.Stretches = append(o.Stretches, float64(took)/float64(m.Shortest))
		}
	}
}

// loads reads the counters of the routers.
func (st *stage) loads(o *Outcome) {
	most, all := uint64(0), uint64(0)
	for i := range o.Nodes {
		said := uint64(0)
		contexts, _ := st.world.Node(i).Router.Status()
		for _, c := range contexts {
			o.Heard += c.Counters.Heard
			o.Duplicates += c.Counters.Duplicates
			said += c.Counters.Rebroadcast + c.Counters.Spoken
		}
		most, all = max(most, said), all+said
	}
	if all > 0 {
		o.Busiest = float64(most) * float64(o.Nodes) / float64(all)
	}
}

// shortest returns how long the shortest way over links takes from one node to another.
func (st *stage) shortest() func(from, to int) time.Duration {
	known := make(map[int][]time.Duration)
	next := make([][]int, st.scenario.World.Nodes)
	for link := range st.links { // order-free: sorted below
		next[link[0]], next[link[1]] = append(next[link[0]], link[1]), append(next[link[1]], link[0])
	}
	for _, n := range next {
		slices.Sort(n)
	}
	return func(from, to int) time.Duration {
		if _, ok := known[from]; !ok {
			known[from] = st.dijkstra(from, next)
		}
		return known[from][to]
	}
}

func (st *stage) dijkstra(from int, next [][]int) []time.Duration {
	far := make([]time.Duration, len(next))
	for i := range far {
		far[i] = math.MaxInt64
	}
	var queue kernel.Heap
	far[from] = 0
	queue.Push(kernel.Event{To: uint32(from)})
	for e, ok := queue.Pop(); ok; e, ok = queue.Pop() {
		n := int(e.To)
		for _, to := range next[n] {
			if d := time.Duration(e.At) + st.links[[2]int{min(n, to), max(n, to)}]; d < far[to] {
				far[to] = d
				queue.Push(kernel.Event{At: kernel.Time(d), To: uint32(to)})
			}
		}
	}
	return far
}
