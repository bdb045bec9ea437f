// Package p3do_test holds the whole tree to the rules of the house: what
// ARCHITECTURE.md and CONTRIBUTING.md say in words, checked by internal/house.
package p3do_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/p3do/p3do/internal/house"
)

// load reads the tree once for all tests: the type checker wants a second or two.
var load = sync.OnceValues(func() (*house.Tree, error) { return house.Load(".") })

func tree(t *testing.T) *house.Tree {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func report(t *testing.T, findings []house.Finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// Everything compiles; a package that does not is judged only in part below.
func TestCompile(t *testing.T) { report(t, house.Compile(tree(t))) }

// The import table of ARCHITECTURE.md is what the packages import: the storeys, and
// the one door of each outside module.
func TestImports(t *testing.T) {
	rows, err := house.Table(text(t, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	report(t, house.Imports(tree(t), rows))
}

// Every test that ARCHITECTURE.md names as holding an invariant exists.
func TestInvariants(t *testing.T) {
	report(t, house.Rules(tree(t), text(t, "ARCHITECTURE.md")))
}

// The three trips of ARCHITECTURE.md lead past files and functions that exist.
func TestTrips(t *testing.T) {
	_, trips, _ := strings.Cut(text(t, "ARCHITECTURE.md"), "\n## Three trips\n")
	trips, _, _ = strings.Cut(trips, "\n## ")
	report(t, house.Named(tree(t), "ARCHITECTURE.md", trips))
}

// Every row that this version must meet stands in docs/acceptance.md, with tests and
// scripts that exist.
func TestAcceptance(t *testing.T) {
	rows := strings.Fields(`P1 P2 P3a P3b P4 K1 K2 K3 K4 K5 K6 K7 K8 K9 K10 K11 M1 M2 M3 M4 M5 M6 M7 M8 T1 C1 C2 C6 C7 C9 C11 C13 C14 E2
		H1 H3 H5 H6 H7 H8 H10 N1 N3 R4 X1 G1 G2 G10 G13 G15 F1 Y3 Y7 Y12 Y14 Y15 V1 V4 V8`)
	var scripts []string
	for _, pattern := range []string{"cmd/*/testdata/script/*.txtar", "mor/testdata/*.txtar"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, found...)
	}
	report(t, house.Acceptance(tree(t), text(t, "docs/acceptance.md"), rows, scripts))
}

// Every door through which bytes come from outside stands in docs/spec/hostile.md, with
// tests that exist.
func TestHostile(t *testing.T) {
	report(t, house.Hostile(tree(t), text(t, "docs/spec/hostile.md"), []string{
		"link, before the handshake", "link, after the handshake", "peer, control", "peer, notices", "peer, packets", "onion bytes",
		"user link", "user link, the user's side", "user's mailbox", "key server", "key server, the asker's side",
		"DNS responder", "name server", "metrics", "DNS answers", "invitations", "configuration", "sealed folder", "certificates and records",
	}))
}

// Every package explains itself, and so does every exported name.
func TestComments(t *testing.T) { report(t, house.Comments(tree(t))) }

// The core has no clock, no goroutines, no randomness of its own, and no I/O.
func TestPurity(t *testing.T) {
	report(t, house.Purity(tree(t), []string{"mor", "mor/onion", "pki", "keyserver/keylog", "simulations/kernel", "simulations/graph", "simulations/rivals", "simulations/measure", "simulations/attack",
		"simulations/chance", "simulations/validate"}))
}

// Only internal/dial opens connections. The lab starts servers as programs of their
// own, so do tests with other people's, and the rules of the house ask the go command;
// nobody else starts programs.
func TestDoors(t *testing.T) {
	report(t, house.Doors(tree(t), "internal/dial", []string{"internal/lab", "internal/house", "internal/dnsserver"}))
}

// No MD5, no SHA-1, no OpenPGP.
func TestWeakCryptography(t *testing.T) {
	report(t, house.Weak(tree(t), house.Exempt{
		"github.com/miekg/dns":     "SHA-1 and MD5 for DNSSEC and TSIG of old zones; we neither sign nor validate zones with it",
		"codeberg.org/go-pdf/fpdf": "for PDF files, which gonum/plot could write; we let it write SVG only",
		"github.com/google/uuid":   "names made of hashes; comes with modernc.org/libc, which makes none",
	}))
}

// Every module that we or our tests need is free, and may be part of a program
// under GPL-3.0-or-later.
func TestLicences(t *testing.T) {
	findings, err := house.Licences(tree(t), house.Exempt{
		"modernc.org/memory LICENSE-LOGO": "about the picture in its README, which is in no program",
	})
	if err != nil {
		t.Fatal(err)
	}
	report(t, findings)
}

// The C library that SQLite was translated for is the one in the build.
func TestLibc(t *testing.T) {
	findings, err := house.Libc(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, findings)
}

// No host of the public network is built in.
func TestHosts(t *testing.T) {
	report(t, house.Hosts(tree(t), house.Exempt{
		"internal/house":             "names modules and functions of Go, and is in no program",
		"vault.new":                  "the name of a file",
		"http://www.w3.org/2000/svg": "the name of a format: nothing is fetched from there",
	}))
}

// No function and no file is longer than a reader's patience.
func TestSizes(t *testing.T) { report(t, house.Sizes(tree(t), nil)) }

// Nothing is put off, and nothing panics on purpose.
func TestMarks(t *testing.T) { report(t, house.Marks(tree(t))) }

// No init functions, and no package-level variables that change.
func TestState(t *testing.T) {
	const (
		tag    = "a tag of GeneralName, a number that only a method can make"
		labels = "the constant part of HPKE's key schedule, hashed once"
	)
	report(t, house.State(tree(t), house.Exempt{
		"dnstxt.onionText":    "an encoding of base32, which has nothing that could be changed",
		"mor/onion.outerHPKE": labels, "mor/onion.innerHPKE": labels, "mor/onion.dhkemLabels": labels,
		"pki.tagMail": tag, "pki.tagDNS": tag, "pki.tagURI": tag, "pki.tagIP": tag,
	}))
}

// What runs before a change is accepted covers what it must: the test command that
// the README tells people, and the race detector on every package that starts
// goroutines.
func TestCI(t *testing.T) {
	ci := text(t, ".ci/run")
	if !strings.Contains(text(t, "README.md"), "\ngo test ./...\n") || !strings.Contains(ci, "\ngo test ./...\n") {
		t.Error("README.md and .ci/run must both have a line \"go test ./...\"")
	}
	if !strings.Contains(ci, "\n.ci/race\n") || !strings.Contains(text(t, "Makefile"), "\n\t.ci/race\n") {
		t.Error("Makefile and .ci/run must both have a line \".ci/race\"")
	}
	_, list, _ := strings.Cut(text(t, ".ci/race"), "\nconcurrent=(")
	list, _, _ = strings.Cut(list, ")")
	report(t, house.Raced(tree(t), strings.Fields(list)))
}

// A second judge that is missing is noticed where it is wanted.
func TestSkips(t *testing.T) { report(t, house.Skips(tree(t))) }
