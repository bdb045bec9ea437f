package attack

import "math"

// Noting is how the paths of a protocol make an adversary note nodes in [Predecessors]: with one path she notes the
// initiator with one probability, and each of so many other honest nodes with another.
type Noting struct {
	Initiator float64
	Other     float64
	Others    int
}

// CrowdsNoting is that of Crowds: so many members, bad ones among them; whoever has a message passes it to any member by
// lot, himself as well, and who got it passes it on with probability forward. M. Reiter, A. Rubin, Crowds, ACM TISSEC 1
// (1998). Members is more than bad+1.
//
// A bad member is on the path with probability c/(n - f(n-c)), where n, c, f are members, bad and forward; if it is, the
// initiator precedes the first one with probability 1 - f(n-c-1)/n, which is Reiter and Rubin's, and each other honest
// member with the same share of the rest.
func CrowdsNoting(members, bad int, forward float64) Noting {
	n, c := float64(members), float64(bad)
	hit := c / (n - forward*(n-c))
	first := 1 - forward*(n-c-1)/n
	return Noting{hit * first, hit * (1 - first) / (n - c - 1), members - bad - 1}
}

// OnionNoting is that of paths of so many relays that an honest node draws without replacement from all other nodes.
// Nodes is more than bad+1.
//
// Ours: the first relay is bad with probability b/(n-1): then the initiator is noted. If the first bad one is a later
// one, it is an honest relay, by symmetry any other node.
func OnionNoting(nodes, bad, length int) Noting {
	first, others := AllBad(nodes-1, bad, 1), nodes-bad-1
	return Noting{first, (AnyBad(nodes-1, bad, length) - first) / float64(others), others}
}

// OnionEndsNoting is that of the same paths for [Predecessors.NoteEnds]. Paths are two relays or longer, whose number
// does not matter.
//
// Ours: the last relay is bad with probability b/(n-1), and then somebody is noted; the first one is too with probability
// EndsBad: then it is the initiator.
func OnionEndsNoting(nodes, bad int) Noting {
	both, others := EndsBad(nodes-1, bad), nodes-bad-1
	return Noting{both, (AllBad(nodes-1, bad, 1) - both) / float64(others), others}
}

// Rounds is how many paths are formed, in the mean, until the initiator has been noted so many times: times/Initiator.
func (n Noting) Rounds(times int) float64 { return float64(times) / n.Initiator }

// Leads is the probability that after so many paths the initiator has been noted more often than anybody else. Time grows
// with the cube of the rounds: some hundreds are well.
//
// Ours: counts of so many independent paths are those of independent Poisson numbers, given that these sum to the number
// of paths. So it is the sum over k of P(initiator = k) times the probability that all others are below k and that all,
// with the paths that note nobody, sum to the rest, divided by the probability that the sum of all is the number of
// paths.
func (n Noting) Leads(rounds int) (probability float64) {
	r := float64(rounds)
	nobody := poisson(r*max(0, 1-n.Initiator-float64(n.Others)*n.Other), rounds)
	his, other := poisson(r*n.Initiator, rounds), poisson(r*n.Other, rounds)
	for k := 1; k <= rounds; k++ {
		if his[k] < negligible {
			continue
		}
		below := power(other[:k], n.Others, rounds-k)
		for i, p := range below {
			probability += his[k] * p * nobody[rounds-k-i]
		}
	}
	return probability / poisson(r, rounds)[rounds]
}

// RoundsToLead is the least number of paths after which the initiator leads with the given probability; 0 if more than
// limit are needed. It is found by halving, since he leads ever more surely.
func (n Noting) RoundsToLead(probability float64, limit int) int {
	enough := 1
	for n.Leads(enough) < probability {
		if enough >= limit {
			return 0
		}
		enough = min(2*enough, limit)
	}
	few := enough / 2
	for enough-few > 1 {
		if middle := (few + enough) / 2; n.Leads(middle) < probability {
			few = middle
		} else {
			enough = middle
		}
	}
	return enough
}

// poisson is the probabilities of 0 to most for a mean.
func poisson(mean float64, most int) []float64 {
	out := make([]float64, most+1)
	if mean <= 0 {
		out[0] = 1
		return out
	}
	for k := range out {
		gamma, _ := math.Lgamma(float64(k + 1))
		out[k] = math.Exp(float64(k)*math.Log(mean) - mean - gamma)
	}
	return out
}

// power is the distribution of the sum of so many independent numbers of one distribution, as far as the given sum.
func power(one []float64, times, most int) []float64 {
	out := []float64{1}
	for square := one; times > 0; times /= 2 {
		if times%2 == 1 {
			out = convolve(out, square, most)
		}
		square = convolve(square, square, most)
	}
	return out
}

// convolve is the distribution of the sum of two independent numbers, as far as the given sum.
func convolve(a, b []float64, most int) []float64 {
	out := make([]float64, min(len(a)+len(b)-1, most+1))
	for i := range min(len(a), len(out)) {
		for j := range min(len(b), len(out)-i) {
			out[i+j] += a[i] * b[j]
		}
	}
	return out
}
