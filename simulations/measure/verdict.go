package measure

// A Verdict is whom an adversary accuses of one message, and the truth of it.
type Verdict struct {
	Named bool    // she named somebody
	Right bool    // it was him
	Rank  float64 // of the true one among all suspects, 1 the first; 0: he was none of them
}

// Verdicts are those of many messages.
type Verdicts []Verdict

// Precision is the share of right ones among those that were named.
func (v Verdicts) Precision() Interval {
	named, right := 0, 0
	for _, x := range v {
		if x.Named {
			named++
			if x.Right {
				right++
			}
		}
	}
	return Proportion(right, named)
}

// Recall is the share of right ones among all.
func (v Verdicts) Recall() Interval {
	return Proportion(v.count(func(x Verdict) bool { return x.Named && x.Right }), len(v))
}

// Top is the share of messages whose true sender is among the first k suspects.
func (v Verdicts) Top(k int) Interval {
	return Proportion(v.count(func(x Verdict) bool { return x.Rank > 0 && x.Rank <= float64(k) }), len(v))
}

func (v Verdicts) count(f func(Verdict) bool) (n int) {
	for _, x := range v {
		if f(x) {
			n++
		}
	}
	return n
}

// InverseRank is the mean of 1/Rank, and 0 for who was no suspect: E. Voorhees, The TREC-8 question answering track report, 1999. Its
// interval is over seeds: see [Mean].
func (v Verdicts) InverseRank() float64 {
	sum := 0.0
	for _, x := range v {
		if x.Rank > 0 {
			sum += 1 / x.Rank
		}
	}
	return sum / float64(len(v))
}
