package report

import (
	"bytes"
	"encoding/csv"
	"math"
	"strconv"
	"time"

	"github.com/p3do/p3do/simulations/measure"
)

// A Row is a metric at a point.
type Row struct {
	Series     string
	Value      string  // of what is varied, as it is written
	X          float64 // the same on an axis
	Metric     string
	Unit       string
	Definition string
	Interval   measure.Interval
}

// Summary writes rows as summary.csv.
func Summary(rows []Row) []byte {
	t := newTable("series", "value", "x", "metric", "unit", "estimate", "lo95", "hi95", "n", "method", "definition")
	for _, r := range rows {
		i := r.Interval
		t.add(r.Series, r.Value, number(r.X), r.Metric, r.Unit, number(i.Estimate), number(i.Low), number(i.High),
			strconv.Itoa(i.N), string(i.Method), r.Definition)
	}
	return t.bytes()
}

// A Message is one that was sent in a world.
type Message struct {
	Series    string
	Value     string
	Seed      uint64
	Number    int // in its world, from 0
	From, To  int // nodes
	Sent      time.Duration
	Shown     time.Duration // if it was delivered
	Shortest  time.Duration // that it could have taken over the links
	Delivered bool
	Acked     bool
}

// Messages writes messages.csv. Instants are in nanoseconds since the world began; what is not known is empty.
func Messages(all func(yield func(Message) bool)) []byte {
	t := newTable("series", "value", "seed", "message", "from", "to", "sent_ns", "shown_ns", "latency_ns", "shortest_ns", "acknowledged")
	for m := range all {
		shown, took := "", ""
		if m.Delivered {
			shown, took = nanos(m.Shown), nanos(m.Shown-m.Sent)
		}
		t.add(m.Series, m.Value, strconv.FormatUint(m.Seed, 10), strconv.Itoa(m.Number), strconv.Itoa(m.From), strconv.Itoa(m.To),
			nanos(m.Sent), shown, took, nanos(m.Shortest), strconv.FormatBool(m.Acked))
	}
	return t.bytes()
}

func nanos(d time.Duration) string { return strconv.FormatInt(int64(d), 10) }

// number writes a number so that it is read as the same; what is none is empty.
func number(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// A table is a CSV file (RFC 4180) in memory.
type table struct {
	buffer bytes.Buffer
	writer *csv.Writer
}

func newTable(columns ...string) *table {
	t := new(table)
	t.writer = csv.NewWriter(&t.buffer)
	t.add(columns...)
	return t
}

func (t *table) add(cells ...string) { _ = t.writer.Write(cells) } // to memory: it cannot fail

func (t *table) bytes() []byte {
	t.writer.Flush()
	return t.buffer.Bytes()
}
