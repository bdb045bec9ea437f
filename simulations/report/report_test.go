package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/study"
)

const little = `title = "Isn't \"it\" <small>?"
about = "One.\n\nTwo & three."
seeds = 2

[world]
nodes = 8
latency = "20ms"

[traffic]
messages = 2

[vary]
key = "world.degree"
label = "neighbours"
values = [2, 4]

[[series]]
name = "all, of <them>"

[[figure]]
name = "load"
title = "It's \"load\" & <more>"
metric = "load"

[[figure]]
name = "duplicates"
title = "Zero on a logarithm"
metric = "latency-p50"
log = true
`

// play plays what is missing in a folder, and keeps it; after so many worlds it is interrupted.
func play(t *testing.T, f *Folder, s *study.Study, most int) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, missing := f.Load(s)
	n := 0
	return s.Run(ctx, missing, func(u study.Unit, o *study.Outcome) error {
		if n++; n == most {
			cancel()
		}
		return f.KeepOutcome(s, u, o)
	})
}

// published plays the little study into a folder, in one go or interrupted after the first world.
func published(t *testing.T, interrupted bool) string {
	t.Helper()
	s, err := study.Parse([]byte(little))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	f, err := Create(dir, []byte(little), false)
	if err != nil {
		t.Fatal(err)
	}
	if interrupted {
		if err := play(t, f, s, 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted: %v", err)
		}
		if had, missing := f.Load(s); len(had) == 0 || len(had)+len(missing) != 4 {
			t.Fatalf("%d worlds were kept, %d are missing", len(had), len(missing))
		}
		if f, err = Create(dir, []byte(little), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := play(t, f, s, -1); err != nil {
		t.Fatal(err)
	}
	all, missing := f.Load(s)
	if len(missing) != 0 {
		t.Fatalf("missing: %v", missing)
	}
	m := NewManifest("test", []byte(little))
	m.Run.Began = time.Unix(1, 0)
	if err := f.Publish(s, []byte(little), all, m); err != nil {
		t.Fatal(err)
	}
	return dir
}

func content(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An interrupted run that was gone on with leaves the same bytes as one that was not.
func TestInterruptedIsTheSame(t *testing.T) {
	a, b := published(t, false), published(t, true)
	err := filepath.WalkDir(a, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(a, path)
		if !bytes.Equal(content(t, a, name), content(t, b, name)) {
			t.Errorf("%s differs", name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The manifest names all files by their content, and what was played.
func TestManifest(t *testing.T) {
	dir := published(t, false)
	var m Manifest
	if err := json.Unmarshal(content(t, dir, ManifestFile), &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{MessagesFile, SummaryFile, "figures/load.svg", "figures/load.csv", "figures/load.py", "figures/load.gp"} {
		if m.Files[name] != digest(content(t, dir, name)) {
			t.Errorf("the checksum of %s is %q", name, m.Files[name])
		}
	}
	if m.Study != digest([]byte(little)) || len(m.Points) != 2 || len(m.Seeds) != 2 || len(m.Trace) != 64 || m.Run.Events == 0 {
		t.Errorf("%+v", m)
	}
	var point struct {
		Scenario struct {
			World struct {
				Degree  int
				Latency string
			}
		}
	}
	if err := json.Unmarshal(m.Points[1], &point); err != nil || point.Scenario.World.Degree != 4 || point.Scenario.World.Latency != "20ms" {
		t.Errorf("%s: %+v, %v", m.Points[1], point, err)
	}
}

// A page loads nothing, runs nothing, and shows words as words.
func TestPageLoadsNothing(t *testing.T) {
	page := string(content(t, published(t, false), PageFile))
	for _, bad := range []string{"<script", "<link", "<img", "src=", "href=", "url(", "@import", "http:", "https:", "<small>", "<them>", "<more>"} {
		rest := strings.ReplaceAll(strings.ReplaceAll(page, `xmlns="http://www.w3.org/2000/svg"`, ""), `xmlns:xlink="http://www.w3.org/1999/xlink"`, "")
		if at := strings.Index(rest, bad); at >= 0 {
			t.Errorf("the page has %q: ...%s", bad, rest[max(0, at-40):at+40])
		}
	}
	for _, good := range []string{"Content-Security-Policy", "default-src 'none'", "<p>Two &amp; three.</p>", "<figure><svg", "all, of &lt;them&gt;"} {
		if !strings.Contains(page, good) {
			t.Errorf("the page lacks %q", good)
		}
	}
}

// Figures are XML, with the words of the study in them as words.
func TestFiguresParse(t *testing.T) {
	svg := content(t, published(t, false), "figures/load.svg")
	var words strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			words.Write(text)
		}
	}
	for _, want := range []string{`It's "load" & <more>`, "neighbours", "load (packets)", "all, of <them>"} {
		if !strings.Contains(words.String(), want) {
			t.Errorf("the figure lacks %q", want)
		}
	}
}

// Figures survive what they cannot draw: no values, a single one, none that a logarithm has.
func TestStrangeFigures(t *testing.T) {
	none := measure.Interval{Estimate: math.NaN(), Low: math.NaN(), High: math.NaN()}
	one := measure.Interval{Estimate: 3, Low: math.NaN(), High: math.NaN(), N: 1}
	zero := measure.Interval{Estimate: 0, Low: 0, High: 1, N: 5}
	for name, points := range map[string][]Point{
		"nothing": nil, "no value": {{1, "1", none}}, "one": {{1, "1", one}}, "zero": {{0, "0", zero}, {1, "1", one}}, "alike": {{2, "a", one}, {2, "b", one}},
	} {
		for _, log := range []bool{false, true} {
			f := Figure{Name: "f", X: Axis{"x", log}, Y: Axis{"y", log}, Lines: []Line{{"l", points}}}
			svg, err := f.SVG()
			if err != nil || !bytes.Contains(svg, []byte("</svg>")) || bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
				t.Errorf("%s, logarithm %v: %v, %d bytes", name, log, err, len(svg))
			}
		}
	}
}

// The tables say again what the figures show.
func TestSummary(t *testing.T) {
	dir := published(t, false)
	rows, err := csv.NewReader(bytes.NewReader(content(t, dir, SummaryFile))).ReadAll()
	if err != nil || len(rows) != 1+2*len(study.Metrics()) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	of := make(map[string]string)
	for _, r := range rows {
		if r[3] == "load" {
			of[r[1]] = r[5]
		}
	}
	drawn, err := csv.NewReader(bytes.NewReader(content(t, dir, "figures/load.csv"))).ReadAll()
	if err != nil || len(drawn) != 3 {
		t.Fatalf("%d rows, %v", len(drawn), err)
	}
	for _, r := range drawn[1:] {
		if r[3] == "" || of[r[2]] != r[3] {
			t.Errorf("drawn is %v, the summary says %q", r, of[r[2]])
		}
	}
	messages, err := csv.NewReader(bytes.NewReader(content(t, dir, MessagesFile))).ReadAll()
	if err != nil || len(messages) != 1+2*2*2 {
		t.Errorf("%d messages, %v", len(messages), err)
	}
}

// The scripts draw the figure where their programs are. Python is the system's, which may have matplotlib.
func TestScriptsDraw(t *testing.T) {
	dir := filepath.Join(published(t, false), "figures")
	for _, s := range []struct{ program, path, check, script, draws string }{
		{"python3", "/usr/bin/python3", "import matplotlib", "load.py", "load.pdf"},
		{"gnuplot", "gnuplot", "print 1", "load.gp", "load.gnuplot.svg"},
	} {
		t.Run(s.program, func(t *testing.T) {
			needs(t, s.program, exec.Command(s.path, map[string]string{"python3": "-c", "gnuplot": "-e"}[s.program], s.check))
			c := exec.Command(s.path, s.script)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
			if b := content(t, dir, s.draws); len(b) < 1000 {
				t.Errorf("%d bytes", len(b))
			}
		})
	}
}

// needs skips the test where a program is missing, or cannot do what it is checked for; if P3DO_REQUIRE names it, it fails.
func needs(t *testing.T, program string, check *exec.Cmd) {
	t.Helper()
	err := check.Run()
	if err == nil {
		return
	}
	required := strings.FieldsFunc(os.Getenv("P3DO_REQUIRE"), func(c rune) bool { return c == ',' || c == ' ' })
	if slices.Contains(required, program) {
		t.Fatalf("P3DO_REQUIRE lists %s: %v: %v", program, check, err)
	}
	t.Skipf("needs %s, with matplotlib if that is Python: %v: %v", program, check, err)
}

func TestCreate(t *testing.T) {
	dir := published(t, false)
	if _, err := Create(dir, []byte(little), false); !errors.Is(err, ErrUsed) {
		t.Errorf("a folder in use: %v", err)
	}
	if _, err := Create(dir, []byte(little+"\n"), true); !errors.Is(err, ErrOther) {
		t.Errorf("another study: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(dir, "file"), nil, false); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// A part that was spoilt counts as missing, and no name of a part leads elsewhere.
func TestParts(t *testing.T) {
	dir := published(t, false)
	s, err := study.Parse([]byte(little))
	if err != nil {
		t.Fatal(err)
	}
	units := s.Units()
	if err := os.WriteFile(filepath.Join(dir, "parts", s.Name(units[1])+".json"), []byte(`{"Seed":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "parts", s.Name(units[2])+".json"), []byte(`{"Seed":77}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Folder{dir}
	if _, missing := f.Load(s); len(missing) != 2 || missing[0] != units[1] || missing[1] != units[2] {
		t.Errorf("missing: %v", missing)
	}
	for _, name := range []string{"", "../x", "a/b", "A", ".x"} {
		if f.Keep(name, nil) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestProgress(t *testing.T) {
	for _, p := range []struct {
		done, all int
		after     time.Duration
		want      string
	}{
		{0, 4, time.Second, "........................ 0 of 4 worlds, ? left"},
		{1, 4, 10 * time.Second, "######.................. 1 of 4 worlds, 30s left"},
		{4, 4, time.Minute, "######################## 4 of 4 worlds, 0s left"},
		{0, 0, 0, "######################## 0 of 0 worlds, ? left"},
	} {
		if got := Progress(p.done, p.all, p.after); got != p.want {
			t.Errorf("Progress(%d, %d, %v) = %q", p.done, p.all, p.after, got)
		}
	}
}

func TestShort(t *testing.T) {
	for x, want := range map[float64]string{math.NaN(): "-", 0: "0", 0.123456: "0.1235", 12345.6: "12346", 1e9: "1e+09", math.Inf(1): "-"} {
		if got := Short(x); got != want {
			t.Errorf("Short(%v) = %q", x, got)
		}
	}
}
