package mor_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

// A leg over a server key does not compile; the same leg over a context key does.
func TestLegOverServerKeyDoesNotCompile(t *testing.T) {
	t.Parallel()
	const leg = `package leg
import "github.com/p3do/p3do/mor/onion"
func hop(server onion.ServerKey, context onion.ContextKey) onion.OuterHop { return onion.OuterHop{Key: %KEY%} }`
	files := token.NewFileSet()
	source := importer.ForCompiler(files, "source", nil)
	for _, c := range []struct {
		key  string
		good bool
	}{
		{"context", true},
		{"server", false},
		{"onion.ContextKey(server)", false},
		{"onion.ContextKey(context)", true},
	} {
		text := strings.Replace(leg, "%KEY%", c.key, 1)
		file, err := parser.ParseFile(files, c.key, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&types.Config{Importer: source}).Check("leg", files, []*ast.File{file}, nil)
		if (err == nil) != c.good {
			t.Errorf("Key: %s: %v", c.key, err)
		}
	}
}
