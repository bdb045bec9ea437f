package chance_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/p3do/p3do/simulations/chance"
)

func seeded(seed uint64) chance.Lots { return chance.Lots{Source: rand.NewPCG(seed, 1)} }

// Each number comes as often as any other, by Pearson's chi square at a level of 1e-4.
func TestEven(t *testing.T) {
	l := seeded(1)
	for name, draw := range map[string]func() int{
		"IntN":     func() int { return l.IntN(10) },
		"Float":    func() int { return int(10 * l.Float()) },
		"Distinct": func() int { return l.Distinct(10, 3)[2] },
		"Exp":      func() int { return int(10 * math.Exp(-l.Exp())) }, // e to the minus an exponential is even in (0, 1]
		"Shuffle": func() int {
			deck := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
			l.Shuffle(10, func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			return deck[4]
		},
	} {
		const trials = 100_000
		var count [10]float64
		for range trials {
			count[min(draw(), 9)]++
		}
		square := 0.0
		for _, n := range count {
			square += (n - trials/10) * (n - trials/10) / (trials / 10)
		}
		if square > 33.7 { // nine degrees of freedom
			t.Errorf("%s: chi square %.1f: %v", name, square, count)
		}
	}
}

func TestDistinct(t *testing.T) {
	l := seeded(2)
	for _, c := range []struct{ n, many, want int }{{5, 0, 0}, {5, 3, 3}, {5, 5, 5}, {5, 9, 5}, {1_000_000_000, 4, 4}, {0, 2, 0}} {
		got := l.Distinct(c.n, c.many)
		slices.Sort(got)
		if len(got) != c.want || len(slices.Compact(slices.Clone(got))) != c.want || c.want > 0 && (got[0] < 0 || got[c.want-1] >= c.n) {
			t.Errorf("%d of %d: %v", c.many, c.n, got)
		}
	}
}

// The lots of a source never change: results that were published can be had again.
func TestGolden(t *testing.T) {
	l := seeded(3)
	var got []int
	for range 4 {
		got = append(got, l.IntN(1000), int(1000*l.Float()), int(1000*l.Exp()))
	}
	if want := golden; !slices.Equal(got, want) {
		t.Errorf("%#v", got)
	}
}

var golden = []int{159, 778, 160, 855, 93, 870, 922, 956, 173, 469, 325, 5}
