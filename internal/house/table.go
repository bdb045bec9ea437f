package house

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// An Entry is one allowed import of a Row.
type Entry struct {
	Path     string // own package, or a prefix of import paths of another module
	Optional bool   // written with a question mark: allowed, not demanded
}

// A Row says what one package may import.
type Row struct {
	Package string
	Job     string
	Own     []Entry // packages of this module
	Outside []Entry // other modules, or single packages of them
}

// Table reads the import table out of Markdown: the first table whose first
// column is headed "package". Its four columns are package, its one job, own
// packages, outside modules; names stand in backquotes, divided by commas, with a
// question mark behind the backquotes where an import is allowed but not demanded,
// and a dash alone for none.
func Table(markdown string) ([]Row, error) {
	var rows []Row
	for _, cells := range tableUnder(markdown, "package") {
		if len(cells) != 4 {
			return nil, fmt.Errorf("house: import table: %d columns in the row of %q, not 4", len(cells), cells[0])
		}
		own, err := entries(cells[2])
		if err != nil {
			return nil, err
		}
		outside, err := entries(cells[3])
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{Package: strings.Trim(cells[0], "`"), Job: cells[1], Own: own, Outside: outside})
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("house: no import table: want a table whose first column is headed %q", "package")
	}
	return rows, nil
}

// tableUnder returns the rows of the first table whose first column has the head.
func tableUnder(markdown, head string) [][]string {
	var rows [][]string
	inside := false
	for line := range strings.Lines(markdown) {
		cells := cellsOf(line)
		switch {
		case cells == nil && inside:
			return rows
		case cells == nil:
		case !inside:
			inside = cells[0] == head
		case strings.Trim(cells[0], ":-") != "":
			rows = append(rows, cells)
		}
	}
	return rows
}

// cellsOf splits one line of a table, or returns nil.
func cellsOf(line string) []string {
	line = strings.TrimSpace(line)
	if len(line) < 2 || !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") {
		return nil
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// entries parses one cell of names.
func entries(cell string) ([]Entry, error) {
	if cell == "-" {
		return nil, nil
	}
	var out []Entry
	for part := range strings.SplitSeq(cell, ",") {
		name, optional := strings.CutSuffix(strings.TrimSpace(part), "?")
		if len(name) < 3 || name[0] != '`' || name[len(name)-1] != '`' {
			return nil, fmt.Errorf("house: import table: %q is not a name in backquotes, nor a dash", part)
		}
		out = append(out, Entry{Path: name[1 : len(name)-1], Optional: optional})
	}
	return out, nil
}

// Imports compares the table with what the packages import, tests aside. A
// package without a row, a row without a package, an import that its row does not
// allow, and an import that its row demands but that is not there are findings. The
// one door of an outside module is thus the one row that names it.
func Imports(t *Tree, rows []Row) []Finding {
	var out []Finding
	byPath := make(map[string]*Package)
	for _, p := range t.Packages {
		if len(p.Files) > 0 {
			byPath[p.Path] = p
		}
	}
	seen := make(map[string]bool)
	for _, row := range rows {
		p := byPath[row.Package]
		switch {
		case seen[row.Package]:
			out = append(out, Finding{row.Package, "has two rows in the import table"})
		case p == nil:
			out = append(out, Finding{row.Package, "has a row in the import table, but there is no such package"})
		default:
			out = append(out, t.judge(p, row)...)
		}
		seen[row.Package] = true
	}
	for _, name := range sortedKeys(byPath) {
		if !seen[name] {
			out = append(out, Finding{name, "has no row in the import table of ARCHITECTURE.md"})
		}
	}
	return out
}

// judge compares one package with its row.
func (t *Tree) judge(p *Package, row Row) []Finding {
	var out []Finding
	needed := make(map[string]bool)
	for _, imp := range p.Imports {
		allowed := row.Outside
		want, own := t.own(imp)
		switch {
		case own:
			allowed = row.Own
		case isStandard(imp):
			continue
		default:
			want = imp
		}
		i := slices.IndexFunc(allowed, func(e Entry) bool {
			return e.Path == want || !own && strings.HasPrefix(want, e.Path+"/")
		})
		if i < 0 {
			out = append(out, Finding{p.Path, fmt.Sprintf("imports %s, which its row in the import table does not allow", want)})
			continue
		}
		needed[allowed[i].Path] = true
	}
	for _, e := range slices.Concat(row.Own, row.Outside) {
		if !e.Optional && !needed[e.Path] {
			out = append(out, Finding{p.Path, fmt.Sprintf("does not import %s, which its row in the import table names", e.Path)})
		}
	}
	return out
}

// isStandard reports whether an import path is the standard library's: its first
// element has no dot.
func isStandard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// Rules checks that the tests which the invariants table of ARCHITECTURE.md names
// exist: the first table whose first column is headed "invariant". Each row's last
// column holds `package: TestName` in backquotes, one or more, divided by commas.
func Rules(t *Tree, markdown string) []Finding {
	rows := tableUnder(markdown, "invariant")
	if len(rows) == 0 {
		return []Finding{{"ARCHITECTURE.md", "has no table whose first column is headed \"invariant\""}}
	}
	return unheld(rows, t.tests())
}

// Acceptance checks the table of docs/acceptance.md, the first whose first column is
// headed "row", as Rules checks that of the invariants; beside tests, its last column may
// name scripts, which are the paths given. Each of want has one row, and there are no
// others.
func Acceptance(t *Tree, markdown string, want, scripts []string) []Finding {
	rows := tableUnder(markdown, "row")
	have := make([]string, len(rows))
	for i, cells := range rows {
		have[i] = cells[0]
	}
	var out []Finding
	for _, id := range want {
		if n := count(have, id); n != 1 {
			out = append(out, Finding{id, fmt.Sprintf("has %d rows in the acceptance table, not one", n)})
		}
	}
	for _, id := range have {
		if !slices.Contains(want, id) {
			out = append(out, Finding{id, "has a row in the acceptance table, and is not on the list"})
		}
	}
	exists := t.tests()
	for _, path := range scripts {
		exists[path] = true
	}
	return append(out, unheld(rows, exists)...)
}

// Hostile checks the table of docs/spec/hostile.md, the first whose first column is headed
// "door", as Rules checks that of the invariants. Each of doors has rows, and no other has.
func Hostile(t *Tree, markdown string, doors []string) []Finding {
	rows := tableUnder(markdown, "door")
	have := make(map[string]bool)
	for _, cells := range rows {
		have[cells[0]] = true
	}
	var out []Finding
	for _, door := range doors {
		if !have[door] {
			out = append(out, Finding{door, "has no row in the table of hostile bytes"})
		}
	}
	for _, door := range sortedKeys(have) {
		if !slices.Contains(doors, door) {
			out = append(out, Finding{door, "has a row in the table of hostile bytes, and is not on the list of doors"})
		}
	}
	return append(out, unheld(rows, t.tests())...)
}

func count(list []string, item string) (n int) {
	for _, s := range list {
		if s == item {
			n++
		}
	}
	return n
}

// unheld finds the rows whose last column names nothing, or what does not exist.
func unheld(rows [][]string, exists map[string]bool) []Finding {
	var out []Finding
	for _, cells := range rows {
		held, err := entries(cells[len(cells)-1])
		if err != nil || len(held) == 0 {
			out = append(out, Finding{cells[0], "names no test that holds it: write `package: TestName`"})
		}
		for _, e := range held {
			if !exists[e.Path] {
				out = append(out, Finding{cells[0], fmt.Sprintf("is said to be held by %q, which does not exist", e.Path)})
			}
		}
	}
	return out
}

// tests are all tests of the tree, as `package: TestName`.
func (t *Tree) tests() map[string]bool {
	tests := make(map[string]bool)
	for _, p := range t.Packages {
		for _, name := range testsOf(p) {
			tests[p.Path+": "+name] = true
		}
	}
	return tests
}

// testsOf lists the test, fuzz, benchmark and example functions of a package.
func testsOf(p *Package) []string {
	var out []string
	for _, f := range p.Tests {
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				out = append(out, fn.Name.Name)
			}
		}
	}
	return out
}
