package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// MinPackageWords is how many words a package comment needs to be of substance.
const MinPackageWords = 30

// Comments demands a package comment of substance of every package, and a comment
// on every exported type, function, method, constant and variable of those that
// can be imported. Lines of a group that follow one another may share a comment;
// Error and Unwrap need none.
func Comments(t *Tree) []Finding {
	var out []Finding
	for _, p := range t.Packages {
		if len(p.Files) == 0 {
			continue
		}
		words, generated := 0, true
		for _, f := range p.Files {
			generated = generated && f.Generated
			words += len(strings.Fields(f.Syntax.Doc.Text()))
			if p.Name != "main" && f.Syntax.Name.Name != "main" && !f.Generated {
				out = append(out, t.bare(f)...)
			}
		}
		if words < MinPackageWords && !generated {
			out = append(out, Finding{p.Path, fmt.Sprintf("has a package comment of %d words; a reader needs %d at least", words, MinPackageWords)})
		}
	}
	return out
}

// bare returns the exported declarations of one file that have no comment.
func (t *Tree) bare(f File) []Finding {
	var out []Finding
	complain := func(id *ast.Ident, kind string) {
		out = append(out, Finding{t.at(id.Pos()), fmt.Sprintf("exported %s %s has no comment", kind, id.Name)})
	}
	for _, d := range f.Syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc.Text() == "" && exportedReceiver(d) && !wellKnown(d) {
				complain(d.Name, "function")
			}
		case *ast.GenDecl:
			for _, id := range bareNames(t.Fset, d) {
				complain(id, d.Tok.String())
			}
		}
	}
	return out
}

// bareNames returns the exported names of one declaration that nothing explains. A
// comment covers what follows it line upon line, as far as the next empty line; a
// comment on the whole declaration covers all of it.
func bareNames(fset *token.FileSet, d *ast.GenDecl) []*ast.Ident {
	var out []*ast.Ident
	if d.Doc.Text() != "" {
		return nil
	}
	covered := 0 // the last line that a comment above reaches
	for _, spec := range d.Specs {
		names, own := namesOf(spec)
		if own || fset.Position(spec.Pos()).Line == covered+1 {
			covered = fset.Position(spec.End()).Line
			continue
		}
		for _, id := range names {
			if id.IsExported() {
				out = append(out, id)
			}
		}
	}
	return out
}

// namesOf returns what a spec declares, and whether it has a comment of its own.
func namesOf(spec ast.Spec) (names []*ast.Ident, commented bool) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return []*ast.Ident{s.Name}, s.Doc.Text() != "" || s.Comment.Text() != ""
	case *ast.ValueSpec:
		return s.Names, s.Doc.Text() != "" || s.Comment.Text() != ""
	}
	return nil, true
}

// wellKnown reports whether d is one of the two methods by which a type is an
// error; the language explains those.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "Unwrap")
}

// exportedReceiver reports whether d is a function, or a method of a type that
// another package can name.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// Marks refuses comments that put work off, in tests too, and panics outside of
// tests, but for a panic on whose line a "// unreachable: why" comment stands.
func Marks(t *Tree) []Finding {
	putOff := regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	var out []Finding
	for _, p := range t.Packages {
		for _, f := range append(p.Files[:len(p.Files):len(p.Files)], p.Tests...) {
			for _, group := range f.Syntax.Comments {
				for _, c := range group.List {
					if mark := putOff.FindString(c.Text); mark != "" {
						out = append(out, Finding{t.at(c.Pos()), mark + ": do it now, or write down in the documents that it is not done"})
					}
				}
			}
		}
		for _, f := range p.Files {
			for _, pos := range panics(f) {
				if _, ok := t.trailing(f.Syntax, pos, "unreachable"); !ok {
					out = append(out, Finding{t.at(pos), "panics: return an error, or say on the same line \"// unreachable: why\""})
				}
			}
		}
	}
	return out
}

// panics returns where a hand-written file calls the builtin panic.
func panics(f File) []token.Pos {
	var out []token.Pos
	if f.Generated {
		return nil
	}
	for n := range ast.Preorder(f.Syntax) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			continue
		}
		if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
			out = append(out, call.Pos())
		}
	}
	return out
}
