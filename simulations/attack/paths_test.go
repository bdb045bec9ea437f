package attack_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/measure"
)

// crowd is a path of Crowds: the initiator and then members by lot, until one does not pass it on.
func crowd(random *rand.Rand, members int, forward float64, initiator uint32) []uint32 {
	path := []uint32{initiator, uint32(random.IntN(members))}
	for random.Float64() < forward {
		path = append(path, uint32(random.IntN(members)))
	}
	return path
}

// onion is a path of relays drawn without replacement from all nodes but the initiator.
func onion(random *rand.Rand, nodes, length int, initiator uint32) []uint32 {
	path := []uint32{initiator}
	for len(path) <= length {
		if relay := uint32(random.IntN(nodes)); !slices.Contains(path, relay) {
			path = append(path, relay)
		}
	}
	return path
}

// A way of forming paths, and what it makes the adversary note.
type way struct {
	name       string
	nodes, bad int
	noting     attack.Noting
	note       func(attack.Predecessors, []uint32, attack.Coalition)
	path       func(*rand.Rand, uint32) []uint32
}

func ways() []way {
	return []way{
		{"crowds", 20, 4, attack.CrowdsNoting(20, 4, 0.75), attack.Predecessors.Note,
			func(r *rand.Rand, who uint32) []uint32 { return crowd(r, 20, 0.75, who) }},
		{"onion", 25, 5, attack.OnionNoting(25, 5, 4), attack.Predecessors.Note,
			func(r *rand.Rand, who uint32) []uint32 { return onion(r, 25, 4, who) }},
		{"onion, last one bad", 12, 4, attack.OnionEndsNoting(12, 4), attack.Predecessors.NoteEnds,
			func(r *rand.Rand, who uint32) []uint32 { return onion(r, 12, 3, who) }},
	}
}

// noteSuccessor is broken: it takes who comes after the bad node.
func noteSuccessor(p attack.Predecessors, path []uint32, bad attack.Coalition) {
	for i, relay := range path {
		if bad.Has(relay) {
			if i+1 < len(path) {
				p[path[i+1]]++
			}
			return
		}
	}
}

func TestPredecessors(t *testing.T) {
	const trials = 2500
	for i, w := range ways() {
		random := seeded(uint64(900 + i))
		bad := attack.Foremost(make([]float64, w.nodes), w.bad) // the first ones
		initiator := uint32(w.nodes - 1)
		const rounds, times = 30, 5
		noted, other, leads, wrong, wrongLeads := 0.0, 0.0, 0.0, 0.0, 0.0
		waited, hasty := 0.0, 0.0
		found, sure := 0.0, 0.0
		for range trials {
			p, broken := make(attack.Predecessors, w.nodes), make(attack.Predecessors, w.nodes)
			for range rounds {
				path := w.path(random, initiator)
				w.note(p, path, bad)
				noteSuccessor(broken, path, bad)
			}
			noted += float64(p[initiator]) / (trials * rounds)
			wrong += float64(broken[initiator]) / (trials * rounds)
			for v := w.bad; v < w.nodes-1; v++ {
				other += float64(p[v]) / (trials * rounds * float64(w.noting.Others))
			}
			if who, alone := p.Leader(); alone && who == initiator {
				leads += 1.0 / trials
			}
			if who, alone := broken.Leader(); alone && who == initiator {
				wrongLeads += 1.0 / trials
			}
			posterior := p.Posterior(w.noting, bad)
			found += first(posterior.Rank(int(initiator))) / trials
			sure += best(posterior) / trials
			waited += float64(roundsUntil(random, w, bad, initiator, times)) / trials
			hasty += float64(roundsUntil(random, w, bad, initiator, times-1)) / trials // one too few
		}
		holds(t, "predecessor, "+w.name+", initiator noted", noted, wrong, w.noting.Initiator, 0.005)
		holds(t, "predecessor, "+w.name+", each other noted", other, noted, w.noting.Other, 0.001)
		holds(t, fmt.Sprintf("predecessor, %s, leads after %d", w.name, rounds), leads, wrongLeads, w.noting.Leads(rounds), 0.03)
		holds(t, fmt.Sprintf("predecessor, %s, rounds to %d notes", w.name, times), waited, hasty,
			w.noting.Rounds(times), 0.03*w.noting.Rounds(times))
		if !agree(sure, found, 0.05) {
			t.Errorf("%s: sure to %.4f, and right in %.4f of the cases", w.name, sure, found)
		}
	}
}

// roundsUntil is how many paths it takes until the initiator was noted so often.
func roundsUntil(random *rand.Rand, w way, bad attack.Coalition, initiator uint32, times int) int {
	p := make(attack.Predecessors, w.nodes)
	for rounds := 1; ; rounds++ {
		w.note(p, w.path(random, initiator), bad)
		if p[initiator] == times {
			return rounds
		}
	}
}

// The number of rounds that the closed form asks for is enough, and one less is not.
func TestRoundsToLead(t *testing.T) {
	for _, w := range ways() {
		for _, confidence := range []float64{0.5, 0.9, 0.99} {
			rounds := w.noting.RoundsToLead(confidence, 500)
			t.Logf("%s leads with %.2f after %d rounds", w.name, confidence, rounds)
			if rounds == 0 || w.noting.Leads(rounds) < confidence || w.noting.Leads(rounds-1) >= confidence {
				t.Errorf("%s, %.2f: %d rounds, %.4f", w.name, confidence, rounds, w.noting.Leads(rounds))
			}
		}
		if got := w.noting.RoundsToLead(0.9, 3); got != 0 {
			t.Error("more than the limit:", got)
		}
	}
	if got := (attack.Noting{Initiator: 0.1, Others: 50}).Leads(20); !agree(got, 0.8784233454094307, 1e-9) { // 1 - 0.9^20
		t.Error(got)
	}
}

// On paths that begin with anybody the initiator leads no oftener than others.
func TestPredecessorsOfNoise(t *testing.T) {
	const nodes, rounds, paths = 21, 25, 200
	bad := attack.Foremost(make([]float64, nodes), 5)
	var leads []float64
	for seed := range uint64(40) {
		random, led := seeded(1000+seed), 0.0
		for range paths {
			p := make(attack.Predecessors, nodes)
			for range rounds {
				p.Note(onion(random, nodes, 3, uint32(5+random.IntN(16))), bad)
			}
			if who, alone := p.Leader(); alone && who == 20 {
				led++
			}
		}
		leads = append(leads, led/paths)
	}
	noting := attack.OnionNoting(nodes, 5, 3)
	even := (noting.Initiator + 15*noting.Other) / 16
	chance(t, "predecessor of noise, leads", leads, attack.Noting{Initiator: even, Other: even, Others: 15}.Leads(rounds))
}

// Reiter and Rubin: probable innocence is where the initiator is the one before with a half.
func TestCrowdsNoting(t *testing.T) {
	for _, c := range []struct {
		n, c    int
		f, want float64
	}{{100, 10, 0.8, 0.2880}, {20, 5, 0.75, 0.4750}} {
		noting := attack.CrowdsNoting(c.n, c.c, c.f)
		if got := noting.Initiator / (noting.Initiator + float64(noting.Others)*noting.Other); !agree(got, c.want, 1e-9) {
			t.Errorf("%d members, %d bad: %.6f, want %.4f", c.n, c.c, got, c.want)
		}
	}
}

func TestPaths(t *testing.T) {
	const trials = 40_000
	for i, c := range []struct{ nodes, bad, length int }{{10, 4, 3}, {30, 12, 2}, {12, 6, 4}} {
		random := seeded(uint64(1100 + i))
		bad := attack.Drawn(random.IntN, c.nodes, c.bad)
		var paths [][]uint32
		broken := attack.PathCount{Paths: trials} // looks at all relays but the first, and takes that for both ends
		for range trials {
			path := onion(random, c.nodes, c.length, ^uint32(0))[1:]
			paths = append(paths, path)
			rest := attack.CountPaths([][]uint32{path[1:]}, bad)
			broken.All += rest.All
			broken.Any += rest.Any
			broken.Ends += attack.CountPaths([][]uint32{path[:1]}, bad).All
		}
		got := attack.CountPaths(paths, bad)
		what := fmt.Sprintf("%d of %d bad, %d relays", c.bad, c.nodes, c.length)
		holds(t, "path, all bad, "+what, got.Followed().Estimate, broken.Followed().Estimate,
			attack.AllBad(c.nodes, c.bad, c.length), 0.008)
		holds(t, "path, ends bad, "+what, got.Timed().Estimate, broken.Timed().Estimate,
			attack.EndsBad(c.nodes, c.bad), 0.008)
		holds(t, "path, one bad, "+what, float64(got.Any)/trials, float64(broken.Any)/trials,
			attack.AnyBad(c.nodes, c.bad, c.length), 0.008)
	}
	// Of 100 nodes, as Figure 3 of MiXiM (PETS 2022) has them.
	for length, want := range map[int]float64{2: 0.0090909, 4: 5.3555e-5, 5: 3.3472e-6} {
		if got := attack.AllBad(100, 10, length); !agree(got/want, 1, 1e-4) {
			t.Errorf("%d relays: %g, want %g", length, got, want)
		}
	}
	one := attack.CountPaths([][]uint32{{}, {1}}, attack.Coalition{false, true})
	if one != (attack.PathCount{Paths: 2, All: 1, Ends: 1, Any: 1}) {
		t.Error(one)
	}
}

func TestLonely(t *testing.T) {
	for i, c := range []struct {
		n     int
		share float64
	}{{5, 0.8}, {10, 0.9}, {3, 0.5}} {
		random := seeded(uint64(1200 + i))
		var batches []attack.Batch
		lonely, peopled := 0.0, 0.0
		for range 20_000 {
			own := 0
			for range c.n {
				if random.Float64() < c.share {
					own++
				}
			}
			batches = append(batches, attack.Batch{Messages: c.n, Own: own})
			switch c.n - own {
			case 0:
			case 1:
				lonely++ // for a broken one, which counts batches instead of messages
				fallthrough
			default:
				peopled++
			}
		}
		holds(t, fmt.Sprintf("n-1, batches of %d, share %g", c.n, c.share), attack.Lonely(batches).Estimate, lonely/peopled,
			attack.LonelyBatch(c.n, c.share), 0.015)
	}
}

func TestMarked(t *testing.T) {
	for _, c := range []struct {
		odd   []bool
		truth int
		want  string
	}{
		{[]bool{false, true, false}, 1, "{true true 1}"},
		{[]bool{false, true, false}, 0, "{true false 2.5}"},
		{[]bool{true, true, false}, 1, "{false false 1.5}"},
		{[]bool{false, false, false}, 1, "{false false 2}"}, // she learned nothing
		{[]bool{false, false, false}, -1, "{false false 0}"},
		{[]bool{true, false}, -1, "{true false 0}"},
	} {
		if got := attack.Marked(c.odd, c.truth); fmt.Sprint(got) != c.want {
			t.Errorf("%v, %d: %v, want %s", c.odd, c.truth, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		p     measure.Posterior
		truth int
		want  string
	}{
		{measure.Posterior{0.2, 0.5, 0.3}, 1, "{true true 1}"},
		{measure.Posterior{0.2, 0.5, 0.3}, 0, "{true false 3}"},
		{measure.Posterior{0.4, 0.2, 0.4}, 2, "{false false 1.5}"},
		{measure.Posterior{0.3, 0.3, 0.4}, 2, "{true true 1}"},
		{measure.Posterior{0, 1, 0}, -1, "{true false 0}"},
		{nil, 0, "{false false 0}"},
	} {
		if got := attack.Judge(c.p, c.truth); fmt.Sprint(got) != c.want {
			t.Errorf("%v, %d: %v, want %s", c.p, c.truth, got, c.want)
		}
	}
}
