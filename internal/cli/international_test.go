package cli_test

import (
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/cli"
)

func TestInternational(t *testing.T) {
	for text, want := range map[string]string{
		"bücher.example":               "; DNS spells it xn--bcher-kva.example",
		"ann@bücher.example":           "; DNS spells it ann@xn--bcher-kva.example",
		"ann@Bücher.Example":           "; DNS spells it ann@xn--bcher-kva.example",
		"straße.example":               "; DNS spells it xn--strae-oqa.example",
		"a.test":                       "",
		"":                             "",
		"Ann@A.test":                   "",
		"än@a.test":                    "", // no spelling helps a name
		"bü\x00cher.example":           "",
		"bü cher.example":              "",
		"\xff.example":                 "",
		"ü" + strings.Repeat("a", 300): "",
	} {
		if got := cli.International(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
