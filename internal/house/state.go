package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// State refuses init functions and package-level variables that can change. What
// stays allowed are error sentinels, compiled patterns and templates, embedded
// files, assertions ("var _ I = T{}") and tables: composite literals and byte
// strings. Any other initial value needs its place in exempt, as "folder.name" with
// the reason why it is read-only. And whatever its initial value, a variable that
// some package writes to, into, or takes the address of is refused.
func State(t *Tree, exempt Exempt) []Finding {
	var out []Finding
	l := newLedger(exempt)
	vars := make(map[types.Object]bool)
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if f.Generated || p.Info == nil {
				continue
			}
			for _, d := range f.Syntax.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						out = append(out, Finding{t.at(d.Pos()), "init runs behind the reader's back: call it by name"})
					}
				case *ast.GenDecl:
					out = append(out, t.variables(p, d, vars, l)...)
				}
			}
		}
	}
	for _, p := range t.Packages {
		if p.Info != nil {
			out = append(out, t.writes(p, vars)...)
		}
	}
	return append(out, l.idle("package variable")...)
}

// variables judges the initial values of one declaration and collects its names.
func (t *Tree) variables(p *Package, d *ast.GenDecl, vars map[types.Object]bool, l *ledger) []Finding {
	var out []Finding
	if d.Tok != token.VAR {
		return nil
	}
	for _, spec := range d.Specs {
		s := spec.(*ast.ValueSpec)
		for i, id := range s.Names {
			if id.Name == "_" || embeds(d, s) {
				continue
			}
			vars[p.Info.Defs[id]] = true
			fixed := i < len(s.Values) && fixedValue(p.Info, s.Values[i])
			if !fixed && !l.passes(p.Path+"."+id.Name) {
				out = append(out, Finding{t.at(id.Pos()), fmt.Sprintf("package variable %s is no sentinel, pattern or table: pass it as a value", id.Name)})
			}
		}
	}
	return out
}

// embeds reports whether the declaration bears a go:embed line.
func embeds(d *ast.GenDecl, s *ast.ValueSpec) bool {
	for _, group := range []*ast.CommentGroup{d.Doc, s.Doc} {
		if group == nil {
			continue
		}
		for _, c := range group.List {
			if len(c.Text) > 10 && c.Text[:10] == "//go:embed" {
				return true
			}
		}
	}
	return false
}

// fixedValue reports whether an initial value is a sentinel, pattern or table.
func fixedValue(info *types.Info, e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		return true
	case *ast.BasicLit:
		return false // that is a constant in a variable's clothes
	case *ast.CallExpr:
		if tv := info.Types[e.Fun]; tv.IsType() {
			return len(e.Args) == 1 && info.Types[e.Args[0]].Value != nil // []byte("...")
		}
		o := callee(info, e)
		if o == nil || o.Pkg() == nil {
			return false
		}
		return slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile",
			"text/template.Must", "html/template.Must", "net/netip.MustParsePrefix", "net/netip.MustParseAddr"}, o.Pkg().Path()+"."+o.Name())
	}
	return false
}

// writes finds assignments to and into vars, and their addresses.
func (t *Tree) writes(p *Package, vars map[types.Object]bool) []Finding {
	var out []Finding
	complain := func(e ast.Expr, what string) {
		id := root(p.Info, e)
		if id != nil && vars[p.Info.Uses[id]] {
			out = append(out, Finding{t.at(e.Pos()), fmt.Sprintf("%s package variable %s", what, id.Name)})
		}
	}
	p.walk(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				complain(e, "writes to")
			}
		case *ast.IncDecStmt:
			complain(n.X, "writes to")
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if e != nil && n.Tok == token.ASSIGN {
					complain(e, "writes to")
				}
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				complain(n.X, "takes the address of")
			}
		case *ast.SelectorExpr:
			if byAddress(p.Info, n) {
				complain(n.X, "calls a method that may write to")
			}
		case *ast.CallExpr:
			b, ok := callee(p.Info, n).(*types.Builtin)
			if ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, b.Name()) {
				complain(n.Args[0], "writes to")
			}
		}
	})
	return out
}

// byAddress reports whether n is a method of a pointer, called on a value: the
// compiler takes the value's address.
func byAddress(info *types.Info, n *ast.SelectorExpr) bool {
	sel := info.Selections[n]
	if sel == nil || sel.Kind() != types.MethodVal {
		return false
	}
	_, wants := sel.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
	_, has := sel.Recv().Underlying().(*types.Pointer)
	return wants && !has
}

// root returns the identifier of the variable that e is a part of.
func root(info *types.Info, e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			if o := info.Uses[x.Sel]; o != nil && global(o) {
				return x.Sel
			}
			e = x.X
		default:
			return nil
		}
	}
}
