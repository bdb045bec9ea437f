package house

import (
	"fmt"
	"go/ast"
)

// Limits on what one reader can hold in mind.
const (
	MaxFuncLines = 70  // of a function outside of tests, from "func" to the closing brace
	MaxFileLines = 500 // of any file
)

// Sizes refuses functions and files that are too long. Generated files are left
// out; exempt names files, for the length of the file only.
func Sizes(t *Tree, exempt Exempt) []Finding {
	var out []Finding
	l := newLedger(exempt)
	for _, p := range t.Packages {
		for _, f := range append(p.Files[:len(p.Files):len(p.Files)], p.Tests...) {
			if !f.Generated && f.Lines > MaxFileLines && !l.passes(f.Name) {
				out = append(out, Finding{f.Name, fmt.Sprintf("has %d lines; the limit is %d", f.Lines, MaxFileLines)})
			}
		}
		for _, f := range p.Files {
			if !f.Generated {
				out = append(out, t.longFuncs(f)...)
			}
		}
	}
	return append(out, l.idle("file length")...)
}

// longFuncs returns the functions of one file that are too long.
func (t *Tree) longFuncs(f File) []Finding {
	var out []Finding
	for _, d := range f.Syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := t.Fset.Position(fn.End()).Line - t.Fset.Position(fn.Pos()).Line + 1
		if lines > MaxFuncLines {
			out = append(out, Finding{t.at(fn.Pos()), fmt.Sprintf("%s has %d lines; the limit is %d", fn.Name.Name, lines, MaxFuncLines)})
		}
	}
	return out
}
