package house

import (
	"fmt"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Named checks that what one section of a page of Markdown names in backquotes exists: Go
// files by path, and functions, types and methods written with a dot, as `mor.Router`,
// `Router.Hear` or `session.Client.Submit`. Other words in backquotes are passed over.
func Named(t *Tree, page, section string) []Finding {
	exists := t.names()
	dotted := regexp.MustCompile(`^[A-Za-z]+(\.[A-Za-z]\w*)+$`)
	var out []Finding
	named := 0
	for i, word := range strings.Split(section, "`") {
		if i%2 == 0 || !dotted.MatchString(word) && path.Ext(word) != ".go" {
			continue
		}
		named++
		if !exists[word] {
			out = append(out, Finding{page, fmt.Sprintf("names %s, and there is none", word)})
		}
	}
	if named == 0 {
		out = append(out, Finding{page, "names nothing here: has the section another title?"})
	}
	return out
}

// names are all that Named may find.
func (t *Tree) names() map[string]bool {
	names := make(map[string]bool)
	for _, p := range t.Packages {
		for _, f := range slices.Concat(p.Files, p.Tests) {
			names[f.Name] = true
		}
		if p.Types == nil {
			continue
		}
		for _, name := range p.Types.Scope().Names() {
			names[p.Types.Name()+"."+name] = true
			of, ok := p.Types.Scope().Lookup(name).Type().(*types.Named)
			if !ok || of.Obj().Name() != name { // a type, and no variable of one
				continue
			}
			for m := range of.Methods() {
				names[name+"."+m.Name()] = true
				names[p.Types.Name()+"."+name+"."+m.Name()] = true
			}
		}
	}
	return names
}
