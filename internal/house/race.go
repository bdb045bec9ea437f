package house

import (
	"bytes"
	"go/ast"
	"slices"
)

// Raced demands that every package which starts goroutines, by a go statement or
// by an errgroup, is among those that are tested under the race detector.
func Raced(t *Tree, raced []string) []Finding {
	var out []Finding
	for _, p := range t.Packages {
		concurrent := slices.Contains(p.Imports, "golang.org/x/sync/errgroup")
		p.walk(func(n ast.Node) {
			_, is := n.(*ast.GoStmt)
			concurrent = concurrent || is
		})
		if concurrent && !slices.Contains(raced, p.Path) {
			out = append(out, Finding{p.Path, "starts goroutines but is not tested under the race detector"})
		}
	}
	return out
}

// Skips demands that a test file which looks for a program of the machine, and may
// pass over its tests without it, reads P3DO_REQUIRE: the comma-separated programs
// whose absence is a failure. Else the second judges could be missing for years.
func Skips(t *Tree) []Finding {
	var out []Finding
	for _, p := range t.Packages {
		for _, f := range p.Tests {
			looks := bytes.Contains(f.source, []byte("exec.LookPath("))
			if looks && !bytes.Contains(f.source, []byte(`"P3DO_REQUIRE"`)) {
				out = append(out, Finding{f.Name, "looks for a program but does not read P3DO_REQUIRE, so its absence is never a failure"})
			}
		}
	}
	return out
}
