package attack

import "math"

// negligible ends sums over events that become ever less likely.
const negligible = 1e-13

// FirstSpyFlood is how often [First] is right if a message floods over links that all take equally long, and each node
// but the writer, who has so many neighbours, is a spy with probability p.
//
// Ours: a neighbour that is a spy hears the message first of all spies, from the writer. If none is, the first spy is
// further away and hears it from somebody else. So it is the probability that at least one neighbour is a spy, on any
// graph: 1 - (1-p)^neighbours. It is p, 2p - p² for neighbours 1, 2 (an end of a line and its middle).
func FirstSpyFlood(neighbours int, p float64) float64 {
	return 1 - math.Pow(1-p, float64(neighbours))
}

// FirstSpyLine is how often [First] is right if a message diffuses along an infinite line, each link with an exponential
// delay of its own.
//
// Ours: it is FirstSpyTree for degree 2, where two links lead on at any time, so that the sum is geometric: 2p/(1+p).
func FirstSpyLine(p float64) float64 { return 2 * p / (1 + p) }

// FirstSpyTree is how often [First] is right if a message diffuses on an infinite tree in which each node has so many
// neighbours, each link with an exponential delay of its own (the diffusion of G. Fanti, P. Viswanath, Deanonymization in
// the Bitcoin P2P network, NIPS 2017), and each node but the writer is a spy with probability p. Degree is at least 2.
//
// Ours: while k nodes have the message and none is a spy, k(d-2)+2 links lead on. As the delays have no memory, each of
// these is as likely as any other to be the next, and a spy is at its end with probability p. So the first spy hears it
// from one of k nodes with probability p(1-p)^(k-1). Of those links s(k) are the writer's in the mean, where s(1) = d,
// and each step takes one of them away with probability s(k)/(k(d-2)+2). In all: sum over k of p (1-p)^(k-1) s(k) /
// (k(d-2)+2).
func FirstSpyTree(degree int, p float64) (right float64) {
	d := float64(degree)
	his, honest := d, 1.0
	for k := 1.0; p > 0 && honest > negligible; k++ {
		links := k*(d-2) + 2
		right += honest * p * his / links
		his -= his / links
		honest *= 1 - p
	}
	return right
}

// FirstTimestampTree is how often [First] is right for an eavesdropper without spies, who has theta links of her own to
// each node of such a tree, and hears the message over each of them after an exponential delay of the same rate: the
// model and the estimator of Fanti and Viswanath, above.
//
// Ours: with k nodes that have the message, k(d-2)+2 links lead on and k theta lead to her, theta of them from the
// writer. So it is the sum over k of theta/(k(d-2+theta)+2), times the probability that she has not heard before: the
// product over j < k of (j(d-2)+2)/(j(d-2+theta)+2). For large d this tends to theta/(d-2) ln((d-2+theta)/theta).
func FirstTimestampTree(degree, theta int) (right float64) {
	lead, tap := float64(degree-2), float64(theta)
	unheard := 1.0
	for k := 1.0; theta > 0 && unheard > negligible; k++ {
		all := k*(lead+tap) + 2
		right += unheard * tap / all
		unheard *= (k*lead + 2) / all
	}
	return right
}

// StemRecall is how often [First] is right about a message on the stem of Dandelion, a line on which each node but the
// writer is a spy with probability p, and the message goes one way: the next node must be the spy. It is also what no
// protocol without cryptography can go below: S. Bojja Venkatakrishnan, G. Fanti, P. Viswanath, Dandelion, SIGMETRICS
// 2017.
func StemRecall(p float64) float64 { return p }

// StemPrecision is the precision of [PerUser] there, if each honest node wrote one message.
//
// Ours: spies cut the line into runs of l honest nodes, with probability p(1-p)^l behind each spy. All l messages of a
// run are laid at the door of its last node, whose precision is 1/l; that of the others is 0. For each honest node there
// are p/(1-p) spies, so it is p/(1-p) times the sum over l > 0 of p(1-p)^l / l: p²/(1-p) ln(1/p).
func StemPrecision(p float64) float64 {
	if p <= 0 || p >= 1 {
		return p
	}
	return p * p / (1 - p) * math.Log(1/p)
}

// RumourCentre is how often the greatest of [RumourTree] is the writer, if a message diffuses on an infinite tree of the
// given degree until n nodes have it, and the adversary decides by lot between two that are alike.
//
// The branches that hang from the writer grow as the colours of Pólya's urn, d of them with a ball each, d-2 added at a
// draw (Shah and Zaman, Finding rumor sources on random trees, Operations Research 64, 2016, for n without end), so that
// the size of each is beta-binomial, with parameters 1/(d-2) and (d-1)/(d-2), of n-1 nodes; for d = 2 binomial. The
// writer is the centre if no branch has more than n/2 nodes, and one of two centres if one has just n/2. Of degree 3 it
// tends to 1/4.
func RumourCentre(degree, n int) float64 {
	wrong := 0.0
	for size := (n + 1) / 2; size < n; size++ {
		p := branch(degree, n-1, size)
		if 2*size == n {
			p /= 2
		}
		wrong += p
	}
	return 1 - float64(degree)*wrong
}

// branch is the probability that one of the writer's branches has so many of n nodes.
func branch(degree, n, size int) float64 {
	if degree == 2 {
		return math.Exp(logChoose(n, size) - float64(n)*math.Ln2)
	}
	a := 1 / float64(degree-2)
	b := float64(degree-1) * a
	return math.Exp(logChoose(n, size) + logBeta(float64(size)+a, float64(n-size)+b) - logBeta(a, b))
}

func logChoose(n, k int) float64 {
	return -math.Log(float64(n+1)) - logBeta(float64(n-k+1), float64(k+1))
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// RangingLine is how often the greatest of [Ranging.Posterior] is the writer, who is on a line between two spies at its
// ends and next to neither, if the instants at which these hear have independent normal errors of standard deviation
// spread, in units of the latency of one link.
//
// Ours: all she can use is how much later the one heard than the other. That differs by two links between neighbours and
// has an error of standard deviation spread times root 2, so she is right if that is less than one link: erf(1/(2
// spread)).
func RangingLine(spread float64) float64 { return math.Erf(1 / (2 * spread)) }

// ThinnedCorrelation is how well what a receiver gets in a bin goes with what the sender emitted in it: the one is
// Poisson with a mean of sent, and of each emission the other gets a share, and Poisson noise besides.
//
// Ours: the covariance is share sent, the variances are sent, and share sent + noise.
func ThinnedCorrelation(sent, share, noise float64) float64 {
	return share * math.Sqrt(sent/(share*sent+noise))
}

// CorrelationArea is about how often [Timing] gives a true pair a higher score than a wrong one, which is the area under
// its curve, with a window of one lag, so many bins, and the given correlation of true pairs.
//
// Ours: the correlation of samples is about normal, with variance (1-r²)²/bins around r and 1/bins around 0 (Fisher), and
// the two are independent of each other.
func CorrelationArea(bins int, correlation float64) float64 {
	spread := 1 - correlation*correlation
	return normal(correlation * math.Sqrt(float64(bins)) / math.Sqrt(1+spread*spread))
}

// DisclosureArea is about how often [Disclose] gives one of the target's friends a higher score than somebody else, if in
// each round he writes to one of so many friends, by lot, and batch-1 others to one of all users, by lot: the setting of
// Danezis.
//
// Ours: the difference of the two counts has a mean of 1/friends a round, and a variance of 1/friends (1 - 1/friends) by
// him and of 2 (batch-1)/users by the others; what is taken away is the same for both. Many rounds make it normal.
func DisclosureArea(friends, users, batch, rounds int) float64 {
	mean := 1 / float64(friends)
	variance := mean*(1-mean) + 2*float64(batch-1)/float64(users)
	return normal(mean * math.Sqrt(float64(rounds)/variance))
}

func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// IntersectionLeft is how many users are left in the mean after so many rounds of an [Intersection], if the target is
// always online and each of the others with probability online, independently in each round: 1 + (users-1) online^rounds.
func IntersectionLeft(users int, online float64, rounds int) float64 {
	return 1 + float64(users-1)*math.Pow(online, float64(rounds))
}

// IntersectionRounds is after how many rounds in the mean the target is alone. It has no end if they are always online.
//
// It is the mean of the greatest of users-1 geometric numbers: the sum over r >= 0 of 1 - (1-online^r)^(users-1).
func IntersectionRounds(users int, online float64) (rounds float64) {
	if users > 1 && online >= 1 {
		return math.Inf(1)
	}
	for here := 1.0; ; here *= online {
		alone := math.Exp(float64(users-1) * math.Log1p(-here)) // 0 at first, where ln 0 is -Inf
		if users == 1 || 1-alone < negligible {
			return rounds
		}
		rounds += 1 - alone
	}
}

// AllBad is the probability that all relays of a path are bad, if they are drawn without replacement from nodes of which
// some are bad: the product over i < length of (bad-i)/(nodes-i). Length is at most nodes.
func AllBad(nodes, bad, length int) float64 {
	p := 1.0
	for i := range length {
		p *= float64(max(0, bad-i)) / float64(nodes-i)
	}
	return p
}

// EndsBad is the probability that the first and the last relay of such a path are: bad (bad-1) / (nodes (nodes-1)),
// whatever is between.
func EndsBad(nodes, bad int) float64 { return AllBad(nodes, bad, 2) }

// AnyBad is the probability that at least one relay of such a path is.
func AnyBad(nodes, bad, length int) float64 { return 1 - AllBad(nodes, nodes-bad, length) }

// LonelyBatch is how often a message is [Lonely] in a batch of n messages, if each of the others is the adversary's with
// probability share: share^(n-1). Who sends x times as much as all others has a share of x/(1+x).
func LonelyBatch(n int, share float64) float64 { return math.Pow(share, float64(n-1)) }
