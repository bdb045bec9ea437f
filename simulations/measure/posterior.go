package measure

import "math"

// A Posterior is a probability for each suspect, as an adversary has it of one message after all that she saw. [NewPosterior] makes one
// of weights.
type Posterior []float64

// NewPosterior scales weights, which are not negative, so that they sum to one. If all are zero she knows nothing, and all are alike.
func NewPosterior(weights []float64) Posterior {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	p := make(Posterior, len(weights))
	for i, w := range weights {
		if sum > 0 {
			p[i] = w / sum
		} else {
			p[i] = 1 / float64(len(weights))
		}
	}
	return p
}

// Entropy is Shannon's, in bits: A. Serjantov, G. Danezis, Towards an information theoretic metric for anonymity, PET 2002.
func (p Posterior) Entropy() (bits float64) {
	for _, x := range p {
		if x > 0 {
			bits -= x * math.Log2(x)
		}
	}
	return bits
}

// Effective is how many suspects that are alike would leave her as undecided: 2 to the power of Entropy (there, as well).
func (p Posterior) Effective() float64 { return math.Exp2(p.Entropy()) }

// Degree is Entropy as a share of what it would be if she knew nothing, 0 to 1: C. Diaz et al., Towards measuring anonymity, PET 2002.
// Of one suspect it is 0.
func (p Posterior) Degree() float64 {
	if len(p) < 2 {
		return 0
	}
	return p.Entropy() / math.Log2(float64(len(p)))
}

// MinEntropy is that of her best guess, in bits: -log2 of the greatest probability.
func (p Posterior) MinEntropy() float64 {
	best := 0.0
	for _, x := range p {
		best = max(best, x)
	}
	return -math.Log2(best)
}

// Rank is the place of a suspect when all are named from the likeliest down, 1 the first. Who is as likely as others has the mean of
// their places, so that an adversary who knows nothing gains nothing by the order of a list.
func (p Posterior) Rank(suspect int) float64 {
	above, alike := 0, 0
	for _, x := range p {
		switch {
		case x > p[suspect]:
			above++
		case x == p[suspect]:
			alike++
		}
	}
	return float64(above) + float64(alike+1)/2
}

// A Pair is how likely what was seen is if the one, and if the other of two senders wrote a message that is traced.
type Pair struct{ One, Other float64 }

// Loopix is the likelihood difference of A. Piotrowska et al., The Loopix anonymity system, USENIX Security 2017: epsilon, the mean
// of |ln(One/Other)| over the pairs in which neither is zero, and delta, the share of those in which one is and the other is not. Pairs in which
// both are zero say nothing, and are left out. Without pairs both are NaN.
func Loopix(pairs []Pair) (epsilon, delta float64) {
	sum, finite, infinite := 0.0, 0, 0
	for _, p := range pairs {
		switch {
		case p.One > 0 && p.Other > 0:
			sum += math.Abs(math.Log(p.One / p.Other))
			finite++
		case p.One > 0 || p.Other > 0:
			infinite++
		}
	}
	return sum / float64(finite), float64(infinite) / float64(finite+infinite)
}
