package attack_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/graph"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/rivals"
)

const spiedTrials = 6000

// spied is how often first-spy is right about messages from a node, and how often it would be if it accused who the
// second spy heard from.
func spied(seed uint64, g *graph.Graph, p float64, delays func(*rand.Rand) func(int) kernel.Time) (right, broken float64) {
	random := seeded(seed)
	source := uint32(g.Nodes() / 2)
	if g.Degree(0) > 1 {
		source = 0
	}
	for range spiedTrials {
		spies := attack.Scattered(random.IntN, g.Nodes(), p)
		spies[source] = false
		suspects := attack.First(spies.Hears(spread(g, int(source), 0, delays(random), 200)))
		if suspects.Accused() == source {
			right++
		}
		if len(suspects) > 1 && suspects[1].Node == source {
			broken++
		}
	}
	return right / spiedTrials, broken / spiedTrials
}

func TestFirstSpy(t *testing.T) {
	const tolerance = 0.02 // three standard deviations of as many trials, at most
	always := func(*rand.Rand) func(int) kernel.Time { return constant }
	long, ring := line(t, 401), chords(t, seeded(1), 300, 6)
	for _, p := range []float64{0.1, 0.3} {
		right, broken := spied(11, long, p, exponential)
		holds(t, fmt.Sprintf("first spy, diffusion, line, p=%g", p), right, broken, attack.FirstSpyLine(p), tolerance)
		right, broken = spied(12, long, p, always)
		holds(t, fmt.Sprintf("first spy, flood, line, p=%g", p), right, broken, attack.FirstSpyFlood(2, p), tolerance)
		right, broken = spied(13, ring, p, always)
		holds(t, fmt.Sprintf("first spy, flood, ring with chords, p=%g", p), right, broken,
			attack.FirstSpyFlood(ring.Degree(0), p), tolerance)
		for degree, depth := range map[int]int{3: 10, 4: 7, 6: 5} {
			right, broken = spied(uint64(14+degree), regularTree(t, degree, depth), p, exponential)
			holds(t, fmt.Sprintf("first spy, diffusion, tree of degree %d, p=%g", degree, p), right, broken,
				attack.FirstSpyTree(degree, p), tolerance)
		}
	}
	if a, b := attack.FirstSpyTree(2, 0.2), attack.FirstSpyLine(0.2); !agree(a, b, 1e-12) {
		t.Error("a line is a tree of degree 2:", a, b)
	}
	if attack.StemPrecision(0) != 0 || attack.StemPrecision(1) != 1 {
		t.Error(attack.StemPrecision(0), attack.StemPrecision(1))
	}
	if attack.FirstSpyTree(5, 0) != 0 || attack.FirstSpyTree(5, 1) != 1 {
		t.Error("no spies find nobody, and nothing but spies all")
	}
}

// An eavesdropper has theta links to each node of a tree. Here they lead to leaves, which are all hers.
func TestFirstTimestamp(t *testing.T) {
	const trials, tolerance = 4000, 0.025
	for _, c := range []struct{ degree, theta, depth int }{{2, 1, 30}, {3, 1, 8}, {4, 2, 6}, {8, 1, 4}} {
		tree := regularTree(t, c.degree, c.depth)
		n := tree.Nodes()
		hers := make(attack.Coalition, n*(c.theta+1))
		var edges []graph.Edge
		for v := range n {
			for _, w := range tree.Neighbours(v) {
				edges = append(edges, graph.Edge{v, int(w)})
			}
			for i := range c.theta {
				hers[n+v*c.theta+i] = true
				edges = append(edges, graph.Edge{v, n + v*c.theta + i})
			}
		}
		g, random := network(t, len(hers), edges), seeded(uint64(20+c.degree))
		right, broken := 0.0, 0.0
		for range trials {
			suspects := attack.First(hers.Hears(spread(g, 0, 0, exponential(random), 60)))
			if suspects.Accused() == 0 {
				right++
			}
			if len(suspects) > 1 && suspects[1].Node == 0 {
				broken++
			}
		}
		holds(t, fmt.Sprintf("first timestamp, tree of degree %d, theta=%d", c.degree, c.theta), right/trials, broken/trials,
			attack.FirstTimestampTree(c.degree, c.theta), tolerance)
	}
	if a, b := attack.FirstTimestampTree(10002, 2500), 0.25*1.6094379124341003; !agree(a, b, 1e-3) { // 1/4 ln 5
		t.Errorf("in the limit of many neighbours: %.5f, want %.5f", a, b)
	}
}

// Of a line on which each node has one of its two ways out tapped, the writer is found in 5 of 6 cases: at once with 1/2,
// else with x, where x = 1/2 + 1/2 1/2 x, as the other side then goes on as often as his, and is tapped every other time.
func TestTaps(t *testing.T) {
	const trials = 6000
	g, random := line(t, 201), seeded(31)
	right, broken := 0.0, 0.0
	for range trials {
		taps := attack.Tapped(random.IntN, g, 1)
		suspects := attack.First(taps.Hear(g, spread(g, 100, 0, exponential(random), 60)))
		if suspects.Accused() == 100 {
			right++
		}
		if len(suspects) > 1 && suspects[1].Node == 100 {
			broken++
		}
	}
	holds(t, "first timestamp, line, one arc of two tapped", right/trials, broken/trials, 5.0/6, 0.02)
	for each, want := range map[int]int{0: 0, 1: 201, 2: 400, 9: 400} {
		n := 0
		for _, tapped := range attack.Tapped(random.IntN, g, each) {
			if tapped {
				n++
			}
		}
		if n != want {
			t.Errorf("%d taps a node: %d, want %d", each, n, want)
		}
	}
}

// On a stem all that is known comes from the next spy.
func TestStem(t *testing.T) {
	const ring = 60_000
	for _, p := range []float64{0.1, 0.3} {
		spies := attack.Scattered(seeded(41).IntN, ring, p)
		var seen []rivals.Sighting
		honest := ring - spies.Size()
		for writer := range uint32(ring) {
			at := writer
			for i := kernel.Time(1); !spies.Has(writer); i++ {
				next := (at + 1) % ring
				seen = append(seen, rivals.Sighting{At: i, Node: next, From: at, Message: writer})
				if at = next; spies.Has(at) {
					break
				}
			}
		}
		var accusations, broken []attack.Accusation
		for writer, of := range attack.ByMessage(spies.Hears(seen), ring) {
			if w := uint32(writer); !spies.Has(w) {
				accused := attack.First(of).Accused()
				accusations = append(accusations, attack.Accusation{Writer: w, Accused: accused})
				broken = append(broken, attack.Accusation{Writer: w, Accused: (accused + ring - 1) % ring})
			}
		}
		precision, recall := attack.PerUser(accusations, ring)
		bad, worse := attack.PerUser(broken, ring)
		scale := ring / float64(honest) // spies are no users
		holds(t, fmt.Sprintf("stem, recall, p=%g", p), recall*scale, worse*scale, attack.StemRecall(p), 0.008)
		holds(t, fmt.Sprintf("stem, precision, p=%g", p), precision*scale, bad*scale, attack.StemPrecision(p), 0.002)
	}
}

// Whom spies have heard nothing from is no suspect, and places are shared in a tie.
func TestSuspects(t *testing.T) {
	spies := attack.Coalition{true, false, false, false, true}
	var all []rivals.Sighting
	for _, s := range [][3]uint32{{9, 0, 3}, {7, 0, 1}, {7, 4, 2}, {8, 4, 1}, {1, 0, 4}, {1, 2, 1}, {0, 4, rivals.Nobody}} {
		all = append(all, rivals.Sighting{At: kernel.Time(s[0]), Node: s[1], From: s[2]})
	}
	seen := spies.Hears(all)
	suspects := attack.First(seen)
	if fmt.Sprint(suspects) != "[{1 7} {2 7} {3 9}]" || suspects.Accused() != 1 {
		t.Fatal(suspects)
	}
	for writer, want := range []string{"{true false 0}", "{true true 1.5}", "{true false 1.5}", "{true false 3}"} {
		if got := suspects.Verdict(uint32(writer)); fmt.Sprint(got) != want {
			t.Errorf("%d: %v, want %s", writer, got, want)
		}
	}
	nobody := attack.First(nil)
	if v := nobody.Verdict(rivals.Nobody); nobody.Accused() != rivals.Nobody || v.Named || v.Right {
		t.Error(nobody, v)
	}
}

// Where a message comes from everybody at random instants, to be first says nothing.
func TestFirstSpyOfNoise(t *testing.T) {
	const n, messages = 50, 200
	var found []float64
	for seed := range uint64(40) {
		random := seeded(100 + seed)
		right := 0.0
		for range messages {
			writer := uint32(1 + random.IntN(n))
			var seen []rivals.Sighting
			for from := range uint32(n) {
				seen = append(seen, rivals.Sighting{At: kernel.Time(random.Int64N(1 << 40)), Node: 0, From: from + 1})
			}
			if attack.First(seen).Accused() == writer {
				right++
			}
		}
		found = append(found, right/messages)
	}
	chance(t, "first spy of noise, top 1", found, 1.0/n)
}

func TestChoice(t *testing.T) {
	random := seeded(51)
	held := make([]int, 20)
	for range 5000 {
		c := attack.Drawn(random.IntN, 20, 5)
		if c.Size() != 5 {
			t.Fatal(c.Size())
		}
		for v, bad := range c {
			if bad {
				held[v]++
			}
		}
	}
	for v, n := range held {
		if !agree(float64(n)/5000, 0.25, 0.03) {
			t.Errorf("node %d was drawn %d times of 5000", v, n)
		}
	}
	if n := attack.Scattered(random.IntN, 100_000, 0.2).Size(); !agree(float64(n), 20_000, 500) {
		t.Error(n)
	}
	all, none, few := attack.Scattered(random.IntN, 99, 1), attack.Scattered(random.IntN, 99, 0), attack.Drawn(random.IntN, 3, 9)
	if all.Size() != 99 || none.Size() != 0 || few.Size() != 3 {
		t.Error("all and none")
	}
	if got := fmt.Sprint(attack.Foremost([]float64{1, 5, 5, 0, 5}, 2)); got != "[false true true false false]" {
		t.Error(got)
	}
	a, b := attack.Scattered(seeded(3).IntN, 500, 0.5), attack.Scattered(seeded(3).IntN, 500, 0.5)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("the same seed, and another coalition")
	}
}
