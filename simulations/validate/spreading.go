package validate

import (
	"fmt"
	"math"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// link is a mean latency, and millisecond a nanosecond a million times.
const (
	millisecond = kernel.Time(1_000_000)
	link        = 20 * millisecond
)

// network is a graph of those edges whose links take even times from nothing to twice link, the same both ways.
func (i Instruments) network(lots chance.Lots, n int, edges []graph.Edge) (rivals.Network, error) {
	g, err := graph.New(n, edges)
	if err != nil {
		return rivals.Network{}, fmt.Errorf("validate: %w", err)
	}
	latency := make([]kernel.Time, g.Arcs())
	for arc := range latency {
		if back := g.Back(arc); back < arc {
			latency[arc] = latency[back]
		} else {
			latency[arc] = 1 + kernel.Time(lots.IntN(int(2*link)))
		}
	}
	return rivals.Network{Graph: g, Latency: latency, Lots: lots, Queue: i.Queue()}, nil
}

// broken is what comes out of a check whose world could not be made.
func broken() Finding { return Finding{Known: math.NaN(), Measured: measure.Mean(nil)} }

// spreading checks that a flood costs and takes what it must, to the packet and the nanosecond.
func spreading() []Check {
	const n, degree = 10_000, 8
	flooded := func(i Instruments, seed uint64) (rivals.Network, rivals.Run, error) {
		lots := i.lots(seed, "flood")
		edges, err := graph.Regular(lots, n, degree)
		if err != nil {
			return rivals.Network{}, rivals.Run{}, fmt.Errorf("validate: %w", err)
		}
		net, err := i.network(lots, n, edges)
		if err != nil {
			return rivals.Network{}, rivals.Run{}, err
		}
		return net, net.Play(rivals.Flood{}, 0, 0), nil
	}
	return []Check{
		{"flood, 10 000 nodes of degree 8: transmissions", "closed form: FloodCost", func(i Instruments, seed uint64) Finding {
			net, run, err := flooded(i, seed)
			if err != nil {
				return broken()
			}
			return Finding{float64(rivals.FloodCost(n, net.Graph.Arcs())), measure.Mean([]float64{float64(run.Transmissions)}), 0, "packets"}
		}},
		{"flood, 10 000 nodes of degree 8: latest arrival against Dijkstra", "E. Dijkstra, 1959", func(i Instruments, seed uint64) Finding {
			net, run, err := flooded(i, seed)
			if err != nil {
				return broken()
			}
			worst := kernel.Time(0)
			for v, at := range net.Graph.Fastest(0, net.Latency) {
				worst = max(worst, run.First[v]-at, at-run.First[v])
			}
			return Finding{0, measure.Mean([]float64{float64(worst)}), 0, "ns"}
		}},
	}
}

// gossiping checks coverage and rounds of gossip, and when random graphs are connected.
func gossiping() (all []Check) {
	for _, fanout := range []int{2, 3, 4} {
		all = append(all, Check{fmt.Sprintf("push gossip, 5 000 nodes, fanout %d: coverage", fanout), "A. Demers et al., 1987: GossipCoverage", func(i Instruments, seed uint64) Finding {
			lots := i.lots(seed, "coverage %d", fanout)
			var shares []float64
			for n := 0; n < 400 && len(shares) < 40; n++ {
				if reached := rivals.PushGossip(lots, 5000, fanout); reached > 500 { // else it died at once
					shares = append(shares, float64(reached)/5000)
				}
			}
			return Finding{rivals.GossipCoverage(float64(fanout)), measure.Mean(shares), 0.006, ""}
		}})
	}
	for _, fanout := range []int{8, 10} {
		all = append(all, Check{fmt.Sprintf("push gossip, 5 000 nodes, fanout %d: all reached", fanout), "A.-M. Kermarrec et al., 2003: GossipAll", func(i Instruments, seed uint64) Finding {
			lots, hits := i.lots(seed, "all %d", fanout), 0
			const trials = 400
			for range trials {
				if rivals.PushGossip(lots, 5000, fanout) == 5000 {
					hits++
				}
			}
			return Finding{rivals.GossipAll(5000, float64(fanout)), measure.Proportion(hits, trials), 0.08, ""}
		}})
	}
	for _, n := range []int{10_000, 100_000} {
		all = append(all, Check{fmt.Sprintf("rumour, %d nodes: rounds", n), "B. Pittel, 1987: RumourTime, up to a constant", func(i Instruments, seed uint64) Finding {
			lots := i.lots(seed, "rumour %d", n)
			var rounds []float64
			for range 10 {
				rounds = append(rounds, float64(rivals.RumourRounds(lots, n)))
			}
			return Finding{rivals.RumourTime(n), measure.Mean(rounds), 2, "rounds"}
		}})
	}
	for _, c := range []float64{1, 2, 4} {
		all = append(all, Check{fmt.Sprintf("random graph, 2 000 nodes, p = (ln n + %g)/n: connected", c), "P. Erdős, A. Rényi, 1959: ConnectedOften", func(i Instruments, seed uint64) Finding {
			lots, hits := i.lots(seed, "connected %g", c), 0
			const n, trials = 2000, 300
			for range trials {
				if g, err := graph.New(n, graph.ErdosRenyi(lots, n, (math.Log(n)+c)/n)); err == nil && g.Connected() {
					hits++
				}
			}
			return Finding{rivals.ConnectedOften(c), measure.Proportion(hits, trials), 0.1, ""}
		}})
	}
	return all
}

// spying checks the first spy.
func spying() (all []Check) {
	trees := []struct {
		degree, depth int
	}{{2, 60}, {3, 7}, {4, 5}, {6, 4}}
	for _, tree := range trees {
		for _, p := range []float64{0.1, 0.3} {
			name := fmt.Sprintf("first spy, diffusion on a tree of degree %d, %g of the nodes spy: precision", tree.degree, p)
			if tree.degree == 2 {
				name = fmt.Sprintf("first spy, diffusion on a line, %g of the nodes spy: precision", p)
			}
			all = append(all, Check{name, "closed form: FirstSpyTree", func(i Instruments, seed uint64) Finding {
				n, edges := graph.RegularTree(tree.degree, tree.depth)
				return i.spied(i.lots(seed, "spies %d %g", tree.degree, p), n, edges, rivals.Diffusion{Mean: link}, p, attack.FirstSpyTree(tree.degree, p))
			}})
		}
	}
	for _, p := range []float64{0.05, 0.2} {
		all = append(all, Check{fmt.Sprintf("first spy, flood on 200 nodes of degree 8, %g of the nodes spy: precision", p), "closed form: FirstSpyFlood", func(i Instruments, seed uint64) Finding {
			lots := i.lots(seed, "flood spies %g", p)
			edges, err := graph.Regular(lots, 200, 8)
			if err != nil {
				return broken()
			}
			return i.spied(lots, 200, edges, rivals.Flood{}, p, attack.FirstSpyFlood(8, p))
		}})
	}
	return all
}

// spied has a message spread from the first node again and again over links that all take alike, with other spies each time.
func (i Instruments) spied(lots chance.Lots, n int, edges []graph.Edge, protocol rivals.Protocol, p, known float64) Finding {
	net, err := i.network(lots, n, edges)
	if err != nil {
		return broken()
	}
	for arc := range net.Latency {
		net.Latency[arc] = 1
	}
	const trials = 3000
	right := 0
	for range trials {
		spies := attack.Scattered(lots.IntN, n, p)
		spies[0] = false
		if i.First(spies.Hears(net.Play(protocol, 0, 0).Seen)).Accused() == 0 {
			right++
		}
	}
	return Finding{known, measure.Proportion(right, trials), 0.035, ""}
}
