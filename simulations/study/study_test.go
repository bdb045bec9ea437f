package study

import (
	"context"
	"strings"
	"testing"
)

const little = `
title = "A little one"
seeds = 2

[world]
nodes = 12
degree = 4

[traffic]
messages = 3

[vary]
key = "router.extra_hops"
values = [0, 1]

[[series]]
name = "all links"

[[series]]
name = "announce, then fetch"
set = { "router.lazy" = true }

[[figure]]
name = "cost"
metric = "load"
`

func TestParse(t *testing.T) {
	s, err := Parse([]byte(little))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Points) != 4 || len(s.Units()) != 8 || s.Points[3].Series != "announce, then fetch" || s.Points[3].X != 1 {
		t.Errorf("%+v", s.Points)
	}
	if p := s.Points[3].Scenario; !p.Router.Lazy || p.Router.ExtraHops != 1 || p.Traffic.Users != 12 {
		t.Errorf("%+v", p)
	}
	if s.Points[0].Scenario.Router.Lazy || s.Points[0].Hash() == s.Points[1].Hash() {
		t.Error("points are not apart")
	}
}

// What is wrong is refused, and the error names it.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"degree = 4", "degre = 4", `unknown setting "world.degre"`},
		{"seeds = 2", "seeds = 2\nsedes = 3", `unknown setting "sedes"`},
		{`"router.lazy" = true`, `"router.lasy" = true`, `unknown setting "router.lasy"`},
		{`"router.lazy" = true`, `"router.lazy" = 3`, "router.lazy"},
		{`key = "router.extra_hops"`, `key = "router.extra"`, `unknown setting "router.extra"`},
		{"values = [0, 1]", "values = [0, 4]", "router.extra_hops is 4"},
		{"nodes = 12", "nodes = 0", "world.nodes is 0: give 1 to"},
		{"nodes = 12", "nodes = \"a\"", "line 6"},
		{"nodes = 12", "nodes = ", "line 6"},
		{"degree = 4", "degree = 4\njitter = \"-1s\"", "negative"},
		{"degree = 4", "degree = 4\nlatency = \"fast\"", `write "250ms"`},
		{`metric = "load"`, `metric = "lode"`, "which is none of delivery"},
		{`name = "cost"`, `name = "../cost"`, "no name for a figure"},
		{`name = "all links"`, `name = "announce, then fetch"`, "without a name of its own"},
		{"seeds = 2", "seeds = 100000", "give 1 to 10000"},
	} {
		text := strings.Replace(little, c.from, c.to, 1)
		if text == little {
			t.Fatalf("%q is not there", c.from)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.to, err, c.want)
		}
	}
}

// A study is played to its end, the same each time, and all its metrics have values.
func TestRun(t *testing.T) {
	s, err := Parse([]byte(little))
	if err != nil {
		t.Fatal(err)
	}
	play := func() [][]*Outcome {
		outcomes := make([][]*Outcome, len(s.Points))
		err := s.Run(context.Background(), s.Units(), func(u Unit, o *Outcome) error {
			outcomes[u.Point] = append(outcomes[u.Point], o)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return outcomes
	}
	one, two := play(), play()
	traces := make(map[Trace]int)
	for i := range one {
		if len(one[i]) != 2 {
			t.Fatalf("point %d: %d outcomes", i, len(one[i]))
		}
		for _, o := range append(one[i], two[i]...) {
			traces[o.Trace]++
		}
	}
	if len(traces) != 8 {
		t.Errorf("%d worlds, not 8", len(traces))
	}
	for _, r := range s.Summarise(one) {
		if r.Metric.Name == "delivery" && r.Interval.Estimate != 1 || r.Interval.N == 0 {
			t.Errorf("%s of %s at %s: %v", r.Metric.Name, r.Point.Series, r.Point.Label, r.Interval)
		}
	}
}

// A run ends when it is told to, and with the first error.
func TestRunEnds(t *testing.T) {
	s, err := Parse([]byte(little))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err = s.Run(ctx, s.Units(), func(Unit, *Outcome) error {
		n++
		cancel()
		return nil
	})
	if err != context.Canceled || n == len(s.Units()) {
		t.Errorf("%v after %d", err, n)
	}
}
