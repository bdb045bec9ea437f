package house

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// Parse makes a Tree out of sources that exist nowhere but in files, whose keys
// are "import/path/file.go". Packages outside module may be among them, to stand
// in for another module's; they are type-checked and otherwise passed over.
// Imports of the standard library are resolved by the go command.
func Parse(module string, files map[string]string) (*Tree, error) {
	tree := &Tree{Module: module, Fset: token.NewFileSet()}
	byPath := make(map[string]*Package)
	std := make(map[string]bool)
	for _, name := range sortedKeys(files) {
		dir := path.Dir(name)
		p := byPath[dir]
		if p == nil {
			rel, own := tree.own(dir)
			if !own {
				rel = "//" + dir // no own package has such a Path
			}
			p = &Package{Path: rel}
			byPath[dir] = p
			tree.Packages = append(tree.Packages, p)
		}
		p.add(tree.Fset, strings.TrimPrefix(name, module+"/"), []byte(files[name]))
	}
	for _, p := range tree.Packages {
		p.Imports = importsOf(p.Files)
		for _, i := range p.Imports {
			std[i] = byPath[i] == nil
		}
	}
	exports, err := standard(std)
	if err != nil {
		return nil, err
	}
	tree.check(exports)
	tree.Packages = slices.DeleteFunc(tree.Packages, func(p *Package) bool { return strings.HasPrefix(p.Path, "//") })
	return tree, nil
}

// standard asks the go command for the compiled form of the wanted packages.
func standard(want map[string]bool) (map[string]string, error) {
	args := []string{"-e", "-deps", "-export", listFields}
	for _, p := range sortedKeys(want) {
		if want[p] {
			args = append(args, p)
		}
	}
	exports := make(map[string]string)
	if len(args) == 4 {
		return exports, nil
	}
	all, err := golist(".", args...)
	for _, l := range all {
		exports[l.ImportPath] = l.Export
	}
	return exports, err
}

// importsOf lists what files import, sorted.
func importsOf(files []File) []string {
	var out []string
	for _, f := range files {
		for _, i := range f.Syntax.Imports {
			out = append(out, unquote(i.Path))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A checker type-checks own packages from their sources, each when it is first
// imported, and takes the others from what the compiler left in the build cache.
type checker struct {
	tree    *Tree
	own     map[string]*Package
	exports map[string]string
	gc      types.Importer
}

// check fills Types and Info of every package.
func (t *Tree) check(exports map[string]string) {
	c := &checker{tree: t, own: make(map[string]*Package), exports: exports}
	c.gc = importer.ForCompiler(t.Fset, "gc", c.open)
	for _, p := range t.Packages {
		full, outside := strings.CutPrefix(p.Path, "//")
		if !outside {
			full = path.Join(t.Module, p.Path)
		}
		c.own[full] = p
	}
	for _, full := range sortedKeys(c.own) {
		c.load(full, c.own[full])
	}
}

// open is the gc importer's way to the compiled form of a package.
func (c *checker) open(path string) (io.ReadCloser, error) {
	file := c.exports[path]
	if file == "" {
		return nil, fmt.Errorf("house: no compiled form of %q", path)
	}
	return os.Open(file)
}

// Import implements [types.Importer].
func (c *checker) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p := c.own[path]; p != nil {
		c.load(path, p)
		return p.Types, nil
	}
	return c.gc.Import(path)
}

// load type-checks p once. Errors are kept, and what could be resolved stays.
func (c *checker) load(full string, p *Package) {
	if p.Info != nil || len(p.Files) == 0 {
		return
	}
	p.Info = &types.Info{
		Types:      make(map[ast.Expr]types.TypeAndValue),
		Defs:       make(map[*ast.Ident]types.Object),
		Uses:       make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	conf := types.Config{Importer: c, FakeImportC: true, Error: func(err error) {
		p.Faults = append(p.Faults, err.Error())
	}}
	var syntax []*ast.File
	for _, f := range p.Files {
		syntax = append(syntax, f.Syntax)
	}
	p.Types, _ = conf.Check(full, c.tree.Fset, syntax, p.Info) // its error is the first of Faults
}

// Compile reports what keeps packages from being judged: the errors of the go
// command, the parser and the type checker, at most three for each package.
func Compile(t *Tree) []Finding {
	var out []Finding
	for _, p := range t.Packages {
		for _, f := range p.Faults[:min(3, len(p.Faults))] {
			out = append(out, Finding{p.Path, "does not compile: " + f})
		}
	}
	return out
}
