package measure

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Confidence is of all intervals of this package.
const Confidence = 0.95

// normal95 is the quantile of the normal distribution for a two-sided interval of Confidence.
const normal95 = 1.959963984540054

// A Method is how an interval was found.
type Method string

// The methods.
const (
	Wilson     Method = "wilson"    // E. B. Wilson, Probable inference, JASA 22 (1927)
	Student    Method = "student t" // Student, The probable error of a mean, Biometrika 6 (1908)
	Percentile Method = "bootstrap" // B. Efron, Bootstrap methods, Annals of Statistics 7 (1979)
)

// An Interval is an estimate and what it may be as well. Of no observations all three numbers are NaN; of one seed the bounds are.
type Interval struct {
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"lo95"`
	High     float64 `json:"hi95"`
	N        int     `json:"n"`
	Method   Method  `json:"method"`
}

// String is the estimate with the interval behind it.
func (i Interval) String() string {
	return fmt.Sprintf("%.4g (%.4g to %.4g, n = %d)", i.Estimate, i.Low, i.High, i.N)
}

// Holds reports whether x is within the interval.
func (i Interval) Holds(x float64) bool { return i.Low <= x && x <= i.High }

// Proportion is the share of hits among n independent trials.
func Proportion(hits, n int) Interval {
	return wilson(float64(hits), float64(n), float64(n), n)
}

// wilson is the interval of a share of n trials that are worth as much as so many independent ones.
func wilson(hits, n, worth float64, count int) Interval {
	if n <= 0 {
		return Interval{math.NaN(), math.NaN(), math.NaN(), 0, Wilson}
	}
	const z = normal95
	p := hits / n
	middle := (p + z*z/(2*worth)) / (1 + z*z/worth)
	half := z / (1 + z*z/worth) * math.Sqrt(p*(1-p)/worth+z*z/(4*worth*worth))
	return Interval{p, max(0, middle-half), min(1, middle+half), count, Wilson}
}

// A Share is how many of the trials of one seed were hits.
type Share struct{ Hits, N int }

// Shares is the share of hits among the trials of several seeds. Those of one seed depend on each other, so they are worth fewer
// independent ones: as many fewer as the variance between the seeds is greater than that of independent trials (the
// design effect of L. Kish, Survey sampling, 1965). N is the number of trials.
func Shares(ofSeeds []Share) Interval {
	var hits, n, spread float64
	for _, s := range ofSeeds {
		hits, n = hits+float64(s.Hits), n+float64(s.N)
	}
	p, k := hits/n, float64(len(ofSeeds))
	for _, s := range ofSeeds {
		off := float64(s.Hits) - p*float64(s.N)
		spread += off * off
	}
	effect := 1.0
	if k > 1 && p > 0 && p < 1 {
		effect = max(1, k/(k-1)*spread/(n*p*(1-p)))
	}
	return wilson(hits, n, n/effect, int(n))
}

// Mean is that of one number for each seed.
func Mean(ofSeeds []float64) Interval {
	n := len(ofSeeds)
	mean := average(ofSeeds)
	if n < 2 {
		return Interval{mean, math.NaN(), math.NaN(), n, Student}
	}
	sum := 0.0
	for _, x := range ofSeeds {
		sum += (x - mean) * (x - mean)
	}
	t := distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile((1 + Confidence) / 2)
	half := t * math.Sqrt(sum/float64(n-1)/float64(n))
	return Interval{mean, mean - half, mean + half, n, Student}
}

// average is NaN of nothing.
func average(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// resamples is how many times Bootstrap draws: enough for the bounds to stand still to about a hundredth of the interval.
const resamples = 4000

// Bootstrap is a statistic of what was measured in each seed, which are drawn again with replacement; lots returns an
// even number below n, the same ones each time if its source is seeded. The statistic is given the measurements of as many seeds as there are.
func Bootstrap[S any](lots func(n int) int, ofSeeds []S, statistic func([]S) float64) Interval {
	n := len(ofSeeds)
	if n == 0 {
		return Interval{math.NaN(), math.NaN(), math.NaN(), 0, Percentile}
	}
	found, drawn := make([]float64, resamples), make([]S, n)
	for i := range found {
		for j := range drawn {
			drawn[j] = ofSeeds[lots(n)]
		}
		found[i] = statistic(drawn)
	}
	slices.Sort(found)
	return Interval{statistic(ofSeeds), Quantile(found, (1-Confidence)/2), Quantile(found, (1+Confidence)/2), n, Percentile}
}

// Quantile is that of numbers in order, between the two nearest ones (type 7 of Hyndman and Fan, The American Statistician
// 50, 1996, as in R and NumPy); NaN of none. q is 0 to 1.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}
