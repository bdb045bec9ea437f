package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/p3do/p3do/simulations/measure"
)

// A Figure is a metric of several series over what is varied.
type Figure struct {
	Name    string
	Title   string
	Caption string
	X, Y    Axis
	Lines   []Line
}

// An Axis of a figure.
type Axis struct {
	Label string // with the unit
	Log   bool   // a figure with values that are not positive has none
}

// A Line is the points of a series, in the order of X.
type Line struct {
	Name   string
	Points []Point
}

// A Point of a line. One without an estimate is not drawn.
type Point struct {
	X     float64
	Label string
	Y     measure.Interval
}

// The size of a figure: the column of a paper.
const (
	width  = 85 * vg.Millimeter
	height = 64 * vg.Millimeter
)

// SVG draws the figure.
func (f Figure) SVG() ([]byte, error) {
	p := plot.New()
	f.frame(p)
	for i, line := range f.Lines {
		if err := f.line(p, i, line); err != nil {
			return nil, fmt.Errorf("report: drawing %s: %w", f.Name, err)
		}
	}
	f.room(p)
	canvas := vgsvg.New(width, height)
	sheet := draw.New(canvas)
	sheet.FillPolygon(color.White, []vg.Point{{}, {X: width}, {X: width, Y: height}, {Y: height}})
	p.Draw(draw.Crop(sheet, 2*vg.Millimeter, -3*vg.Millimeter, vg.Millimeter, -2*vg.Millimeter))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("report: drawing %s: %w", f.Name, err)
	}
	return b.Bytes(), nil
}

// frame sets up the axes.
func (f Figure) frame(p *plot.Plot) {
	p.Title.Text = f.Title
	p.X.Label.Text, p.Y.Label.Text = f.X.Label, f.Y.Label
	p.Title.Padding = 1.5 * vg.Millimeter
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
		style.Font.Size = vg.Points(7)
	}
	p.Title.TextStyle.Font.Size = vg.Points(8)
	if f.logX() {
		p.X.Scale = plot.LogScale{}
	}
	if f.logY() {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	p.X.Tick.Marker = plot.ConstantTicks(f.ticks())
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.ThumbnailWidth = 6 * vg.Millimeter
	p.Legend.YOffs = -1 * vg.Millimeter
	p.Legend.XOffs = 2 * vg.Millimeter
}

// room makes some above the data, for the legend, and around data that fill none.
func (f Figure) room(p *plot.Plot) {
	widen(&p.X, f.logX())
	widen(&p.Y, f.logY())
	lines := float64(len(f.Lines))
	if f.logY() {
		p.Y.Max *= math.Pow(p.Y.Max/p.Y.Min, 0.06+0.1*lines)
	} else {
		p.Y.Min = min(p.Y.Min, 0)
		p.Y.Max += (p.Y.Max - p.Y.Min) * (0.06 + 0.1*lines)
	}
}

// widen gives an axis a length: around the one value on it, or any if there is none.
func widen(a *plot.Axis, log bool) {
	if a.Min > a.Max {
		a.Min, a.Max = 1, 1
	}
	switch {
	case a.Min < a.Max:
	case log:
		a.Min, a.Max = a.Min/2, a.Max*2
	default:
		a.Min, a.Max = a.Min-1, a.Max+1
	}
}

// ticks are at the values.
func (f Figure) ticks() (ticks []plot.Tick) {
	for _, line := range f.Lines {
		for _, point := range line.Points {
			if !slices.ContainsFunc(ticks, func(t plot.Tick) bool { return t.Value == point.X }) {
				ticks = append(ticks, plot.Tick{Value: point.X, Label: point.Label})
			}
		}
	}
	return ticks
}

// palette tells series apart for eyes that see few colours (M. Okabe, K. Ito, Color universal design, 2008); markers and dashes do so in grey.
func palette(i int) (color.Color, draw.GlyphDrawer, []vg.Length) {
	colours := []color.Color{
		color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
		color.RGBA{86, 180, 233, 255}, color.RGBA{230, 159, 0, 255}, color.RGBA{0, 0, 0, 255},
	}
	glyphs := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{}}
	dashes := [][]vg.Length{nil, {vg.Points(4), vg.Points(2)}, {vg.Points(1), vg.Points(1.5)}, {vg.Points(6), vg.Points(1.5), vg.Points(1), vg.Points(1.5)}}
	return colours[i%len(colours)], glyphs[i%len(glyphs)], dashes[i%len(dashes)]
}

// line draws a series: its points, the line through them and their intervals.
func (f Figure) line(p *plot.Plot, i int, line Line) error {
	data := f.points(line)
	if len(data.XYs) == 0 {
		return nil
	}
	through, points, err := plotter.NewLinePoints(data.XYs)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(data)
	if err != nil {
		return err
	}
	colour, glyph, dashes := palette(i)
	through.Color, through.Dashes, through.Width = colour, dashes, vg.Points(0.9)
	points.Color, points.Shape, points.Radius = colour, glyph, vg.Points(2)
	bars.Color, bars.Width, bars.CapWidth = colour, vg.Points(0.7), vg.Points(4)
	p.Add(through, bars, points)
	p.Legend.Add(line.Name, through, points)
	return nil
}

// drawn is what a plotter wants: points, and how far their bars reach down and up.
type drawn struct {
	plotter.XYs
	plotter.YErrors
}

func (f Figure) points(line Line) (d drawn) {
	for _, point := range line.Points {
		y := point.Y
		if math.IsNaN(y.Estimate) || math.IsInf(y.Estimate, 0) {
			continue
		}
		low, high := y.Low, y.High
		if math.IsNaN(low) || math.IsNaN(high) {
			low, high = y.Estimate, y.Estimate
		}
		if f.logY() && low <= 0 {
			low = y.Estimate / 10 // the bar goes down out of sight
		}
		d.XYs = append(d.XYs, plotter.XY{X: point.X, Y: y.Estimate})
		d.YErrors = append(d.YErrors, struct{ Low, High float64 }{y.Estimate - low, high - y.Estimate})
	}
	return d
}

func (f Figure) logX() bool { return f.X.Log && f.all(func(p Point) bool { return p.X > 0 }) }

func (f Figure) logY() bool {
	return f.Y.Log && f.all(func(p Point) bool { return p.Y.Estimate > 0 || math.IsNaN(p.Y.Estimate) })
}

func (f Figure) all(is func(Point) bool) bool {
	for _, line := range f.Lines {
		for _, point := range line.Points {
			if !is(point) {
				return false
			}
		}
	}
	return true
}

// CSV is the numbers of the figure.
func (f Figure) CSV() []byte {
	t := newTable("series", "x", "label", "estimate", "lo95", "hi95", "n")
	for _, line := range f.Lines {
		for _, p := range line.Points {
			t.add(line.Name, number(p.X), p.Label, number(p.Y.Estimate), number(p.Y.Low), number(p.Y.High), strconv.Itoa(p.Y.N))
		}
	}
	return t.bytes()
}
