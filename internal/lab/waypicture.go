package lab

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// svgFormat is the name of the format, as XML wants it.
const svgFormat = "http://www.w3.org/2000/svg"

// Sizes of the picture, in pixels.
const (
	panel   = 260 // a square for each flood
	across  = 4   // panels in a row
	margin  = 24
	heading = 64
	radius  = 88 // of the circle that the nodes stand on
	spot    = 13
)

// A point is a place in the picture.
type point struct{ x, y float64 }

// Picture is the way as SVG: a panel for each flood, in each the nodes of the lab on a circle, always at the same
// places, and an arrow for each first arrival. The node that made the packet is dark, the one whose key opens it has a ring.
func (w Way) Picture(nodes []string) string {
	rows := max(1, (len(w.Floods)+across-1)/across)
	columns := max(2, min(len(w.Floods), across))
	width, height := 2*margin+columns*panel, margin+heading+rows*panel
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="%s" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif">`+"\n", svgFormat, width, height, width, height)
	b.WriteString(`<title>The way of a packet through a P3DO mesh</title>` + "\n")
	b.WriteString(`<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#2b6cb0"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="34" font-size="17" fill="#1a202c">%s was %s at %s; %s</text>`+"\n",
		margin, html.EscapeString(w.ID), html.EscapeString(string(w.Change)), html.EscapeString(w.Node), html.EscapeString(w.outcome()))
	fmt.Fprintf(&b, `<text x="%d" y="54" font-size="12" fill="#4a5568">dark: made the packet; ring: its key opens it; arrows: who heard it first from whom, with the milliseconds since it was made</text>`+"\n", margin)
	for i, f := range w.Floods {
		f.draw(&b, i+1, point{float64(margin + i%across*panel), float64(heading + i/across*panel)}, nodes)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw is one panel.
func (f Flood) draw(b *strings.Builder, number int, corner point, nodes []string) {
	on := func(circle float64, node string) point {
		angle := 2*math.Pi*float64(slices.Index(nodes, node))/float64(len(nodes)) - math.Pi/2
		return point{corner.x + panel/2 + circle*math.Cos(angle), corner.y + panel/2 + 10 + circle*math.Sin(angle)}
	}
	at := func(node string) point { return on(radius, node) }
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-size="12" font-weight="bold" fill="#1a202c">%d. %s, %s, at %d ms</text>`+"\n",
		corner.x+6, corner.y+20, number, html.EscapeString(f.By), html.EscapeString(string(f.Change)), f.Since)
	for _, a := range f.Arrived {
		from, to := shorten(at(a.From), at(a.Node))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#2b6cb0" stroke-width="1.5" marker-end="url(#head)"/>`+"\n", from.x, from.y, to.x, to.y)
	}
	for _, node := range nodes {
		f.drawNode(b, node, at(node), on(radius+2*spot, node))
	}
}

// shorten is the line between two nodes without what their circles hide.
func shorten(from, to point) (point, point) {
	dx, dy := to.x-from.x, to.y-from.y
	length := math.Hypot(dx, dy)
	if length < 2*spot {
		return from, to
	}
	dx, dy = dx/length*(spot+3), dy/length*(spot+3)
	return point{from.x + dx, from.y + dy}, point{to.x - dx, to.y - dy}
}

// drawNode is a node, and beside it when it heard the packet.
func (f Flood) drawNode(b *strings.Builder, node string, at, beside point) {
	fill, ink, word := "#edf2f7", "#1a202c", ""
	for _, a := range f.Arrived {
		if a.Node == node {
			fill, word = "#bee3f8", fmt.Sprintf("%d", a.After)
		}
	}
	if node == f.By {
		fill, ink = "#2a4365", "#ffffff"
	}
	if node == f.Owner {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%d" fill="none" stroke="#dd6b20" stroke-width="3"/>`+"\n", at.x, at.y, spot+4)
	}
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%d" fill="%s" stroke="#4a5568"/>`+"\n", at.x, at.y, spot, fill)
	label, _, _ := strings.Cut(node, ".")
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="12" text-anchor="middle" fill="%s">%s</text>`+"\n", at.x, at.y+4, ink, html.EscapeString(label))
	if word != "" {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="9" text-anchor="middle" fill="#4a5568">%s</text>`+"\n", beside.x, beside.y+3, word)
	}
}
