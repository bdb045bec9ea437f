package attack

import (
	"math"

	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
)

// Ends are the two ends of one conversation: the instants at which its sender emitted something, and those at which its
// receiver got something. Neither list need be in order.
type Ends struct{ Sent, Received []kernel.Time }

// Timing says how an adversary compares what senders emit with what receivers get: she counts both in bins of time, and
// asks how well the counts go together, for each number of bins by which the receiver may lag. B. Levine, M. Reiter, C.
// Wang, M. Wright, Timing attacks in low-latency mix-based systems, Financial Cryptography 2004.
//
// She knows the instants at both ends of all conversations, and for half of the conversations, on which she learns, which
// ends belong together. She does not know that of the other half, and sees nothing between the ends.
type Timing struct {
	From, Until kernel.Time // what is watched: from the one on, up to before the other
	Bin         kernel.Time // more than 0
	Lags        int         // how many bins what is received may lag
}

// A Window is of lags, in bins, both included.
type Window struct{ First, Last int }

// Halves learns on the first half of the conversations, and scores all pairs of ends in the other half. Nothing of what
// it scores was learned from. With n conversations there are n²/4 pairs, of which n/2 are true, so a curve tells of false
// positives of 1e-4 from some 200 conversations on.
func (t Timing) Halves(conversations []Ends) []measure.Score {
	half := len(conversations) / 2
	return t.Scores(conversations[half:], t.Learn(conversations[:half]))
}

// Learn finds the lags at which true pairs go together more than pairs in general: the lag at which the difference of the
// mean correlations is greatest, and those around it where it is at least half of that.
func (t Timing) Learn(conversations []Ends) Window {
	bins := t.bins()
	allSent, allReceived := make([]float64, bins), make([]float64, bins)
	together := make([]float64, t.Lags+1)
	for _, c := range conversations {
		sent, received := t.count(c.Sent), t.count(c.Received)
		for lag := range together {
			together[lag] += lagged(sent, received, lag) / float64(len(conversations))
		}
		add(allSent, sent)
		add(allReceived, received)
	}
	for lag := range together {
		together[lag] -= lagged(allSent, allReceived, lag) / float64(len(conversations)*len(conversations))
	}
	return around(together)
}

// around is the window about the greatest element in which all are at least half of it.
func around(xs []float64) Window {
	peak := 0
	for i, x := range xs {
		if x > xs[peak] {
			peak = i
		}
	}
	w := Window{peak, peak}
	for w.First > 0 && xs[w.First-1] >= xs[peak]/2 {
		w.First--
	}
	for w.Last+1 < len(xs) && xs[w.Last+1] >= xs[peak]/2 {
		w.Last++
	}
	return w
}

// Scores is how well each sender goes with each receiver: the sum of the correlations over the lags of a window. The pair
// of the ends of one conversation is true, all others are not.
func (t Timing) Scores(conversations []Ends, window Window) []measure.Score {
	sent, received := make([][]float64, len(conversations)), make([][]float64, len(conversations))
	for i, c := range conversations {
		sent[i] = t.count(c.Sent)
		received[i] = windowed(t.count(c.Received), window)
	}
	scores := make([]measure.Score, 0, len(conversations)*len(conversations))
	for i := range sent {
		for j := range received {
			scores = append(scores, measure.Score{Value: lagged(sent[i], received[j], 0), True: i == j})
		}
	}
	return scores
}

func (t Timing) bins() int { return int((t.Until - t.From + t.Bin - 1) / t.Bin) }

// count is how many instants fall into each bin, less the mean and scaled so that the squares sum to one. If all bins
// have equally many, it is zero everywhere: nothing can be told from it.
func (t Timing) count(instants []kernel.Time) []float64 {
	out := make([]float64, t.bins())
	inside := 0
	for _, at := range instants {
		if t.From <= at && at < t.Until {
			out[(at-t.From)/t.Bin]++
			inside++
		}
	}
	mean, sum := float64(inside)/float64(len(out)), 0.0
	for i := range out {
		out[i] -= mean
		sum += out[i] * out[i]
	}
	if sum > 1e-9 {
		for i := range out {
			out[i] /= math.Sqrt(sum)
		}
	}
	return out
}

// lagged is the product of the one with the other as it is so many bins later.
func lagged(one, later []float64, lag int) (sum float64) {
	for i := 0; i+lag < len(later); i++ {
		sum += one[i] * later[i+lag]
	}
	return sum
}

// windowed sums over the lags of a window in advance, so that a single product is left for each pair.
func windowed(xs []float64, w Window) []float64 {
	out := make([]float64, len(xs))
	for lag := w.First; lag <= w.Last && lag < len(xs); lag++ {
		for i := range xs[lag:] {
			out[i] += xs[i+lag]
		}
	}
	return out
}

func add(to, xs []float64) {
	for i, x := range xs {
		to[i] += x
	}
}
