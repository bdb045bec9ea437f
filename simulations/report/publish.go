package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/p3do/p3do/simulations/study"
)

// KeepOutcome writes the outcome of a unit, for [Folder.Load].
func (f *Folder) KeepOutcome(s *study.Study, u study.Unit, o *study.Outcome) error {
	content, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return f.Keep(s.Name(u), content)
}

// Load reads the outcomes that are there, and lists the units that are missing. A part that cannot be read counts as missing.
func (f *Folder) Load(s *study.Study) (outcomes map[study.Unit]*study.Outcome, missing []study.Unit) {
	outcomes = make(map[study.Unit]*study.Outcome)
	for _, u := range s.Units() {
		content, there := f.Part(s.Name(u))
		o := new(study.Outcome)
		if !there || json.Unmarshal(content, o) != nil || o.Seed != u.Seed {
			missing = append(missing, u)
			continue
		}
		outcomes[u] = o
	}
	return outcomes, missing
}

// Publish writes all files but the parts. m is what is known of the run so far; outcomes has all units.
func (f *Folder) Publish(s *study.Study, text []byte, all map[study.Unit]*study.Outcome, m Manifest) error {
	outcomes := Arranged(s, all)
	p := Page{Title: s.Title, About: s.About, Vary: s.Vary.Label, Study: string(text), Worlds: len(all), Rows: rows(s.Summarise(outcomes))}
	p.Figures = figures(s, p.Rows)
	if err := m.describe(s, outcomes); err != nil {
		return err
	}
	p.Manifest = m
	files, err := p.files(s, outcomes)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := f.Write(file.name, file.content); err != nil {
			return err
		}
		if file.name != PageFile { // the page says when it was made
			m.Files[filepath.ToSlash(file.name)] = digest(file.content)
		}
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return f.Write(ManifestFile, append(content, '\n'))
}

// Arranged returns the outcomes of each point, in the order of its seeds.
func Arranged(s *study.Study, all map[study.Unit]*study.Outcome) [][]*study.Outcome {
	outcomes := make([][]*study.Outcome, len(s.Points))
	for _, u := range s.Units() {
		if o := all[u]; o != nil {
			outcomes[u.Point] = append(outcomes[u.Point], o)
		}
	}
	return outcomes
}

// describe adds what was played, and what came of it.
func (m *Manifest) describe(s *study.Study, outcomes [][]*study.Outcome) error {
	m.Seeds = s.Seeds
	sum := sha256.New()
	for i, p := range s.Points {
		scenario, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		m.Points = append(m.Points, scenario)
		for _, o := range outcomes[i] {
			sum.Write(o.Trace[:])
			m.Run.Events += o.Events
		}
	}
	m.Trace = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func rows(results []study.Result) (rows []Row) {
	for _, r := range results {
		rows = append(rows, Row{r.Point.Series, r.Point.Label, r.Point.X, r.Metric.Name, r.Metric.Unit, r.Metric.Definition, r.Interval})
	}
	return rows
}

// figures are those that a study asks for.
func figures(s *study.Study, rows []Row) (all []Figure) {
	for _, wanted := range s.Figures {
		metric, _ := study.MetricNamed(wanted.Metric)
		f := Figure{Name: wanted.Name, Title: wanted.Title, X: Axis{s.Vary.Label, s.Vary.Log}, Y: Axis{metric.Label(), wanted.Log}}
		f.Caption = fmt.Sprintf("%s: %s. %d seeds; bars are 95 %% intervals over them.", wanted.Title, metric.Definition, len(s.Seeds))
		for _, series := range s.Series {
			line := Line{Name: series.Name}
			for _, r := range rows {
				if r.Metric == wanted.Metric && r.Series == series.Name {
					line.Points = append(line.Points, Point{r.X, r.Value, r.Interval})
				}
			}
			f.Lines = append(f.Lines, line)
		}
		all = append(all, f)
	}
	return all
}

// A file of a folder.
type file struct {
	name    string
	content []byte
}

// files makes all of them.
func (p Page) files(s *study.Study, outcomes [][]*study.Outcome) ([]file, error) {
	all := []file{{MessagesFile, Messages(messages(s, outcomes))}, {SummaryFile, Summary(p.Rows)}}
	for _, f := range p.Figures {
		svg, err := f.SVG()
		if err != nil {
			return nil, err
		}
		base := filepath.Join(figuresFolder, f.Name)
		all = append(all, file{base + ".svg", svg}, file{base + ".csv", f.CSV()}, file{base + ".py", f.Python()}, file{base + ".gp", f.Gnuplot()})
	}
	page, err := p.HTML()
	return append(all, file{PageFile, page}), err
}

func messages(s *study.Study, outcomes [][]*study.Outcome) func(yield func(Message) bool) {
	return func(yield func(Message) bool) {
		for i, p := range s.Points {
			for _, o := range outcomes[i] {
				for n, m := range o.Messages {
					if !yield(Message{p.Series, p.Label, o.Seed, n, m.From, m.To, m.Sent, m.Shown, m.Shortest, m.Delivered, m.Acked}) {
						return
					}
				}
			}
		}
	}
}
