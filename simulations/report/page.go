package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/p3do/p3do/simulations/measure"
)

//go:embed page.html
var pageText string

// A Page is what report.html shows.
type Page struct {
	Title    string
	About    string // paragraphs are apart by an empty line
	Vary     string // what is varied
	Study    string // as it was given
	Worlds   int
	Rows     []Row
	Figures  []Figure
	Manifest Manifest
}

// shown is a page as the template has it.
type shown struct {
	Page
	About   []string
	Figures []shownFigure
	Metrics []shownMetric
}

type shownFigure struct {
	SVG     template.HTML
	Caption string
}

type shownMetric struct {
	Name, Unit, Definition string
	Rows                   []shownRow
}

type shownRow struct {
	Series, Value, Estimate, Bounds string
	N                               int
	Method                          measure.Method
}

// HTML writes the page.
func (p Page) HTML() ([]byte, error) {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	s := shown{Page: p, About: strings.Split(strings.TrimSpace(p.About), "\n\n"), Metrics: metrics(p.Rows)}
	for _, f := range p.Figures {
		svg, err := f.SVG()
		if err != nil {
			return nil, err
		}
		s.Figures = append(s.Figures, shownFigure{inline(svg), f.Caption})
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}

// inline is a drawing without what only a file of its own has before it.
func inline(svg []byte) template.HTML {
	if at := bytes.Index(svg, []byte("<svg")); at >= 0 {
		svg = svg[at:]
	}
	return template.HTML(svg) // our own drawing; all words in it are escaped there
}

// metrics gathers rows, which come metric by metric.
func metrics(rows []Row) (all []shownMetric) {
	for _, r := range rows {
		if len(all) == 0 || all[len(all)-1].Name != r.Metric {
			all = append(all, shownMetric{Name: r.Metric, Unit: r.Unit, Definition: r.Definition})
		}
		m := &all[len(all)-1]
		m.Rows = append(m.Rows, shownRow{r.Series, r.Value, Short(r.Interval.Estimate), bounds(r.Interval), r.Interval.N, r.Interval.Method})
	}
	return all
}

func bounds(i measure.Interval) string {
	if math.IsNaN(i.Low) || math.IsNaN(i.High) {
		return "-"
	}
	return Short(i.Low) + " to " + Short(i.High)
}

// Short is a number with four digits that count, for people; "-" if there is none.
func Short(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "-"
	}
	if a := math.Abs(x); a >= 1000 && a < 1e7 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.4g", x)
}
