package study

import (
	"math"

	"github.com/p3do/p3do/simulations/measure"
)

// A Metric is a number that is found in every world, and what it is.
type Metric struct {
	Name       string
	Unit       string // "" of a share
	Definition string
	// Of one of the two: the share of hits in a world, or its number, NaN if it has none.
	share func(*Outcome) measure.Share
	value func(*Outcome) float64
}

// Metrics returns all of them, in the order in which they are reported.
func Metrics() []Metric {
	return []Metric{
		{Name: "delivery", Definition: "messages that their readers were shown, among those that were sent",
			share: func(o *Outcome) measure.Share { return o.Delivered }},
		{Name: "acknowledged", Definition: "messages of which their senders know that they were read, among those that were sent",
			share: func(o *Outcome) measure.Share { return o.Acknowledged }},
		{Name: "latency-p50", Unit: "s", Definition: "median time from the sending of a message until it is shown, of those that were",
			value: func(o *Outcome) float64 { return measure.Quantile(o.Latencies, 0.50) }},
		{Name: "latency-p90", Unit: "s", Definition: "the time within which nine of ten messages are shown, of those that were",
			value: func(o *Outcome) float64 { return measure.Quantile(o.Latencies, 0.90) }},
		{Name: "latency-p99", Unit: "s", Definition: "the time within which 99 of 100 messages are shown, of those that were",
			value: func(o *Outcome) float64 { return measure.Quantile(o.Latencies, 0.99) }},
		{Name: "stretch-p50", Definition: "median of the latency over the time that the shortest way over the links would take",
			value: func(o *Outcome) float64 { return measure.Quantile(o.Stretches, 0.50) }},
		{Name: "transmissions", Unit: "packets", Definition: "packets put on links between nodes for each message that was shown, receipts and acknowledgements included",
			value: func(o *Outcome) float64 { return o.per(o.Transmissions) }},
		{Name: "bytes", Unit: "MiB", Definition: "bytes put on links between nodes for each message that was shown, news of packets included",
			value: func(o *Outcome) float64 { return o.per(o.Bytes) / (1 << 20) }},
		{Name: "load", Unit: "packets", Definition: "packets that a node says for each message of the whole world, on average",
			value: func(o *Outcome) float64 { return o.per(o.Transmissions) / float64(o.Nodes) }},
		{Name: "duplicates", Definition: "packets that a node had heard before, among those that it hears",
			value: func(o *Outcome) float64 { return float64(o.Duplicates) / float64(o.Heard) }},
		{Name: "busiest", Definition: "packets that the busiest node says, over the mean of all nodes",
			value: func(o *Outcome) float64 { return positive(o.Busiest) }},
		{Name: "copies", Unit: "copies", Definition: "copies that users hand in for each message that was shown, those of its acknowledgement included: two if none is lost",
			value: func(o *Outcome) float64 { return o.per(o.Copies) }},
	}
}

// Label is the name with the unit, for an axis.
func (m Metric) Label() string {
	if m.Unit == "" {
		return m.Name
	}
	return m.Name + " (" + m.Unit + ")"
}

// MetricNamed finds one.
func MetricNamed(name string) (Metric, bool) {
	for _, m := range Metrics() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// positive is x, or NaN if that is zero.
func positive(x float64) float64 {
	if x == 0 {
		return math.NaN()
	}
	return x
}

func metricNames() (names []string) {
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	return names
}

// Over is the metric over the outcomes of several seeds. Seeds in which it has no value are left out.
func (m Metric) Over(seeds []*Outcome) measure.Interval {
	if m.share != nil {
		var shares []measure.Share
		for _, o := range seeds {
			shares = append(shares, m.share(o))
		}
		return measure.Shares(shares)
	}
	var values []float64
	for _, o := range seeds {
		if v := m.value(o); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	return measure.Mean(values)
}
