package rivals_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/rivals"
)

func seeded(seed uint64) chance.Lots { return chance.Lots{Source: rand.NewPCG(seed, 3)} }

// network is a random regular graph whose links all take alike.
func network(t *testing.T, seed uint64, n, degree int, latency kernel.Time) rivals.Network {
	t.Helper()
	l := seeded(seed)
	edges, err := graph.Regular(l, n, degree)
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(n, edges)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]kernel.Time, g.Arcs())
	for i := range all {
		all[i] = latency
	}
	return rivals.Network{Graph: g, Latency: all, Lots: l, Queue: kernel.NewWheel()}
}

// Whatever floods or diffuses reaches all, over as many arcs as it must, and everybody has it first from whom he heard it first.
func TestAllAreReached(t *testing.T) {
	n := network(t, 1, 200, 4, 1000)
	for name, p := range map[string]rivals.Protocol{
		"flood": rivals.Flood{}, "diffusion": rivals.Diffusion{Mean: 500}, "dandelion": rivals.NewDandelion(n, 0.1, 500), "gossip to all": rivals.Gossip{Fanout: 4},
	} {
		for source := range uint32(50) {
			r := n.Play(p, source, source)
			if r.Reached() != 200 || n.Queue.Len() != 0 {
				t.Fatalf("%s from %d reached %d", name, source, r.Reached())
			}
			if want := rivals.FloodCost(200, n.Graph.Arcs()); (name == "flood" || name == "diffusion") && r.Transmissions != want {
				t.Fatalf("%s: %d transmissions, not %d", name, r.Transmissions, want)
			}
			check(t, n, r, source)
		}
	}
}

// check demands that what was seen is in order, over links that are there, and from who had the message.
func check(t *testing.T, n rivals.Network, r rivals.Run, source uint32) {
	t.Helper()
	if len(r.Seen) != r.Transmissions+1 || r.Seen[0].From != rivals.Nobody || r.Seen[0].Node != source || r.First[source] != 0 {
		t.Fatalf("%d seen of %d transmissions; first %+v", len(r.Seen), r.Transmissions, r.Seen[0])
	}
	for i, s := range r.Seen[1:] {
		if s.At < r.Seen[i].At || s.Message != source || r.First[s.Node] > s.At || r.First[s.From] >= s.At || !slices.Contains(n.Graph.Neighbours(int(s.From)), s.Node) {
			t.Fatalf("%+v after %+v", s, r.Seen[i])
		}
	}
}

// A stem is as long as a geometric number of steps, one transmission each and without a delay, before it diffuses.
func TestStem(t *testing.T) {
	const fluff, trials = 0.2, 3000
	n := network(t, 2, 600, 6, 1000)
	d := rivals.NewDandelion(n, fluff, 500)
	steps := 0.0
	for source := range uint32(trials) {
		r := n.Play(d, source%600, 0)
		for i, seen := range r.Seen[1:] { // what diffuses is later than a link's latency after what it follows
			if seen.At != kernel.Time(1000*(i+1)) {
				break
			}
			steps++
		}
	}
	if mean := steps / trials; math.Abs(mean-1/fluff) > 0.5 { // circles cut some short
		t.Errorf("%.2f steps, want about %.2f", mean, 1/fluff)
	}
}

// Diffusion over links that take no time is first passage percolation: from a node to its only neighbour it takes the mean.
func TestDiffusionDelays(t *testing.T) {
	g, err := graph.New(2, graph.Line(2))
	if err != nil {
		t.Fatal(err)
	}
	n := rivals.Network{Graph: g, Latency: []kernel.Time{0, 0}, Lots: seeded(3), Queue: new(kernel.Heap)}
	sum := 0.0
	for range 20_000 {
		sum += float64(n.Play(rivals.Diffusion{Mean: 1000}, 0, 0).First[1])
	}
	if mean := sum / 20_000; math.Abs(mean-1000) > 25 {
		t.Errorf("mean delay %.1f, want 1000", mean)
	}
}

// The same lots give the same run, on either queue.
func TestRunsAreReproduced(t *testing.T) {
	play := func(q kernel.Queue) rivals.Run {
		n := network(t, 4, 300, 6, 1000)
		n.Queue = q
		return n.Play(rivals.NewDandelion(n, 0.2, 700), 7, 0)
	}
	a, b := play(kernel.NewWheel()), play(new(kernel.Heap))
	if !slices.Equal(a.Seen, b.Seen) || !slices.Equal(a.First, b.First) {
		t.Error("two queues, two runs")
	}
}

// Ways have the length that was asked for, distinct relays, and never the writer.
func TestPaths(t *testing.T) {
	l := seeded(5)
	for range 1000 {
		p := rivals.OnionPath(l, 9, 4, 3)
		sorted := slices.Clone(p)
		slices.Sort(sorted)
		if len(p) != 4 || p[0] != 4 || len(slices.Compact(sorted)) != 4 || sorted[3] > 8 {
			t.Fatal(p)
		}
		if s := rivals.StratifiedPath(l, 3, 5); len(s) != 3 || s[0] > 4 || s[1] < 5 || s[1] > 9 || s[2] < 10 || s[2] > 14 {
			t.Fatal(s)
		}
	}
	if p := rivals.CrowdsPath(l, 5, 2, 1); len(p) != 10_000 {
		t.Error(len(p))
	}
}

// All of the target's probability comes out, whatever the network.
func TestTargetComesOut(t *testing.T) {
	for _, m := range []rivals.MixNet{{1, 1, 50, 1e8}, {3, 4, 200, 1e8}, {2, 10, 5, 1e9}} {
		p, moved := m.Target(seeded(6), kernel.NewWheel())
		sum := 0.0
		for _, x := range p {
			sum += x
		}
		if math.Abs(sum-1) > 1e-9 || moved < len(p) {
			t.Errorf("%+v: %v of %d, %d moved", m, sum, len(p), moved)
		}
	}
}
