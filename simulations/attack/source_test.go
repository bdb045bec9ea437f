package attack_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// On regular trees rumour centrality finds the writer as often as it must, and is as sure of it as it is right.
func TestRumourTree(t *testing.T) {
	const trials, tolerance = 4000, 0.025
	for _, c := range []struct{ degree, n, depth int }{{2, 21, 30}, {2, 30, 40}, {3, 30, 11}, {4, 25, 7}} {
		g, random := regularTree(t, c.degree, c.depth), seeded(uint64(60+c.n))
		found, sure, broken := 0.0, 0.0, 0.0
		for range trials {
			has := having(g, spread(g, 0, 0, exponential(random), c.n))
			p, err := attack.RumourTree(g, has)
			if err != nil {
				t.Fatal(err)
			}
			found += first(p.Rank(0))
			sure += best(p)
			broken += first(upsideDown(p, has).Rank(0))
		}
		holds(t, fmt.Sprintf("rumour centre, tree of degree %d, n=%d", c.degree, c.n), found/trials, broken/trials,
			attack.RumourCentre(c.degree, c.n), tolerance)
		if !agree(sure/trials, found/trials, tolerance) {
			t.Errorf("degree %d: sure to %.4f, and right in %.4f of the cases", c.degree, sure/trials, found/trials)
		}
	}
	if got := attack.RumourCentre(3, 100_001); !agree(got, 0.25, 1e-4) { // Shah and Zaman, Theorem 3
		t.Error(got)
	}
	one, two, three := attack.RumourCentre(5, 1), attack.RumourCentre(3, 2), attack.RumourCentre(2, 3)
	if one != 1 || !agree(two, 0.5, 1e-12) || !agree(three, 0.5, 1e-12) {
		t.Error(one, two, three)
	}
}

// upsideDown takes the unlikeliest for the likeliest, as an estimator with a wrong sign does.
func upsideDown(p measure.Posterior, has []bool) measure.Posterior {
	weights := make([]float64, len(p))
	for v, x := range p {
		if has[v] {
			weights[v] = 1 / x
		}
	}
	return measure.NewPosterior(weights)
}

// On a regular tree both ways of counting orders agree; a brute count of the orders agrees with them.
func TestRumourOrders(t *testing.T) {
	g, random := regularTree(t, 3, 8), seeded(71)
	for range 50 {
		has := having(g, spread(g, 0, 0, exponential(random), 7))
		a, err := attack.RumourTree(g, has)
		if err != nil {
			t.Fatal(err)
		}
		weights := make([]float64, g.Nodes())
		for v, x := range has {
			if x {
				weights[v] = orders(g, has, map[int]bool{v: true}, 7)
			}
		}
		b, c := attack.RumourGraph(g, has), measure.NewPosterior(weights)
		for v := range a {
			if !agree(a[v], b[v], 1e-9) || !agree(a[v], c[v], 1e-9) {
				t.Fatalf("node %d: %g, %g, counted %g", v, a[v], b[v], c[v])
			}
		}
	}
}

// orders counts the ways in which a message comes from those who are in to all who have it.
func orders(g *graph.Graph, has []bool, in map[int]bool, n int) (count float64) {
	if len(in) == n {
		return 1
	}
	for w, x := range has {
		if !x || in[w] {
			continue
		}
		for _, v := range g.Neighbours(w) {
			if in[int(v)] {
				in[w] = true
				count += orders(g, has, in, n)
				delete(in, w)
				break
			}
		}
	}
	return count
}

// Rings are refused by the one and taken by the other, which finds writers far oftener than by chance.
func TestRumourGraph(t *testing.T) {
	ring, err := attack.RumourTree(chords(t, seeded(1), 5, 2), []bool{true, true, true, true, true})
	if err == nil {
		t.Error("a ring is no tree", ring)
	}
	if _, err := attack.RumourTree(line(t, 5), []bool{true, false, true, false, false}); err == nil {
		t.Error("two parts are no tree")
	}
	if _, err := attack.RumourTree(line(t, 5), nil); err == nil {
		t.Error("nobody is no tree")
	}
	g, random := chords(t, seeded(2), 200, 4), seeded(72)
	const trials, n = 300, 40
	found, broken := 0.0, 0.0
	for range trials {
		source := random.IntN(200)
		has := having(g, spread(g, source, 0, exponential(random), n))
		p := attack.RumourGraph(g, has)
		found += first(p.Rank(source))
		broken += first(upsideDown(p, has).Rank(source))
	}
	t.Logf("rumour, ring with chords: %.3f found, chance %.3f, broken %.3f", found/trials, 1.0/n, broken/trials)
	if found/trials < 4.0/n || broken/trials > 1.0/n {
		t.Errorf("found %.3f, broken %.3f of the writers among %d", found/trials, broken/trials, n)
	}
}

// If all nodes have the message, and each looks like any other, who has it says nothing.
func TestRumourOfNothing(t *testing.T) {
	const n = 24
	g, has := chords(t, seeded(1), n, 2), make([]bool, n)
	for v := range has {
		has[v] = true
	}
	if p := attack.RumourGraph(g, has); !agree(p.Entropy(), math.Log2(n), 1e-9) || p.Rank(7) != (n+1)/2.0 {
		t.Error(p.Entropy(), p.Rank(7))
	}
}

// ranged is how often ranging finds the writer on a line between two spies, how sure it is of that, and how often it does
// if it takes the message for sent at the instant 0.
func ranged(g *graph.Graph, random *rand.Rand, spread, trials int) (found, sure, broken float64) {
	n := g.Nodes()
	spies := make(attack.Coalition, n)
	spies[0], spies[n-1] = true, true
	latency := make([]kernel.Time, g.Arcs())
	for i := range latency {
		latency[i] = link
	}
	r := attack.NewRanging(g, latency, spies)
	for range trials {
		source := 2 + random.IntN(n-4)
		start := kernel.Time(random.Int64N(1000)) * link
		var seen []rivals.Sighting
		guess, least := 0, math.Inf(1)
		for _, spy := range []int{0, n - 1} {
			far := max(source-spy, spy-source)
			late := kernel.Time(random.NormFloat64() * float64(spread))
			seen = append(seen, rivals.Sighting{At: 1000*link + start + kernel.Time(far)*link + late, Node: uint32(spy), From: 1})
		}
		for v := 1; v < n-1; v++ {
			a, b := float64(seen[0].At)-float64(v)*float64(link), float64(seen[1].At)-float64(n-1-v)*float64(link)
			if sum := a*a + b*b; sum < least {
				guess, least = v, sum
			}
		}
		p := r.Posterior(seen, kernel.Time(spread))
		found += first(p.Rank(source))
		sure += best(p)
		if guess == source-1 { // without its start it is off by more than one link on average: give it one
			broken++
		}
	}
	return found / float64(trials), sure / float64(trials), broken / float64(trials)
}

func TestRanging(t *testing.T) {
	const trials, tolerance = 20_000, 0.012
	g, random := line(t, 61), seeded(81)
	for _, spread := range []int{300_000, 700_000, 2_000_000} {
		found, sure, broken := ranged(g, random, spread, trials)
		holds(t, fmt.Sprintf("ranging, line, spread of %.1f links", float64(spread)/float64(link)), found, broken,
			attack.RangingLine(float64(spread)/float64(link)), tolerance)
		if !agree(sure, found, tolerance) {
			t.Errorf("sure to %.4f, and right in %.4f of the cases", sure, found)
		}
	}
}

// On any graph, with known latencies that differ by direction, spies who hear a flood name its writer, whenever it was
// sent. A node and a neighbour by which it reaches all spies cannot be told from each other, so it is not all.
func TestRangingGraph(t *testing.T) {
	random := seeded(82)
	g := chords(t, random, 150, 6)
	latency := make([]kernel.Time, g.Arcs())
	for i := range latency {
		latency[i] = link + kernel.Time(random.Int64N(int64(link)))
	}
	spies := attack.Drawn(random.IntN, g.Nodes(), 6)
	r := attack.NewRanging(g, latency, spies)
	wrong := make([]kernel.Time, g.Arcs()) // of the other direction
	for i := range wrong {
		wrong[i] = latency[g.Back(i)]
	}
	broken := attack.NewRanging(g, wrong, spies)
	trials, found, misled := 0.0, 0.0, 0.0
	for source := range g.Nodes() {
		if spies.Has(uint32(source)) {
			continue
		}
		seen := spread(g, source, kernel.Time(random.Int64N(1<<40)), func(arc int) kernel.Time { return latency[arc] }, g.Nodes())
		trials++
		found += first(r.Posterior(seen, link/100).Rank(source))
		misled += first(broken.Posterior(seen, link/100).Rank(source))
	}
	t.Logf("ranging, ring with chords: %.3f found, %.3f with latencies the wrong way round", found/trials, misled/trials)
	if found/trials < 0.95 {
		t.Errorf("found %.3f of the writers, although nothing is uncertain", found/trials)
	}
	if misled/trials > 0.5 {
		t.Error("the check does not notice latencies that are the wrong way round")
	}
}

// One spy alone learns nothing from when it hears a message, and spies that hear noise find the writer by chance.
func TestRangingOfNoise(t *testing.T) {
	g := line(t, 42)
	latency := make([]kernel.Time, g.Arcs())
	spies := make(attack.Coalition, 42)
	spies[0] = true
	one := attack.NewRanging(g, latency, spies).Posterior([]rivals.Sighting{{At: 5, Node: 0, From: 1}}, link)
	if !agree(one.Effective(), 41, 1e-6) || one[0] != 0 {
		t.Error(one.Effective(), one[0])
	}
	spies[41] = true
	for i := range latency {
		latency[i] = link
	}
	r := attack.NewRanging(g, latency, spies)
	var found []float64
	for seed := range uint64(40) {
		random, right := seeded(200+seed), 0.0
		for range 200 {
			at := func() kernel.Time { return kernel.Time(random.Int64N(40 * int64(link))) }
			p := r.Posterior([]rivals.Sighting{{At: at(), Node: 0, From: 1}, {At: at(), Node: 41, From: 40}}, link)
			right += first(p.Rank(1 + random.IntN(40)))
		}
		found = append(found, right/200)
	}
	chance(t, "ranging of noise, top 1", found, 1.0/40)
}
