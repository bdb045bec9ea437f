package simulations

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
	"github.com/p3do/p3do/simulations/kernel"
)

// A routedFlooding is the world of a flooding, but that production routers decide what is said again. They know nothing of each
// other's keys, and say what they hear to all members, whoever said it to them; between floods they wake at each instant of their
// grid, as routers do that have heard something.
type routedFlooding struct {
	*floodGraph
	push    func(kernel.Event)
	start   time.Time
	nodes   []routedNode
	heard   []mor.ContextID // over each arc
	packets []onion.Packet
	lots    rand.PCG
	trace   uint64
}

type routedNode struct {
	router  *mor.Router
	context mor.ContextID
	wake    kernel.Time // 0: no tick is planned
}

// A tick is an event of a node, not of a link.
const tickOf = 1 << 31

func newRoutedFlooding(tb testing.TB, g *floodGraph) *routedFlooding {
	f := &routedFlooding{floodGraph: g, start: time.Unix(Beginning, 0), nodes: make([]routedNode, floodNodes), heard: make([]mor.ContextID, len(g.to))}
	domains := make([]pki.Domain, floodNodes)
	for i := range f.nodes {
		domains[i] = must(domainOf(i))(tb)
		random := rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint32([]byte("router"), uint32(i))))
		context := must(mor.NewContext(random, f.start))(tb)
		key := must(onion.NewServerKey(random))(tb)
		f.nodes[i].context = context.ID
		f.nodes[i].router = must(mor.NewRouter(mor.Config{
			Domain: domains[i], Rand: random, Contexts: []mor.OwnContext{context},
			Servers: []mor.ServerKey{{Period: pki.PeriodAt(f.start), Private: key}},
			Sign:    func(pki.Label, []byte) []byte { return nil },
		}))(tb)
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		for place, to := range g.to[i*floodDegree : (i+1)*floodDegree] {
			heard := f.nodes[to].context
			f.heard[i*floodDegree+place] = heard
			if !n.router.Admit(n.context, domains[to]) || !n.router.Listen(domains[to], heard, n.context) {
				tb.Fatal("no link")
			}
		}
	}
	return f
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// begin plans packets that nobody has heard before, each said to one node by a neighbour.
func (f *routedFlooding) begin(tb testing.TB, times int, apart time.Duration) {
	f.lots.Seed(3, 4)
	f.packets = f.packets[:0]
	for i := range times {
		raw := make([]byte, onion.Size)
		raw[0], raw[1] = onion.Version, onion.Suite
		binary.BigEndian.PutUint16(raw[2:], onion.EpochAt(f.start).Wire())
		binary.BigEndian.PutUint64(raw[20:], uint64(len(f.packets)))
		f.push(kernel.Event{At: kernel.Time(i+1) * kernel.Time(apart), To: uint32(i) * 241 % floodNodes * floodDegree, What: uint32(len(f.packets))})
		f.packets = append(f.packets, must(onion.Parse(raw))(tb))
	}
}

// happen hears a packet over one of a node's links, or ticks.
func (f *routedFlooding) happen(e kernel.Event) {
	f.trace = (f.trace ^ uint64(e.At) ^ uint64(e.To)<<32 ^ uint64(e.What)) * 0x9e3779b97f4a7c15
	now := f.start.Add(time.Duration(e.At))
	if e.What == tickOf {
		n := &f.nodes[e.To]
		n.wake = 0
		f.carryOut(e.At, int(e.To), n.router.Tick(now), 0)
		return
	}
	at := e.To / floodDegree
	f.carryOut(e.At, int(at), f.nodes[at].router.Hear(now, f.heard[e.To], f.packets[e.What]), e.What)
}

func (f *routedFlooding) carryOut(now kernel.Time, at int, out mor.Output, packet uint32) {
	for range out.Broadcast {
		lots := f.lots.Uint64()
		for i := range floodDegree {
			arc := at*floodDegree + i
			jitter := kernel.Time(lots >> (8 * i) & 0xff << 12) // up to a millisecond
			to := f.to[arc]*floodDegree + uint32(f.back[arc])
			f.push(kernel.Event{At: now + f.latency[arc] + jitter, To: to, What: packet})
		}
	}
	if wake := kernel.Time(out.Wake.Sub(f.start)); !out.Wake.IsZero() && f.nodes[at].wake == 0 {
		f.nodes[at].wake = wake
		f.push(kernel.Event{At: wake, To: uint32(at), What: tickOf})
	}
}

func (f *routedFlooding) play(tb testing.TB, q kernel.Queue, times int, apart time.Duration) (events, most int) {
	f.push = q.Push
	f.start = f.start.Add(4 * onion.EpochLength) // what was seen in another world is forgotten
	f.begin(tb, times, apart)
	for e, ok := q.Pop(); ok; e, ok = q.Pop() {
		f.happen(e)
		events++
		most = max(most, q.Len())
	}
	return events, most
}

func benchmarkRouters(b *testing.B, apart time.Duration, least, most int) {
	f := newRoutedFlooding(b, newFloodGraph())
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		n, pending := f.play(b, kernel.NewWheel(), floodTimes, apart)
		b.ReportMetric(float64(pending), "pending")
		if pending < least || pending > most {
			b.Fatalf("%d events were planned at a time, not %d to %d", pending, least, most)
		}
		events += n
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkRouter100k is BenchmarkKernel100k with production routers.
func BenchmarkRouter100k(b *testing.B) { benchmarkRouters(b, 200*time.Millisecond, 50_000, 150_000) }

// BenchmarkRouter1M is BenchmarkKernel1M with them.
func BenchmarkRouter1M(b *testing.B) { benchmarkRouters(b, 0, 900_000, 2_500_000) }
