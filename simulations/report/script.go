package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Python draws the figure from NAME.csv with matplotlib, into NAME.pdf.
func (f Figure) Python() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `#!/usr/bin/env python3
# Draws %[1]s.csv into %[1]s.pdf; run it in this folder.
import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

series = {}
for row in csv.DictReader(open("%[1]s.csv")):
    if row["estimate"]:
        series.setdefault(row["series"], []).append(row)

styles = [("#0072b2", "o", "-"), ("#d55e00", "s", "--"), ("#009e73", "^", ":"), ("#cc79a7", "v", "-."),
          ("#56b4e9", "D", "-"), ("#e69f00", "P", "--"), ("#000000", "x", ":")]
figure, axes = plt.subplots(figsize=(85 / 25.4, 64 / 25.4))
for i, (name, rows) in enumerate(series.items()):
    colour, marker, line = styles[i %% len(styles)]
    x = [float(r["x"]) for r in rows]
    y = [float(r["estimate"]) for r in rows]
    low = [v - float(r["lo95"] or v) for v, r in zip(y, rows)]
    high = [float(r["hi95"] or v) - v for v, r in zip(y, rows)]
    axes.errorbar(x, y, yerr=[low, high], label=name, color=colour, marker=marker, linestyle=line,
                  linewidth=0.9, markersize=3, capsize=2)
`, f.Name)
	if f.logX() {
		b.WriteString("axes.set_xscale(\"log\")\n")
	}
	if f.logY() {
		b.WriteString("axes.set_yscale(\"log\")\n")
	} else {
		b.WriteString("axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))\n")
	}
	ticks, labels := f.tickLists()
	fmt.Fprintf(&b, "axes.set_xticks([%s], [%s])\naxes.minorticks_off()\n", ticks, labels)
	fmt.Fprintf(&b, "axes.set_title(%s, fontsize=8)\naxes.set_xlabel(%s, fontsize=7)\naxes.set_ylabel(%s, fontsize=7)\n",
		strconv.Quote(f.Title), strconv.Quote(f.X.Label), strconv.Quote(f.Y.Label))
	fmt.Fprintf(&b, "axes.tick_params(labelsize=7)\naxes.legend(fontsize=7, frameon=False)\nfigure.tight_layout()\nfigure.savefig(\"%s.pdf\")\n", f.Name)
	return []byte(b.String())
}

func (f Figure) tickLists() (values, labels string) {
	var v, l []string
	for _, t := range f.ticks() {
		v, l = append(v, number(t.Value)), append(l, strconv.Quote(t.Label))
	}
	return strings.Join(v, ", "), strings.Join(l, ", ")
}

// Gnuplot draws the figure from NAME.csv with gnuplot, into NAME.pdf.svg.
func (f Figure) Gnuplot() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Draws %[1]s.csv into %[1]s.gnuplot.svg; run \"gnuplot %[1]s.gp\" in this folder.\n", f.Name)
	fmt.Fprintf(&b, "set terminal svg size 340,256 font \"sans,9\"\nset output %s\n", quoted(f.Name+".gnuplot.svg"))
	b.WriteString("set datafile separator comma\nset datafile missing \"\"\nset key top left\n")
	fmt.Fprintf(&b, "set title %s\nset xlabel %s\nset ylabel %s\n", quoted(f.Title), quoted(f.X.Label), quoted(f.Y.Label))
	if f.logX() {
		b.WriteString("set logscale x\n")
	}
	if f.logY() {
		b.WriteString("set logscale y\n")
	} else {
		b.WriteString("set yrange [*<0:*]\n")
	}
	var tics, plots []string
	for _, t := range f.ticks() {
		tics = append(tics, fmt.Sprintf("%s %s", quoted(t.Label), number(t.Value)))
	}
	fmt.Fprintf(&b, "set xtics (%s)\n", strings.Join(tics, ", "))
	for i, line := range f.Lines {
		of := fmt.Sprintf("(strcol(1) eq %s ? $4 : 1/0)", quoted(line.Name))
		plots = append(plots,
			fmt.Sprintf("%s skip 1 using 2:%s:5:6 with yerrorbars lt %d pt %d notitle", quoted(f.Name+".csv"), of, i+1, i+5),
			fmt.Sprintf("%s skip 1 using 2:%s with linespoints lt %d pt %d title %s", quoted(f.Name+".csv"), of, i+1, i+5, quoted(line.Name)))
	}
	fmt.Fprintf(&b, "plot \\\n    %s\n", strings.Join(plots, ", \\\n    "))
	return []byte(b.String())
}

// quoted is text as gnuplot reads it: in single quotes nothing but themselves has a meaning.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
