package attack

import (
	"math"

	"github.com/p3do/p3do/simulations/measure"
)

// impossible stands for the logarithm of a likelihood of nothing.
const impossible = -math.MaxFloat64

// fromLogs makes a posterior of the logarithms of likelihoods, which may be far too small for a float64 each. A prior is
// even over those that are possible.
func fromLogs(logs []float64) measure.Posterior {
	best := impossible
	for _, l := range logs {
		best = max(best, l)
	}
	weights := make([]float64, len(logs))
	for i, l := range logs {
		if best > impossible {
			weights[i] = math.Exp(l - best)
		}
	}
	return measure.NewPosterior(weights)
}

// Judge holds a posterior against the truth: the adversary names the likeliest suspect, and nobody if two are alike. Of
// somebody who cannot be it at all the rank is that of a suspect all the same; -1 is who is none, and has rank 0.
func Judge(p measure.Posterior, truth int) measure.Verdict {
	named, best := -1, 0.0
	for i, x := range p {
		switch {
		case x > best:
			named, best = i, x
		case x == best:
			named = -1
		}
	}
	v := measure.Verdict{Named: named >= 0, Right: named >= 0 && named == truth}
	if truth >= 0 && truth < len(p) {
		v.Rank = p.Rank(truth)
	}
	return v
}
