package house

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// door is what one package offers for opening connections, or asking the
// machine's resolver, on its own: names, and prefixes of names that end in a star.
// A method is written Type.Method.
type door struct {
	path  string
	names []string
}

func shut() []door {
	return []door{
		{"net", []string{"Dial*", "Resolver", "DefaultResolver", "Lookup*", "ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr"}},
		{"crypto/tls", []string{"Dial*"}},
		{"net/http", []string{"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ProxyFromEnvironment"}},
		{"net/smtp", []string{"*"}}, {"net/rpc", []string{"*"}}, {"log/syslog", []string{"*"}},
		{"syscall", []string{"Connect", "Sendto", "Socket"}}, {"golang.org/x/sys/unix", []string{"Connect", "Sendto", "Socket"}},
		{"golang.org/x/net/proxy", []string{"*"}}, {"golang.org/x/crypto/ssh", []string{"Dial*"}},
		{"github.com/miekg/dns", []string{"Dial*", "Exchange", "ExchangeContext", "Client.Dial*", "Client.Exchange", "Client.ExchangeContext", "Transfer.In"}},
	}
}

// Doors refuses, outside of tests, every way to open a connection or to resolve a
// name but through the package called dial, whose function is handed on as a plain
// value: so a tunnel put there carries everything. It goes by what a name means,
// not by how it is spelled. An http.Client must be given its Transport and an
// http.Transport its DialContext, since their zero values dial by themselves; so
// must they not be made by new, var or as a field.
//
// Programs are a door as well: os/exec is for the packages in mayRun only.
func Doors(t *Tree, dial string, mayRun []string) []Finding {
	var out []Finding
	for _, p := range t.Packages {
		if p.Path == dial || p.Info == nil {
			continue
		}
		doors := shut()
		p.uses(func(id *ast.Ident, o types.Object) {
			for _, d := range doors {
				if d.path == o.Pkg().Path() && d.matches(o) {
					out = append(out, Finding{t.at(id.Pos()), fmt.Sprintf("%s.%s opens a way to the network beside %s", o.Pkg().Name(), o.Name(), dial)})
				}
			}
		})
		out = append(out, t.webClients(p)...)
		if slices.Contains(p.Imports, "os/exec") && !slices.Contains(mayRun, p.Path) {
			out = append(out, Finding{p.Path, "imports os/exec, which starts programs that no rule of the house reaches"})
		}
	}
	return out
}

// matches reports whether o is one of the door's names.
func (d door) matches(o types.Object) bool {
	name := o.Name()
	if r := receiver(o); r != "" {
		name = r + "." + name
	} else if !global(o) {
		return false
	}
	return slices.ContainsFunc(d.names, func(n string) bool {
		prefix, star := strings.CutSuffix(n, "*")
		return n == name || star && strings.HasPrefix(name, prefix)
	})
}

// webClients refuses http.Client and http.Transport values that dial by themselves.
func (t *Tree) webClients(p *Package) []Finding {
	need := map[string]string{"Client": "Transport", "Transport": "DialContext"}
	var out []Finding
	sound := make(map[*ast.Ident]bool) // type names in literals that set the field, and behind a star
	p.walk(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.CompositeLit:
			path, name := named(p.Info.TypeOf(n))
			if path == "net/http" && need[name] != "" && hasField(n, need[name]) {
				sound[typeName(n.Type)] = true
			}
		case *ast.StarExpr:
			sound[typeName(n.X)] = true
		}
	})
	p.uses(func(id *ast.Ident, o types.Object) {
		_, isType := o.(*types.TypeName)
		if isType && o.Pkg().Path() == "net/http" && need[o.Name()] != "" && !sound[id] {
			out = append(out, Finding{t.at(id.Pos()), fmt.Sprintf("an http.%s without its %s dials by itself", o.Name(), need[o.Name()])})
		}
	})
	return out
}

// typeName returns the last identifier of a type expression, or nil.
func typeName(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return e.Sel
	}
	return nil
}
