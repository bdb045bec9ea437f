package lab

import (
	"fmt"
	"math"
	"slices"
)

// A matcher tells by times and sizes which of two users a message went to: logistic regression over what was seen in
// intervals after the instant at which it was sent. That instant it is told, which a watcher would have to guess: what it
// achieves is more than a real one can by these features.
type matcher struct {
	mean, scale, weight []float64
	bias                float64
}

const (
	learnRounds = 400
	learnRate   = 0.5
	learnDecay  = 0.02 // pulls weights to zero, or it would learn the noise of its half
)

// learn trains a matcher on what was seen of true recipients and of others. All rows are of one length.
func learn(yes, no [][]float64) matcher {
	m := standard(slices.Concat(yes, no))
	type row struct {
		x    []float64
		want float64
	}
	var rows []row
	for _, x := range yes {
		rows = append(rows, row{m.standardise(x), 1})
	}
	for _, x := range no {
		rows = append(rows, row{m.standardise(x), 0})
	}
	for range learnRounds {
		step, bias := make([]float64, len(m.weight)), 0.0
		for _, r := range rows {
			wrong := r.want - 1/(1+math.Exp(-m.bias-dot(m.weight, r.x)))
			bias += wrong
			for i, x := range r.x {
				step[i] += wrong * x
			}
		}
		n := float64(len(rows))
		m.bias += learnRate * bias / n
		for i := range m.weight {
			m.weight[i] += learnRate * (step[i]/n - learnDecay*m.weight[i])
		}
	}
	return m
}

// standard is a matcher that has learnt nothing but mean and spread of each column.
func standard(rows [][]float64) matcher {
	columns := len(rows[0])
	m := matcher{mean: make([]float64, columns), scale: make([]float64, columns), weight: make([]float64, columns)}
	for i := range columns {
		var sum, squares float64
		for _, r := range rows {
			sum += r[i]
			squares += r[i] * r[i]
		}
		n := float64(len(rows))
		m.mean[i] = sum / n
		if spread := math.Sqrt(max(0, squares/n-m.mean[i]*m.mean[i])); spread > 0 {
			m.scale[i] = 1 / spread
		}
	}
	return m
}

func (m matcher) standardise(x []float64) []float64 {
	z := make([]float64, len(x))
	for i := range x {
		z[i] = (x[i] - m.mean[i]) * m.scale[i]
	}
	return z
}

// score is greater the more x looks like what is seen of a recipient.
func (m matcher) score(x []float64) float64 { return dot(m.weight, m.standardise(x)) }

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// A Match is how well a matcher tells recipients from others that it was not trained on.
type Match struct {
	Pairs int     `json:"pairs"` // held-out messages, each with its recipient and with somebody else
	AUC   float64 `json:"auc"`   // how often it ranks the recipient higher: 0.5 is guessing, 1 is certainty
	Low   float64 `json:"low"`   // of the 95 % interval (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988)
	High  float64 `json:"high"`
	Sent  int     `json:"sent"`  // messages in all
	Shown int     `json:"shown"` // of these, read before the lab ended
}

func (m Match) text() string {
	return fmt.Sprintf("a timing matcher that knows when each message was sent finds its recipient with an AUC of %.3f (95 %%: %.3f to %.3f), %d pairs held out; %d messages sent, %d read\n",
		m.AUC, m.Low, m.High, m.Pairs, m.Sent, m.Shown)
}

// judge compares the scores of recipients with those of others.
func judge(yes, no []float64) Match {
	over := func(a, b float64) float64 {
		switch {
		case a > b:
			return 1
		case a == b:
			return 0.5
		}
		return 0
	}
	ofYes, ofNo := make([]float64, len(yes)), make([]float64, len(no))
	for i, a := range yes {
		for j, b := range no {
			v := over(a, b)
			ofYes[i] += v / float64(len(no))
			ofNo[j] += v / float64(len(yes))
		}
	}
	auc, between := spreadOf(ofYes)
	_, among := spreadOf(ofNo)
	off := 1.96 * math.Sqrt(between/float64(len(yes))+among/float64(len(no)))
	return Match{Pairs: len(yes), AUC: auc, Low: max(0, auc-off), High: min(1, auc+off)}
}

// spreadOf returns mean and variance.
func spreadOf(all []float64) (mean, variance float64) {
	for _, x := range all {
		mean += x / float64(len(all))
	}
	for _, x := range all {
		variance += (x - mean) * (x - mean) / float64(max(1, len(all)-1))
	}
	return mean, variance
}
