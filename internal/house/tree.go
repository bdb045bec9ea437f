package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Finding is one place where a rule is broken.
type Finding struct {
	Pos  string // file:line:column, or the name of a package, module or table row
	Text string // what is wrong, and what to do about it
}

// String returns the finding as a line that an editor can jump to.
func (f Finding) String() string { return f.Pos + ": " + f.Text }

// A File is one Go file.
type File struct {
	Name      string // slash-separated, relative to the root of the module
	Lines     int
	Syntax    *ast.File
	Generated bool // bears the standard "Code generated ... DO NOT EDIT." line
	source    []byte
}

// A Package is one package of the module, without its tests but for their text.
type Package struct {
	Path    string // relative to the module: "mor/onion"; "." for the root
	Name    string
	Files   []File         // what the compiler is given
	Tests   []File         // files ending in _test.go; parsed, not type-checked
	Imports []string       // full import paths of Files, sorted
	Types   *types.Package // nil if it has no Files
	Info    *types.Info
	Faults  []string // errors of the parser, the type checker and the go command
}

// A Dep is one package of the standard library or of another module that the
// module's packages or their tests need.
type Dep struct {
	Path     string   // import path
	Module   string   // module path, empty for the standard library
	Version  string   // of the module
	Dir      string   // where the module's files are
	GoMod    string   // its go.mod
	Standard bool     // part of the standard library
	Imports  []string // direct imports
}

// A Tree is the module as the rules see it.
type Tree struct {
	Module   string // module path
	Fset     *token.FileSet
	Packages []*Package // sorted by Path
	Deps     []Dep      // sorted by Path
}

// own reports whether path is an import path of the module, and its Path.
func (t *Tree) own(path string) (string, bool) {
	if path == t.Module {
		return ".", true
	}
	return strings.CutPrefix(path, t.Module+"/")
}

// at returns the position of p for a Finding.
func (t *Tree) at(p token.Pos) string { return t.Fset.Position(p).String() }

// listed is the part of "go list -json" that is read.
type listed struct {
	ImportPath, Name, Dir, Export, ForTest string
	Standard                               bool
	Module                                 *struct {
		Path, Version, Dir, GoMod string
		Main                      bool
		Replace                   *struct{ Version, Dir, GoMod string }
	}
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles, Imports []string
	Error                                                 *struct{ Err string }
}

const listFields = "-json=ImportPath,Name,Dir,Export,ForTest,Standard,Module,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,Error"

// Load reads the module whose root is dir. It needs the go command and, for the
// type checker, compiles the packages of other modules (the build cache holds
// them when "go test" has run). An error means that nothing could be judged.
func Load(dir string) (*Tree, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("house: %w", err)
	}
	all, err := golist(root, "-e", "-deps", "-export", listFields, "./...")
	if err != nil {
		return nil, err
	}
	tree := &Tree{Fset: token.NewFileSet()}
	exports := make(map[string]string)
	for _, l := range all {
		exports[l.ImportPath] = l.Export
		if l.Module == nil || !l.Module.Main {
			continue
		}
		tree.Module = l.Module.Path
		p, err := tree.read(root, l)
		if err != nil {
			return nil, err
		}
		tree.Packages = append(tree.Packages, p)
	}
	if tree.Module == "" {
		return nil, errors.New("house: the go command lists no package of the module")
	}
	slices.SortFunc(tree.Packages, func(a, b *Package) int { return strings.Compare(a.Path, b.Path) })
	tree.check(exports)
	tree.Deps, err = deps(root)
	return tree, err
}

// deps lists what the module and its tests need from elsewhere.
func deps(root string) ([]Dep, error) {
	all, err := golist(root, "-e", "-deps", "-test", listFields, "./...")
	if err != nil {
		return nil, err
	}
	var out []Dep
	for _, l := range all {
		if l.ForTest != "" || l.Module != nil && l.Module.Main || strings.HasSuffix(l.ImportPath, ".test") {
			continue
		}
		d := Dep{Path: l.ImportPath, Standard: l.Standard, Imports: l.Imports}
		if m := l.Module; m != nil {
			d.Module, d.Version, d.Dir, d.GoMod = m.Path, m.Version, m.Dir, m.GoMod
			if r := m.Replace; r != nil {
				d.Version, d.Dir, d.GoMod = r.Version, r.Dir, r.GoMod
			}
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Dep) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// read parses the files of one own package.
func (t *Tree) read(root string, l listed) (*Package, error) {
	rel, _ := t.own(l.ImportPath)
	p := &Package{Path: rel, Name: l.Name, Imports: l.Imports}
	if l.Error != nil {
		p.Faults = append(p.Faults, l.Error.Err)
	}
	for _, name := range slices.Concat(l.GoFiles, l.CgoFiles, l.TestGoFiles, l.XTestGoFiles) {
		full := filepath.Join(l.Dir, name)
		src, err := os.ReadFile(full)
		if err != nil {
			return nil, fmt.Errorf("house: %w", err)
		}
		short, err := filepath.Rel(root, full)
		if err != nil {
			return nil, fmt.Errorf("house: %w", err)
		}
		p.add(t.Fset, filepath.ToSlash(short), src)
	}
	return p, nil
}

// add parses one file into the package.
func (p *Package) add(fset *token.FileSet, name string, src []byte) {
	syntax, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		p.Faults = append(p.Faults, err.Error())
	}
	if syntax == nil {
		return
	}
	f := File{Name: name, Lines: bytes.Count(src, []byte("\n")), Syntax: syntax,
		Generated: ast.IsGenerated(syntax), source: src}
	if strings.HasSuffix(name, "_test.go") {
		p.Tests = append(p.Tests, f)
		return
	}
	p.Files = append(p.Files, f)
}

// golist runs "go list" in dir and decodes its answer.
func golist(dir string, args ...string) ([]listed, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil && len(stdout) == 0 {
		return nil, fmt.Errorf("house: go list: %w: %s", err, stderr.String())
	}
	var out []listed
	for dec := json.NewDecoder(bytes.NewReader(stdout)); ; {
		var l listed
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("house: go list: %w", err)
		}
		out = append(out, l)
	}
}
