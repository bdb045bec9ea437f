package measure

import "slices"

// A Score is how much an attack believes that a pair belongs together, and whether it does.
type Score struct {
	Value float64
	True  bool
}

// A Curve is the receiver operating characteristic of an attack: for each threshold which share of the true pairs it finds, and which
// share of the wrong ones it takes for true (T. Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27, 2006).
type Curve []Point

// A Point of a Curve.
type Point struct {
	FalsePositive float64 // share of the wrong pairs at or above the threshold
	TruePositive  float64 // share of the true pairs
}

// NewCurve makes the curve of scores, from (0, 0) to (1, 1). Pairs of one score are taken together: no order of theirs can be
// told. It is nil if there are no true or no wrong pairs.
func NewCurve(scores []Score) Curve {
	sorted := slices.Clone(scores)
	slices.SortFunc(sorted, func(a, b Score) int {
		switch {
		case a.Value > b.Value:
			return -1
		case a.Value < b.Value:
			return 1
		}
		return 0
	})
	trues := 0
	for _, s := range sorted {
		if s.True {
			trues++
		}
	}
	wrongs := len(sorted) - trues
	if trues == 0 || wrongs == 0 {
		return nil
	}
	c := Curve{{}}
	found, accused := 0, 0
	for i, s := range sorted {
		if s.True {
			found++
		} else {
			accused++
		}
		if i+1 == len(sorted) || sorted[i+1].Value != s.Value {
			c = append(c, Point{float64(accused) / float64(wrongs), float64(found) / float64(trues)})
		}
	}
	return c
}

// Area is that under the curve: the probability that a true pair has a higher score than a wrong one, where equal ones count half. 0.5 is
// an attack that knows nothing. 0 of a nil Curve.
func (c Curve) Area() (area float64) {
	for i := 1; i < len(c); i++ {
		area += (c[i].FalsePositive - c[i-1].FalsePositive) * (c[i].TruePositive + c[i-1].TruePositive) / 2
	}
	return area
}

// At is the share of true pairs that the attack finds if at most the given share of the wrong ones may be accused. There is no
// point between two thresholds.
func (c Curve) At(falsePositive float64) (found float64) {
	for _, p := range c {
		if p.FalsePositive <= falsePositive {
			found = max(found, p.TruePositive)
		}
	}
	return found
}
