package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Purity demands of the named packages that the same calls give the same answers,
// whatever the machine, the clock and the scheduler do. It refuses
//
//   - imports that reach outside (files, network, clock, logs, locks, randomness),
//     with two narrow gates: net in pki for addresses alone, and log/slog for the
//     value by which a secret type hides itself;
//   - the clock and the timers of package time, and the machine's time zone;
//   - printing, goroutines, channels and select;
//   - range over a map, and the iterators of package maps unless they are sorted
//     at once, but for a loop that ends its line with "// order-free: why";
//   - another package's GenerateKey or Encapsulate, which draw their own randomness
//     even where they take a reader (crypto/ecdh and crypto/ecdsa since Go 1.26);
//   - x509.VerifyOptions without CurrentTime or Roots: the machine's would be used.
func Purity(t *Tree, packages []string) []Finding {
	var out []Finding
	for _, p := range t.Packages {
		if !slices.Contains(packages, p.Path) {
			continue
		}
		pure := &purity{tree: t, p: p}
		pure.imports()
		p.uses(pure.use)
		for _, f := range p.Files {
			pure.file = f.Syntax
			ast.Inspect(f.Syntax, pure.node)
		}
		out = append(out, pure.out...)
	}
	return out
}

type purity struct {
	tree *Tree
	p    *Package
	file *ast.File
	out  []Finding
}

func (c *purity) complain(pos token.Pos, format string, args ...any) {
	c.out = append(c.out, Finding{c.tree.at(pos), "not pure: " + fmt.Sprintf(format, args...)})
}

// imports refuses packages by name or by folder.
func (c *purity) imports() {
	banned := []string{"net", "os", "sync", "context", "log", "math/rand", "crypto/rand", "crypto/tls", "io/ioutil",
		"syscall", "runtime", "unsafe", "reflect", "testing", "hash/maphash", "database/sql", "plugin", "expvar", "C"}
	gates := map[string]bool{"net/netip": true, "log/slog": true, "net": c.p.Path == "pki", "net/url": c.p.Path == "pki"}
	for _, f := range c.p.Files {
		for _, i := range f.Syntax.Imports {
			name := unquote(i.Path)
			if gates[name] {
				continue
			}
			for _, b := range banned {
				if name == b || strings.HasPrefix(name, b+"/") {
					c.complain(i.Pos(), "imports %s", name)
				}
			}
		}
	}
}

// use refuses single names of packages that may otherwise be imported.
func (c *purity) use(id *ast.Ident, o types.Object) {
	allowed := map[string][]string{
		"log/slog": {"Value", "StringValue", "LogValuer"},
		"net": {"IP", "IPNet", "IPMask", "ParseIP", "ParseCIDR", "CIDRMask", "IPv4", "IPv4Mask", "IPv4len", "IPv6len",
			"SplitHostPort", "JoinHostPort", "AddrError", "ParseError"},
	}
	banned := map[string][]string{
		"time": {"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep", "Local", "LoadLocation"},
		"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	}
	path, name := o.Pkg().Path(), o.Name()
	if list := allowed[path]; list != nil && global(o) && !slices.Contains(list, name) {
		c.complain(id.Pos(), "uses %s.%s", o.Pkg().Name(), name)
	}
	if slices.Contains(banned[path], name) && (global(o) || name == "Local") {
		c.complain(id.Pos(), "uses %s.%s", o.Pkg().Name(), name)
	}
	if _, own := c.tree.own(path); own {
		return
	}
	_, isFunc := o.(*types.Func)
	if isFunc && (strings.HasPrefix(name, "GenerateKey") || name == "Encapsulate") {
		c.complain(id.Pos(), "%s.%s draws its own randomness: read bytes from the given reader and make the key of them", o.Pkg().Name(), name)
	}
}

// node refuses statements and types.
func (c *purity) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.complain(n.Pos(), "starts a goroutine")
	case *ast.SelectStmt:
		c.complain(n.Pos(), "has a select statement")
	case *ast.ChanType:
		c.complain(n.Pos(), "has a channel")
	case *ast.RangeStmt:
		if c.overMap(n.X) {
			c.ordered(n.Pos(), "ranges over a map")
		}
	case *ast.CompositeLit:
		c.verify(n)
	case *ast.CallExpr:
		return c.call(n)
	}
	return true
}

// call refuses the builtin print and map iterators whose order can leak out. It
// reports whether to look inside: a sorted iterator is passed over.
func (c *purity) call(n *ast.CallExpr) bool {
	if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
		if _, builtin := c.p.Info.Uses[id].(*types.Builtin); builtin {
			c.complain(n.Pos(), "prints")
		}
	}
	switch o := c.callee(n); {
	case o == nil || o.Pkg() == nil:
	case o.Pkg().Path() == "slices" && strings.HasPrefix(o.Name(), "Sorted"):
		for _, arg := range n.Args[1:] {
			ast.Inspect(arg, c.node)
		}
		inner, ok := n.Args[0].(*ast.CallExpr)
		if ok && len(inner.Args) == 1 {
			ast.Inspect(inner.Args[0], c.node)
			return false
		}
	case o.Pkg().Path() == "maps" && (o.Name() == "Keys" || o.Name() == "Values" || o.Name() == "All"):
		c.ordered(n.Pos(), "takes the elements of a map in its own order")
	}
	return true
}

// ordered complains unless the line says why order cannot leak out.
func (c *purity) ordered(pos token.Pos, what string) {
	if _, ok := c.tree.trailing(c.file, pos, "order-free"); !ok {
		c.complain(pos, "%s: sort the keys, or say on the same line \"// order-free: why\"", what)
	}
}

// verify demands time and roots of x509.VerifyOptions.
func (c *purity) verify(n *ast.CompositeLit) {
	if path, name := named(c.p.Info.TypeOf(n)); path != "crypto/x509" || name != "VerifyOptions" {
		return
	}
	for _, field := range []string{"CurrentTime", "Roots"} {
		if !hasField(n, field) {
			c.complain(n.Pos(), "x509.VerifyOptions without %s takes the machine's", field)
		}
	}
}

// hasField reports whether a composite literal sets the field by its name.
func hasField(n *ast.CompositeLit, field string) bool {
	for _, e := range n.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if id, ok := kv.Key.(*ast.Ident); ok && id.Name == field {
			return true
		}
	}
	return false
}

// overMap reports whether ranging over x visits a map, also where x's type is a
// parameter one of whose terms is a map.
func (c *purity) overMap(x ast.Expr) bool {
	t := c.p.Info.TypeOf(x)
	if t == nil {
		return false
	}
	if iface, ok := t.Underlying().(*types.Interface); ok {
		for i := range iface.NumEmbeddeds() {
			if u, ok := iface.EmbeddedType(i).(*types.Union); ok {
				for j := range u.Len() {
					if _, ok := u.Term(j).Type().Underlying().(*types.Map); ok {
						return true
					}
				}
			}
		}
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// callee returns the function that n calls, nil for a function value.
func (c *purity) callee(n *ast.CallExpr) types.Object { return callee(c.p.Info, n) }

// callee returns what n calls by name, through type arguments and parentheses.
func callee(info *types.Info, n *ast.CallExpr) types.Object {
	switch f := ast.Unparen(n.Fun).(type) {
	case *ast.Ident:
		return info.Uses[f]
	case *ast.SelectorExpr:
		return info.Uses[f.Sel]
	case *ast.IndexExpr:
		if s, ok := f.X.(*ast.SelectorExpr); ok {
			return info.Uses[s.Sel]
		}
	}
	return nil
}
