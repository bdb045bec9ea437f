package lab

import (
	"math"
	"math/rand/v2"
	"testing"
)

// noise is what is seen of somebody to whom nothing came; a recipient has something more in one of the intervals.
func noise(random *rand.Rand, more float64) []float64 {
	row := make([]float64, 40)
	for i := range row {
		row[i] = float64(random.IntN(5))
	}
	row[7+random.IntN(3)] += more
	return row
}

// A matcher finds what there is to find, and nothing where there is nothing: its own test, for one that always guesses would
// pass any mesh.
func TestMatcher(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	try := func(more float64) Match {
		var yes, no [2][][]float64
		for i := range 2000 {
			yes[i%2] = append(yes[i%2], noise(random, more))
			no[i%2] = append(no[i%2], noise(random, 0))
		}
		m := learn(yes[0], no[0])
		var scores, others []float64
		for i := range yes[1] {
			scores, others = append(scores, m.score(yes[1][i])), append(others, m.score(no[1][i]))
		}
		return judge(scores, others)
	}
	if m := try(0); m.AUC > 0.55 || m.AUC < 0.45 || m.High < 0.5 || m.High-m.Low > 0.06 {
		t.Errorf("nothing: %+v", m)
	}
	if m := try(8); m.AUC < 0.95 || m.Low < 0.9 {
		t.Errorf("something: %+v", m)
	}
}

// The interval is that of the binormal case: of two normal distributions 1 apart the AUC is 0.760.
func TestJudge(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	hit := 0
	const truth = 0.7602
	for range 200 {
		var yes, no []float64
		for range 200 {
			yes, no = append(yes, random.NormFloat64()+1), append(no, random.NormFloat64())
		}
		if m := judge(yes, no); m.Low <= truth && truth <= m.High {
			hit++
		}
	}
	if hit < 180 || hit > 199 {
		t.Errorf("%d of 200 intervals hold the truth, 190 should", hit)
	}
	if m := judge([]float64{1, 2}, []float64{1, 2}); math.Abs(m.AUC-0.5) > 1e-9 {
		t.Errorf("of equals: %+v", m)
	}
}
