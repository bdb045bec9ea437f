package simulations

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/simulations/kernel"
)

// The benchmarks play whole worlds of floods: a random regular graph of 10 000 nodes of degree 8, 40 packets that each
// node says once to all its neighbours but the one it heard it from, links of 5 to 175 ms, a jitter for each delivery. An
// iteration is a world. They report events per second, the most that was planned at a time, and allocations per event.
const (
	floodNodes  = 10_000
	floodDegree = 8
	floodTimes  = 40

	floodEvents = floodNodes*floodDegree - (floodNodes - 1) // of each, exactly: every node but one has a neighbour it does not answer
)

// A floodGraph is the neighbours of all nodes, with the way back and the latency of each link.
type floodGraph struct {
	to      [floodNodes * floodDegree]uint32
	back    [floodNodes * floodDegree]uint8 // which neighbour of the other the node is
	latency [floodNodes * floodDegree]kernel.Time
}

// newFloodGraph joins stubs at random until no node is joined to itself or twice to another.
func newFloodGraph() *floodGraph {
	random := rand.New(rand.NewPCG(1, 2))
	g := new(floodGraph)
	stubs := make([]uint32, len(g.to))
	for i := range stubs {
		stubs[i] = uint32(i)
	}
	random.Shuffle(len(stubs), func(i, j int) { stubs[i], stubs[j] = stubs[j], stubs[i] })
	for again := true; again; {
		again = false
		joined := make(map[[2]uint32]bool, len(stubs))
		for i := 0; i < len(stubs); i += 2 {
			a, b := stubs[i]/floodDegree, stubs[i+1]/floodDegree
			pair := [2]uint32{min(a, b), max(a, b)}
			if a == b || joined[pair] {
				j := random.IntN(len(stubs))
				stubs[i+1], stubs[j] = stubs[j], stubs[i+1]
				again = true
			}
			joined[pair] = true
		}
	}
	for i := 0; i < len(stubs); i += 2 {
		a, b, latency := stubs[i], stubs[i+1], kernel.Time(5+random.IntN(171))*1e6
		g.to[a], g.back[a], g.latency[a] = b/floodDegree, uint8(b%floodDegree), latency
		g.to[b], g.back[b], g.latency[b] = a/floodDegree, uint8(a%floodDegree), latency
	}
	return g
}

// A flooding is a world of floods. An event is for a node, and says which packet came over which of its links.
type flooding struct {
	*floodGraph
	push  func(kernel.Event)
	seen  [floodTimes][(floodNodes + 63) / 64]uint64
	lots  rand.PCG
	trace uint64
}

const noLink = floodDegree

// begin plans the packets, a time apart from each other.
func (f *flooding) begin(times uint32, apart time.Duration) {
	f.lots.Seed(3, 4)
	for packet := range times {
		f.push(kernel.Event{At: kernel.Time(packet) * kernel.Time(apart), To: packet * 241 % floodNodes, What: packet<<8 | noLink})
	}
}

// happen hears a packet, and says it on if it is new.
func (f *flooding) happen(e kernel.Event) {
	packet, link := e.What>>8, e.What&0xff
	f.trace = (f.trace ^ uint64(e.At) ^ uint64(e.To)<<32 ^ uint64(e.What)) * 0x9e3779b97f4a7c15
	word, bit := &f.seen[packet][e.To/64], uint64(1)<<(e.To%64)
	if *word&bit != 0 {
		return
	}
	*word |= bit
	lots := f.lots.Uint64()
	for i := range uint32(floodDegree) {
		if i == link {
			continue
		}
		at := e.To*floodDegree + i
		jitter := kernel.Time(lots >> (8 * i) & 0xff << 12) // up to a millisecond
		f.push(kernel.Event{At: e.At + f.latency[at] + jitter, To: f.to[at], What: packet<<8 | uint32(f.back[at])})
	}
}

// play plays a world in a queue to its end, and returns how many events there were and how many were planned at most.
func (f *flooding) play(q kernel.Queue, times uint32, apart time.Duration) (events, most int) {
	f.push = q.Push
	f.begin(times, apart)
	for e, ok := q.Pop(); ok; e, ok = q.Pop() {
		f.happen(e)
		events++
		most = max(most, q.Len())
	}
	return events, most
}

// The floods of the benchmarks cost what floods cost, and happen alike in both queues and in the one of the floor.
func TestFloodsAreExact(t *testing.T) {
	const few = 3
	g := newFloodGraph()
	wheel, heaped, boxed := &flooding{floodGraph: g}, &flooding{floodGraph: g}, &flooding{floodGraph: g}
	for name, events := range map[string]func() int{
		"wheel": func() int { n, _ := wheel.play(kernel.NewWheel(), few, 0); return n },
		"heap":  func() int { n, _ := heaped.play(new(kernel.Heap), few, 0); return n },
		"floor": func() int { return boxed.playBoxed(few, 0) },
	} {
		if n := events(); n != few*(floodEvents+1) {
			t.Errorf("%s: %d events, not %d", name, n, few*(floodEvents+1))
		}
	}
	if wheel.trace != heaped.trace || wheel.trace != boxed.trace {
		t.Error("what happens depends on the queue")
	}
}

func benchmarkFloods(b *testing.B, apart time.Duration, least, most int) {
	g := newFloodGraph()
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		n, pending := (&flooding{floodGraph: g}).play(kernel.NewWheel(), floodTimes, apart)
		if pending < least || pending > most {
			b.Fatalf("%d events were planned at a time, not %d to %d", pending, least, most)
		}
		b.ReportMetric(float64(pending), "pending")
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkKernel100k has under 100 000 events planned at a time.
func BenchmarkKernel100k(b *testing.B) { benchmarkFloods(b, 200*time.Millisecond, 50_000, 100_000) }

// BenchmarkKernel1M has about a million.
func BenchmarkKernel1M(b *testing.B) { benchmarkFloods(b, 0, 900_000, 2_000_000) }

// A boxed agenda is the floor: what a program in a hurry writes with the standard library.
type boxed []*boxedEvent

type boxedEvent struct {
	kernel.Event
	order uint64
}

func (a boxed) Len() int      { return len(a) }
func (a boxed) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a boxed) Less(i, j int) bool {
	return a[i].At < a[j].At || a[i].At == a[j].At && a[i].order < a[j].order
}
func (a *boxed) Push(x any) { *a = append(*a, x.(*boxedEvent)) }
func (a *boxed) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	*a = (*a)[:last]
	return e
}

// playBoxed is play on container/heap.
func (f *flooding) playBoxed(times uint32, apart time.Duration) (events int) {
	var agenda boxed
	order := uint64(0)
	f.push = func(e kernel.Event) {
		order++
		heap.Push(&agenda, &boxedEvent{e, order})
	}
	f.begin(times, apart)
	for ; len(agenda) > 0; events++ {
		f.happen(heap.Pop(&agenda).(*boxedEvent).Event)
	}
	return events
}

// BenchmarkContainerHeap1M is BenchmarkKernel1M on container/heap.
func BenchmarkContainerHeap1M(b *testing.B) {
	g := newFloodGraph()
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		events += (&flooding{floodGraph: g}).playBoxed(floodTimes, 0)
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
