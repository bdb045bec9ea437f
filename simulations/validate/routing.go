package validate

import (
	"fmt"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// mixing checks how undecided a watcher of Poisson mixes is: against the closed form, and against what MiXiM published. With two layers both
// simulators are three hundredths of a bit below the closed form, as a target does not spread over all mixes evenly.
func mixing() (all []Check) {
	for _, p := range rivals.MiXiM() {
		allowed := 0.04
		name := fmt.Sprintf("%d layers of 10 Poisson mixes, %d s end to end: entropy", p.Layers, p.Delay)
		all = append(all,
			Check{name, "closed form: MixNet.Entropy", func(i Instruments, seed uint64) Finding {
				return Finding{p.Net().Entropy(), i.entropies(p.Net(), seed), allowed + loose(p), "bits"}
			}},
			Check{name, "I. Ben Guirat et al., MiXiM, 2021, figure 7a", func(i Instruments, seed uint64) Finding {
				return Finding{p.Entropy, i.entropies(p.Net(), seed), allowed + loose(p), "bits"}
			}})
	}
	return all
}

// loose is how much more is allowed where the entropy of single targets varies much: with one layer it is that of one mix.
func loose(p rivals.Published) float64 {
	if p.Layers == 1 {
		return 0.06
	}
	return 0
}

// entropies are those of some targets.
func (i Instruments) entropies(net rivals.MixNet, seed uint64) measure.Interval {
	var of []float64
	for target := range 12 {
		posterior, _ := net.Target(i.lots(seed, "mix %d %d %d", net.Layers, net.Mean, target), i.Queue())
		of = append(of, i.Entropy(posterior))
	}
	return measure.Mean(of)
}

// routing checks what compromised relays of a way see.
func routing() (all []Check) {
	for _, c := range []struct {
		members, bad int
		forward      float64
	}{{100, 10, 0.8}, {20, 5, 0.75}} {
		all = append(all, Check{fmt.Sprintf("crowd of %d, %d of them bad, forwarding %g: the first bad one's predecessor is the writer", c.members, c.bad, c.forward),
			"M. Reiter, A. Rubin, Crowds, 1998", func(i Instruments, seed uint64) Finding {
				lots := i.lots(seed, "crowd %d", c.members)
				bad := make(attack.Coalition, c.members)
				for v := range c.bad {
					bad[c.members-1-v] = true
				}
				noted := make(attack.Predecessors, c.members)
				for range 40_000 {
					noted.Note(rivals.CrowdsPath(lots, c.members, 0, c.forward), bad)
				}
				all := 0
				for _, n := range noted {
					all += n
				}
				known := 1 - c.forward*float64(c.members-c.bad-1)/float64(c.members)
				return Finding{known, measure.Proportion(noted[0], all), 0.02, ""}
			}})
	}
	for _, c := range []struct {
		bad, length int
		published   float64 // MiXiM, figure 3; it is the closed form
	}{{10, 2, 0.0090909}, {30, 3, 0}, {50, 4, 0}} {
		all = append(all, Check{fmt.Sprintf("path of %d relays out of 100, %d of them bad: all of them", c.length, c.bad), "closed form: AllBad (P. Syverson et al., 2000)", func(i Instruments, seed uint64) Finding {
			lots := i.lots(seed, "path %d", c.length)
			bad := make(attack.Coalition, 101)
			for v := range c.bad {
				bad[100-v] = true
			}
			var paths [][]uint32
			for range 60_000 {
				paths = append(paths, rivals.OnionPath(lots, 101, 0, c.length)[1:])
			}
			known := attack.AllBad(100, c.bad, c.length)
			if c.published > 0 {
				known = c.published
			}
			return Finding{known, i.Count(paths, bad).Followed(), 0.1*known + 0.0006, ""}
		}})
	}
	return all
}

// repeating checks attacks on somebody who writes again and again.
func repeating() []Check {
	return []Check{
		{"intersection, 1 000 users online half of the time, 6 rounds: left", "closed form: IntersectionLeft", func(i Instruments, seed uint64) Finding {
			const users, rounds = 1000, 6
			var left []float64
			for n := range 40 {
				lots, x := i.lots(seed, "intersection %d", n), attack.NewIntersection(users)
				for range rounds {
					online := make([]bool, users)
					for u := range online {
						online[u] = u == 0 || lots.Bernoulli(0.5)
					}
					x.Round(online)
				}
				left = append(left, float64(x.Left()))
			}
			return Finding{attack.IntersectionLeft(users, 0.5, rounds), measure.Mean(left), 2.5, "users"}
		}},
		{"predecessor, 60 nodes, 12 of them bad, paths of 3 relays, 40 paths: the writer leads", "closed form: Noting.Leads (M. Wright et al., 2004)", func(i Instruments, seed uint64) Finding {
			const nodes, bads, length, paths, trials = 60, 12, 3, 40, 1500
			lots, leads := i.lots(seed, "predecessor"), 0
			bad := make(attack.Coalition, nodes)
			for v := range bads {
				bad[nodes-1-v] = true
			}
			for range trials {
				noted := make(attack.Predecessors, nodes)
				for range paths {
					noted.Note(rivals.OnionPath(lots, nodes, 0, length), bad)
				}
				if who, alone := noted.Leader(); alone && who == 0 {
					leads++
				}
			}
			return Finding{attack.OnionNoting(nodes, bads, length).Leads(paths), measure.Proportion(leads, trials), 0.05, ""}
		}},
	}
}
