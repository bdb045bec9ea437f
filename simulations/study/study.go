package study

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// What a study may be at most.
const (
	MaxSeeds  = 10_000
	MaxPoints = 10_000
	maxStudy  = 1 << 20 // bytes
)

// A Study is a grid of scenarios, each played with several seeds.
type Study struct {
	Title   string
	About   string
	Seeds   []uint64
	Vary    Vary
	Series  []Series
	Figures []Figure
	Points  []Point // series by series, each in the order of the values
}

// Vary is what is on the x axis: a setting and its values. With an empty Key there is one value, and no axis.
type Vary struct {
	Key    string  `toml:"key"`
	Label  string  `toml:"label"` // with its unit; default the key
	Values []any   `toml:"values"`
	Log    bool    `toml:"log"` // the axis is logarithmic
	Scale  float64 `toml:"scale"`
}

// A Series is a line of a figure: a name, and the settings that make it.
type Series struct {
	Name string         `toml:"name"`
	Set  map[string]any `toml:"set"`
}

// A Figure is one metric of all points.
type Figure struct {
	Name   string `toml:"name"` // of its files: lower case letters, digits and hyphens
	Title  string `toml:"title"`
	Metric string `toml:"metric"` // of Metrics
	Log    bool   `toml:"log"`    // the y axis is logarithmic
}

// A Point is one scenario of a study.
type Point struct {
	Series   string
	X        float64 // the value that is varied; of what is no number its place
	Label    string  // the value as it is written
	Scenario Scenario
}

// Hash names a point: SHA-256 of its whole scenario.
func (p Point) Hash() [sha256.Size]byte { return sha256.Sum256(p.Scenario.marshal()) }

// Name is that of a unit, for files: 12 digits of the hash of its point, and its seed.
func (s *Study) Name(u Unit) string {
	hash := s.Points[u.Point].Hash()
	return fmt.Sprintf("%x-%d", hash[:6], u.Seed)
}

// marshal is the one way to write a scenario.
func (s Scenario) marshal() []byte {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(s); err != nil {
		panic(err) // unreachable: the encoder knows all its types
	}
	return b.Bytes()
}

// head is what a study says beside its scenario.
type head struct {
	Title  string   `toml:"title"`
	About  string   `toml:"about"`
	Seeds  int      `toml:"seeds"`
	Seed   uint64   `toml:"seed"`
	Vary   Vary     `toml:"vary"`
	Series []Series `toml:"series"`
	Figure []Figure `toml:"figure"`
}

// Parse reads a study. What it does not know it refuses, and names.
func Parse(text []byte) (*Study, error) {
	if len(text) > maxStudy {
		return nil, fmt.Errorf("study: %d bytes, at most %d", len(text), maxStudy)
	}
	h, base, err := split(text)
	if err != nil {
		return nil, err
	}
	s := &Study{Title: h.Title, About: h.About, Vary: h.Vary, Series: h.Series, Figures: h.Figure}
	if err := s.complete(h); err != nil {
		return nil, err
	}
	for _, series := range s.Series {
		for i, value := range s.Vary.Values {
			p, err := s.point(base, series, i, value)
			if err != nil {
				return nil, fmt.Errorf("study: series %q at %v: %w", series.Name, value, err)
			}
			s.Points = append(s.Points, p)
		}
	}
	return s, nil
}

// split reads the head, and what is left for the scenario.
func split(text []byte) (h head, base map[string]any, err error) {
	if _, err := toml.Decode(string(text), &h); err != nil {
		return h, nil, readable(err)
	}
	if _, err := toml.Decode(string(text), &base); err != nil {
		return h, nil, readable(err)
	}
	var rest struct {
		head
		Scenario
	}
	meta, err := toml.Decode(string(text), &rest)
	if err != nil {
		return h, nil, readable(err)
	}
	for _, key := range meta.Undecoded() {
		if key[0] != "series" || len(key) < 2 || key[1] != "set" {
			return h, nil, fmt.Errorf("study: unknown setting %q", key)
		}
	}
	for _, own := range []string{"title", "about", "seeds", "seed", "vary", "series", "figure"} {
		delete(base, own)
	}
	return h, base, nil
}

// readable is an error of the parser with the place in it.
func readable(err error) error {
	var at toml.ParseError
	if errors.As(err, &at) {
		return fmt.Errorf("study: line %d: %s", at.Position.Line, at.Message)
	}
	return fmt.Errorf("study: %w", err)
}

var figureName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// complete fills in defaults, and refuses what cannot be.
func (s *Study) complete(h head) error {
	or(&h.Seeds, 5)
	or(&h.Seed, 1)
	if h.Seeds < 1 || h.Seeds > MaxSeeds {
		return fmt.Errorf("study: seeds is %d: give 1 to %d", h.Seeds, MaxSeeds)
	}
	for i := range h.Seeds {
		s.Seeds = append(s.Seeds, h.Seed+uint64(i))
	}
	if len(s.Series) == 0 {
		s.Series = []Series{{Name: "all"}}
	}
	if s.Vary.Key == "" {
		s.Vary.Values, s.Vary.Label = []any{"-"}, "-"
	}
	or(&s.Vary.Label, s.Vary.Key)
	or(&s.Vary.Scale, 1)
	if n := len(s.Series) * len(s.Vary.Values); n < 1 || n > MaxPoints {
		return fmt.Errorf("study: %d points: give 1 to %d", n, MaxPoints)
	}
	for i, series := range s.Series {
		if series.Name == "" || slices.ContainsFunc(s.Series[:i], func(o Series) bool { return o.Name == series.Name }) {
			return fmt.Errorf("study: a series %q without a name of its own", series.Name)
		}
	}
	for i, f := range s.Figures {
		if !figureName.MatchString(f.Name) || slices.ContainsFunc(s.Figures[:i], func(o Figure) bool { return o.Name == f.Name }) {
			return fmt.Errorf("study: %q is no name for a figure of its own: use lower case letters, digits and hyphens", f.Name)
		}
		if _, ok := MetricNamed(f.Metric); !ok {
			return fmt.Errorf("study: figure %q is of the metric %q, which is none of %s", f.Name, f.Metric, strings.Join(metricNames(), ", "))
		}
	}
	return nil
}

// point is the scenario of a series at a value.
func (s *Study) point(base map[string]any, series Series, place int, value any) (Point, error) {
	tree := cloneTree(base)
	for _, key := range sortedKeys(series.Set) {
		if err := set(tree, key, series.Set[key]); err != nil {
			return Point{}, err
		}
	}
	if s.Vary.Key != "" {
		if err := set(tree, s.Vary.Key, value); err != nil {
			return Point{}, err
		}
	}
	scenario, err := decode(tree)
	if err != nil {
		return Point{}, err
	}
	return Point{series.Name, s.Vary.Scale * number(value, place), fmt.Sprint(value), scenario}, nil
}

// number is a value as it stands on an axis: durations in seconds, what is no number by its place.
func number(value any, place int) float64 {
	switch v := value.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	case string:
		var d Duration
		if d.UnmarshalText([]byte(v)) == nil {
			return d.Seconds()
		}
	}
	return float64(place)
}

// set replaces a setting of a tree, by its name with dots.
func set(tree map[string]any, key string, value any) error {
	path := strings.Split(key, ".")
	if len(path) != 2 {
		return fmt.Errorf("%q is no setting: write it as \"world.nodes\"", key)
	}
	part, ok := tree[path[0]].(map[string]any)
	if !ok {
		part = make(map[string]any)
		tree[path[0]] = part
	}
	part[path[1]] = value
	return nil
}

// decode reads a scenario strictly.
func decode(tree map[string]any) (s Scenario, err error) {
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(tree); err != nil {
		return s, err
	}
	meta, err := toml.Decode(text.String(), &s)
	if err != nil {
		return s, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return s, fmt.Errorf("unknown setting %q", unknown[0])
	}
	s = s.withDefaults()
	return s, s.validate()
}

// cloneTree copies a tree of two storeys.
func cloneTree(tree map[string]any) map[string]any {
	clone := make(map[string]any, len(tree))
	for name, part := range tree { // order-free: a copy
		if section, ok := part.(map[string]any); ok {
			part = cloneTree(section)
		}
		clone[name] = part
	}
	return clone
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m { // order-free: sorted below
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
