// Package chance draws lots from a source that it is given, for the pure packages of the simulator: the same source gives the
// same lots, on every machine. What it makes of random bits is fixed here, and no version of a library can change it.
package chance

import (
	"math"
	"math/bits"
)

// A Source gives 64 random bits at a time, as a math/rand/v2.Source does.
type Source interface{ Uint64() uint64 }

// Lots draws from a source.
type Lots struct{ Source }

// IntN is an even number of 0 to n-1, without bias: D. Lemire, Fast random integer generation in an interval, ACM TOMACS 29
// (2019). n is at least 1.
func (l Lots) IntN(n int) int {
	hi, lo := bits.Mul64(l.Uint64(), uint64(n))
	if lo < uint64(n) {
		for least := -uint64(n) % uint64(n); lo < least; {
			hi, lo = bits.Mul64(l.Uint64(), uint64(n))
		}
	}
	return int(hi)
}

// Float is even in [0, 1), in steps of 2^-53.
func (l Lots) Float() float64 { return float64(l.Uint64()>>11) / (1 << 53) }

// Bernoulli is true with probability p.
func (l Lots) Bernoulli(p float64) bool { return l.Float() < p }

// Exp is exponential with mean 1.
func (l Lots) Exp() float64 { return -math.Log1p(-l.Float()) }

// Shuffle puts n things into an order, each as likely as any other (R. Fisher, F. Yates, 1938).
func (l Lots) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, l.IntN(i+1))
	}
}

// Distinct is so many different numbers of 0 to n-1, or all of them, in an order by lot. Memory is that of the numbers, not of n.
func (l Lots) Distinct(n, many int) []int {
	many = min(max(many, 0), n)
	moved := make(map[int]int, many) // of a deck that is not written out, what lies elsewhere than in its place
	card := func(i int) int {
		if c, ok := moved[i]; ok {
			return c
		}
		return i
	}
	drawn := make([]int, many)
	for i := range drawn {
		j := i + l.IntN(n-i)
		drawn[i] = card(j)
		moved[j] = card(i)
	}
	return drawn
}
