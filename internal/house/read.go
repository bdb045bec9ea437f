package house

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// An Exempt list maps what a rule would refuse to the reason for letting it pass.
type Exempt map[string]string

// ledger notes which exemptions were needed.
type ledger struct {
	exempt Exempt
	used   map[string]bool
}

func newLedger(e Exempt) *ledger { return &ledger{exempt: e, used: make(map[string]bool)} }

// passes reports whether key is exempt, and notes that it was needed.
func (l *ledger) passes(key string) bool {
	_, ok := l.exempt[key]
	l.used[key] = ok
	return ok
}

// idle returns a finding for each exemption without a reason or without a use.
func (l *ledger) idle(rule string) []Finding {
	var out []Finding
	for _, key := range sortedKeys(l.exempt) {
		switch {
		case !l.used[key]:
			out = append(out, Finding{key, "is exempt from the " + rule + " rule but no longer needs to be: strike it off the list"})
		case strings.TrimSpace(l.exempt[key]) == "":
			out = append(out, Finding{key, "is exempt from the " + rule + " rule without a reason"})
		}
	}
	return out
}

// uses calls visit for every identifier of p's hand-written files that means
// something of a package, in source order.
func (p *Package) uses(visit func(id *ast.Ident, o types.Object)) {
	p.walk(func(n ast.Node) {
		id, ok := n.(*ast.Ident)
		if !ok || p.Info == nil {
			return
		}
		if o := p.Info.Uses[id]; o != nil && o.Pkg() != nil {
			visit(id, o)
		}
	})
}

// walk visits every node of p's hand-written files.
func (p *Package) walk(visit func(ast.Node)) {
	for _, f := range p.Files {
		if f.Generated {
			continue
		}
		for n := range ast.Preorder(f.Syntax) {
			visit(n)
		}
	}
}

// receiver returns the name of the type whose method or field o is, else "".
func receiver(o types.Object) string {
	fn, ok := o.(*types.Func)
	if !ok {
		return ""
	}
	recv := fn.Signature().Recv()
	if recv == nil {
		return ""
	}
	t := recv.Type()
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	if named, ok := types.Unalias(t).(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

// global reports whether o is declared at package level.
func global(o types.Object) bool { return o.Pkg() != nil && o.Parent() == o.Pkg().Scope() }

// named returns the import path and name of a type, through pointers.
func named(t types.Type) (path, name string) {
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return "", ""
	}
	return n.Obj().Pkg().Path(), n.Obj().Name()
}

// trailing returns the text after a "// word: " comment on the line of pos, and
// whether there is such a comment. The reason may not be empty.
func (t *Tree) trailing(f *ast.File, pos token.Pos, word string) (reason string, ok bool) {
	line := t.Fset.Position(pos).Line
	for _, group := range f.Comments {
		for _, c := range group.List {
			if t.Fset.Position(c.Pos()).Line != line {
				continue
			}
			if after, found := strings.CutPrefix(c.Text, "// "+word+":"); found {
				reason = strings.TrimSpace(after)
				return reason, reason != ""
			}
		}
	}
	return "", false
}

// unquote returns the value of a string literal, or "" if it is none.
func unquote(lit *ast.BasicLit) string {
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
