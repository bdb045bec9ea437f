package measure_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p3do/p3do/simulations/measure"
)

func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if !(math.Abs(got-want) <= by) {
		t.Errorf("%s: %.6f, want %.6f", what, got, want)
	}
}

// Wilson's intervals as R's prop.test without continuity correction gives them.
func TestProportion(t *testing.T) {
	for _, c := range []struct {
		hits, n   int
		low, high float64
	}{{8, 10, 0.490162, 0.943318}, {0, 20, 0, 0.161125}, {20, 20, 0.838875, 1}, {500, 1000, 0.469070, 0.530930}} {
		i := measure.Proportion(c.hits, c.n)
		near(t, "low", i.Low, c.low, 1e-6)
		near(t, "high", i.High, c.high, 1e-6)
		if i.N != c.n || !i.Holds(i.Estimate) || i.Method != measure.Wilson {
			t.Error(i)
		}
	}
	if i := measure.Proportion(0, 0); !math.IsNaN(i.Estimate) || i.Holds(0) {
		t.Error(i)
	}
}

// Student's own example, the difference in hours of sleep between two drugs (1908), as R's t.test gives it.
func TestMean(t *testing.T) {
	i := measure.Mean([]float64{1.2, 2.4, 1.3, 1.3, 0, 1, 1.8, 0.8, 4.6, 1.4})
	near(t, "mean", i.Estimate, 1.58, 1e-12)
	near(t, "low", i.Low, 0.7001142, 1e-6)
	near(t, "high", i.High, 2.4598858, 1e-6)
	if i := measure.Mean([]float64{3}); i.Estimate != 3 || !math.IsNaN(i.Low) || i.N != 1 {
		t.Error(i)
	}
	if i := measure.Mean(nil); !math.IsNaN(i.Estimate) {
		t.Error(i)
	}
}

// All three intervals hold the truth about nineteen times in twenty: a wrong one would not.
func TestCoverage(t *testing.T) {
	lots := rand.New(rand.NewPCG(1, 2))
	const worlds = 2000
	held := map[measure.Method]int{}
	for range worlds {
		hits := 0
		for range 60 {
			if lots.Float64() < 0.3 {
				hits++
			}
		}
		numbers := make([]float64, 12)
		for i := range numbers {
			numbers[i] = 5 + lots.NormFloat64()
		}
		for i, truth := range map[measure.Interval]float64{measure.Proportion(hits, 60): 0.3, measure.Mean(numbers): 5} {
			if i.Holds(truth) {
				held[i.Method]++
			}
		}
	}
	for method, n := range held {
		if i := measure.Proportion(n, worlds); i.Low > 0.965 || i.High < 0.935 {
			t.Errorf("%s: holds the truth in %s of the cases", method, i)
		}
	}
	if len(held) != 2 {
		t.Error(held)
	}
}

func TestBootstrap(t *testing.T) {
	source := rand.New(rand.NewPCG(3, 4))
	seeds := make([]float64, 200)
	for i := range seeds {
		seeds[i] = source.NormFloat64()
	}
	mean := func(xs []float64) float64 { return measure.Mean(xs).Estimate }
	a := measure.Bootstrap(rand.New(rand.NewPCG(5, 6)).IntN, seeds, mean)
	student := measure.Mean(seeds)
	near(t, "low", a.Low, student.Low, 0.02)
	near(t, "high", a.High, student.High, 0.02)
	if b := measure.Bootstrap(rand.New(rand.NewPCG(5, 6)).IntN, seeds, mean); a != b {
		t.Error("the same lots, and another interval")
	}
	if i := measure.Bootstrap(source.IntN, nil, mean); !math.IsNaN(i.Estimate) {
		t.Error(i)
	}
}

func TestQuantile(t *testing.T) {
	xs := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 0.9: 3.7} {
		near(t, fmt.Sprint(q), measure.Quantile(xs, q), want, 1e-12)
	}
	if !math.IsNaN(measure.Quantile(nil, 0.5)) {
		t.Error("a quantile of nothing")
	}
}

func TestPosterior(t *testing.T) {
	p := measure.NewPosterior([]float64{4, 2, 1, 1, 0})
	near(t, "entropy", p.Entropy(), 1.75, 1e-12)
	near(t, "effective", p.Effective(), math.Exp2(1.75), 1e-12)
	near(t, "min-entropy", p.MinEntropy(), 1, 1e-12)
	near(t, "degree", p.Degree(), 1.75/math.Log2(5), 1e-12)
	if got := []float64{p.Rank(0), p.Rank(1), p.Rank(2), p.Rank(3), p.Rank(4)}; !slices.Equal(got, []float64{1, 2, 3.5, 3.5, 5}) {
		t.Error(got)
	}
	for n := 1; n < 9; n++ {
		nothing := measure.NewPosterior(make([]float64, n))
		near(t, "effective set of who knows nothing", nothing.Effective(), float64(n), 1e-9)
	}
}

func TestLoopix(t *testing.T) {
	epsilon, delta := measure.Loopix([]measure.Pair{{0.2, 0.1}, {0.1, 0.2}, {0.3, 0.3}, {0.1, 0}, {0, 0}})
	near(t, "epsilon", epsilon, 2*math.Ln2/3, 1e-12)
	near(t, "delta", delta, 0.25, 1e-12)
}

func TestVerdicts(t *testing.T) {
	v := measure.Verdicts{{true, true, 1}, {true, false, 4}, {false, false, 2}, {Named: true}}
	near(t, "precision", v.Precision().Estimate, 1.0/3, 1e-12)
	near(t, "recall", v.Recall().Estimate, 0.25, 1e-12)
	near(t, "top 2", v.Top(2).Estimate, 0.5, 1e-12)
	near(t, "inverse rank", v.InverseRank(), (1+0.25+0.5)/4, 1e-12)
}

// The area is the share of pairs of a true and a wrong score that are in the right order.
func TestCurve(t *testing.T) {
	lots := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		var scores []measure.Score
		for range 40 {
			scores = append(scores, measure.Score{Value: float64(lots.IntN(8)), True: lots.IntN(2) == 0})
		}
		right, pairs := 0.0, 0.0
		for _, a := range scores {
			for _, b := range scores {
				if a.True && !b.True {
					pairs++
					switch {
					case a.Value > b.Value:
						right++
					case a.Value == b.Value:
						right += 0.5
					}
				}
			}
		}
		near(t, "area", measure.NewCurve(scores).Area(), right/pairs, 1e-9)
	}
	c := measure.NewCurve([]measure.Score{{9, true}, {8, true}, {7, false}, {6, true}, {5, false}})
	near(t, "at 0", c.At(0), 2.0/3, 1e-12)
	near(t, "at a half", c.At(0.5), 1, 1e-12)
	if measure.NewCurve([]measure.Score{{1, true}}) != nil || measure.Curve(nil).Area() != 0 {
		t.Error("a curve of nothing")
	}
}

// Seeds that agree are as good as independent trials; seeds that differ by more than chance are worth less.
func TestShares(t *testing.T) {
	alike := measure.Shares([]measure.Share{{50, 100}, {52, 100}, {48, 100}, {50, 100}})
	if alike != measure.Proportion(200, 400) {
		t.Errorf("%v, not %v", alike, measure.Proportion(200, 400))
	}
	apart := measure.Shares([]measure.Share{{100, 100}, {0, 100}, {100, 100}, {0, 100}})
	if apart.Estimate != 0.5 || apart.High-apart.Low < 5*(alike.High-alike.Low) {
		t.Errorf("%v is too sure", apart)
	}
	if all := measure.Shares([]measure.Share{{7, 7}, {9, 9}}); all.Estimate != 1 || all.High < 0.9999 || all.Low > 0.82 {
		t.Errorf("%v", all)
	}
	if none := measure.Shares(nil); none.N != 0 || none.Estimate == none.Estimate {
		t.Errorf("%v", none)
	}
}
