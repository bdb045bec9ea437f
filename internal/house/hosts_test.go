package house

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for literal, want := range map[string]bool{
		"dns.google": true, "ns1.debian.org": true, "ns1.debian.org:53": true, "https://debian.org/x": true,
		"write to root@debian.org now": true, "see www.debian.org.": true, "8.8.8.8": true, "8.8.8.8:53": true,
		"[2606:4700::1111]:53": true, "ask 9.9.9.9 first": true,
		"a.test": false, "ann@a.test": false, "x.invalid": false, "mail.example.com": false, "https://b.test:8443/k": false,
		"127.0.0.1:0": false, "::1": false, "[::]:0": false, "0.0.0.0:443": false, "192.0.2.7": false, "localhost": false,
		"config.toml": false, "lab.json": false, "node.db": false, "a sentence.Then another": false, "p3do: doing: %w": false,
		"1.2.3": false, "text/html": false, "_p3do.%s": false, "com": false, "co.uk": false, "a:b": false,
	} {
		tree, err := Parse("m.test", one("p", fmt.Sprintf("const C = %q", literal)))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(Hosts(tree, nil)) > 0; got != want {
			t.Errorf("%q: found %t, want %t", literal, got, want)
		}
	}
	tree, err := Parse("m.test", one("p", "import _ \"embed\"\ntype T struct {\nF int `json:\"debian.org\"`\n}\nconst C = \"debian.org\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, Hosts(tree, nil), `p/p.go:6:11: "debian.org" names a host`)
	expect(t, Hosts(tree, Exempt{"debian.org": "for the test"}), "")
	expect(t, Hosts(tree, Exempt{"p": "for the test"}), "")
	expect(t, Hosts(tree, Exempt{"debian.org": "for the test", "gnu.org": "gone"}), "gnu.org: is exempt")
}

func TestImports(t *testing.T) {
	const head = "# A\n\n| package | its one job | may import | outside |\n|:--|---|---|---|\n"
	const good = "| `a` | one | `b`, `c`? | `x.test/m` |\n| `b` | two | - | - |\n"
	files := map[string]string{
		"m.test/a/a.go":     "package a\nimport (\n_ \"m.test/b\"\n_ \"os\"\n_ \"x.test/m/sub\"\n)",
		"m.test/b/b.go":     "package b",
		"x.test/m/sub/s.go": "package sub",
	}
	tree, err := Parse("m.test", files)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, table, want string }{
		{"agrees", head + good, ""},
		{"no row", head + strings.Split(good, "\n")[0] + "\n", "b: has no row"},
		{"no package", head + good + "| `z` | three | - | - |\n", "z: has a row"},
		{"twice", head + good + "| `b` | two | - | - |\n", "b: has two rows"},
		{"not allowed", head + "| `a` | one | - | `x.test/m` |\n| `b` | two | - | - |\n", "a: imports b, which"},
		{"outside not allowed", head + "| `a` | one | `b` | - |\n| `b` | two | - | - |\n", "a: imports x.test/m/sub, which"},
		{"a name that only begins alike", head + "| `a` | one | `b` | `x.test/m/su` |\n| `b` | two | - | - |\n", ""},
		{"not used", head + "| `a` | one | `b` | `x.test/m` |\n| `b` | two | `a` | - |\n", "b: does not import a"},
		{"outside not used", head + "| `a` | one | `b` | `x.test/m`, `y.test/n` |\n| `b` | two | - | - |\n", "a: does not import y.test/n"},
	} {
		rows, err := Table(c.table)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if c.name == "a name that only begins alike" { // refuses the import and finds the row unused
			if got := Imports(tree, rows); len(got) != 2 {
				t.Errorf("%s: got %v, want two findings", c.name, got)
			}
			continue
		}
		t.Run(c.name, func(t *testing.T) { expect(t, Imports(tree, rows), c.want) })
	}
	for _, bad := range []string{"no table", head, head + "| `a` | one | b | - |\n", head + "| `a` | one | - |\n"} {
		if rows, err := Table(bad); err == nil {
			t.Errorf("Table(%q) = %v, want an error", bad, rows)
		}
	}
}

func TestRules(t *testing.T) {
	files := one("a", "")
	files["m.test/a/a_test.go"] = "package a\nimport \"testing\"\nfunc TestIt(*testing.T) {}"
	tree, err := Parse("m.test", files)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| invariant | held by |\n|---|---|\n"
	expect(t, Rules(tree, head+"| it holds | `a: TestIt` |\n"), "")
	expect(t, Rules(tree, head+"| it holds | `a: TestIt`, `a: TestNot` |\n"), `"a: TestNot", which does not exist`)
	expect(t, Rules(tree, head+"| it holds | - |\n"), "names no test")
	expect(t, Rules(tree, "nothing"), "has no table")
}

func TestAcceptance(t *testing.T) {
	files := one("a", "")
	files["m.test/a/a_test.go"] = "package a\nimport \"testing\"\nfunc TestIt(*testing.T) {}"
	tree, err := Parse("m.test", files)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| row | shown by |\n|---|---|\n"
	check := func(table string, want ...string) []Finding {
		return Acceptance(tree, head+table, want, []string{"a/it.txtar"})
	}
	expect(t, check("| M1 | `a: TestIt`, `a/it.txtar` |\n| M2 | `a: TestIt` |\n", "M1", "M2"), "")
	expect(t, check("| M1 | `a: TestIt` |\n", "M1", "M2"), "M2: has 0 rows")
	expect(t, check("| M1 | `a: TestIt` |\n| M1 | `a: TestIt` |\n", "M1"), "M1: has 2 rows")
	expect(t, check("| M1 | `a: TestIt` |\n"), "not on the list")
	expect(t, check("| M1 | `a: TestNot` |\n", "M1"), "which does not exist")
	expect(t, check("| M1 | `a/not.txtar` |\n", "M1"), "which does not exist")
	expect(t, check("| M1 | by eye |\n", "M1"), "names no test")
}

func TestCompile(t *testing.T) {
	tree, err := Parse("m.test", one("p", "func F() int { return \"\" }"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, Compile(tree), "does not compile: p/p.go:2")
}

func TestLicence(t *testing.T) {
	const bsd = "Redistribution and use in source and\n binary forms, with or without modification\nRedistributions of source code must retain "
	for text, want := range map[string]string{
		"Permission is hereby granted, free of charge, to any person obtaining a copy of X.\nThe above copyright notice and this permission notice": "MIT",
		bsd: "BSD-2-Clause",
		bsd + "names of its contributors may be used to endorse or promote":                                         "BSD-3-Clause",
		bsd + "All advertising materials mentioning features":                                                       "",
		"Apache License Version 2.0, January 2004 ... Grant of Patent License ... with the Commons Clause":          "",
		"Apache License\n   Version 2.0, January 2004 ... Grant of Patent License":                                  "Apache-2.0",
		"GNU GENERAL PUBLIC LICENSE Version 2, June 1991":                                                           "",
		"It has been dedicated to the public domain by the authors, for any purpose, commercial or non-commercial.": "SQLite",
		"Unlicense: This is free and unencumbered software released into the public domain for non-commercial use":  "",
		"All rights reserved.": "",
	} {
		got, err := Licence(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Licence(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestLicences(t *testing.T) {
	dir := t.TempDir()
	tree := &Tree{Deps: []Dep{{Path: "dep.test/a/b", Module: "dep.test/a", Dir: dir}, {Path: "fmt", Standard: true}}}
	var exempt Exempt
	judge := func(want string) {
		t.Helper()
		got, err := Licences(tree, exempt)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, got, want)
	}
	judge("dep.test/a: has no licence file")
	write(t, filepath.Join(dir, "COPYING"), "You may look at it.")
	judge("COPYING: house: no licence that is known")
	exempt = Exempt{"dep.test/a COPYING": "about a picture"}
	judge("")
	write(t, filepath.Join(dir, "COPYING"), "CC0 1.0 Universal")
	judge("dep.test/a COPYING: is exempt from the licence rule")
}

func TestLibc(t *testing.T) {
	gomod := filepath.Join(t.TempDir(), "go.mod")
	write(t, gomod, "module modernc.org/sqlite\n\nrequire (\n\tmodernc.org/libc v1.2.3\n\tmodernc.org/memory v1.0.0\n)\n")
	for have, want := range map[string]string{"v1.2.3": "", "v1.2.4": "is v1.2.4 in the build"} {
		tree := &Tree{Deps: []Dep{{Module: "modernc.org/libc", Version: have}, {Module: "modernc.org/sqlite", GoMod: gomod}}}
		got, err := Libc(tree)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, got, want)
	}
	expect(t, libc("v1.2.3", "module modernc.org/sqlite\n"), "no longer names")
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRaced(t *testing.T) {
	run(t, func(t *Tree) []Finding { return Raced(t, []string{"node"}) }, []broken{
		{"listed", one("node", "func F() { go F() }"), ""},
		{"quiet", one("q", "func F() {}"), ""},
		{"not listed", one("q", "func F() { go F() }"), "q: starts goroutines"},
	})
}

func TestSkips(t *testing.T) {
	looks := func(more string) map[string]string {
		files := one("p", "")
		files["m.test/p/p_test.go"] = "package p\nimport (\"os/exec\"; \"os\")\nvar _, err = exec." + "LookPath(\"dig\")\n" + more
		return files
	}
	run(t, Skips, []broken{
		{"silent", looks(""), "p/p_test.go: looks for a program"},
		{"honest", looks(`var need = os.Getenv("P3DO_REQUIRE")`), ""},
	})
}

func TestSays(t *testing.T) {
	const page = "| packets | 16 384 bytes |\n| wait | 30 s |\nlayout 16384"
	says := func(text, constant string, unit int64) rule {
		return func(tree *Tree) []Finding { return Says(tree, "spec.md", page, Number{text, constant, unit}) }
	}
	source := one("p", "import \"time\"\nconst Size, wait, odd = 1 << 14, 30 * time.Second, 1500\nvar Many = 3\n")
	for _, c := range []struct {
		says rule
		want string
	}{
		{says("packets | # bytes", "p.Size", 1), ""},
		{says("layout #", "p.Size", 0), ""},
		{says("wait | # s", "p.wait", 1_000_000_000), ""},
		{says("wait | # s", "p.Size", 1), `spec.md: does not say "wait | 16 384 s"`},
		{says("wait | # s", "p.odd", 1000), "does not say"},
		{says("#", "p.Many", 1), "p.Many, which is no whole constant"},
		{says("#", "q.Size", 1), "q.Size, which is no whole constant"},
	} {
		run(t, c.says, []broken{{c.want, source, c.want}})
	}
}

func TestNamed(t *testing.T) {
	source := one("p", "type T[V any] struct{}\nfunc F() {}\nfunc (t *T[V]) M() {}\n")
	for _, c := range []struct{ section, want string }{
		{"`p/p.go` has `p.F`, `p.T`, `T.M` and `p.T.M`; `stored` and `p` and a/`*.txtar` are words", ""},
		{"`p.F` and `p.G`", "page.md: names p.G, and there is none"},
		{"`p.F` in `p/q.go`", "names p/q.go"},
		{"`p.F`, `T.N`", "names T.N"},
		{"`stored`", "names nothing here"},
	} {
		run(t, func(t *Tree) []Finding { return Named(t, "page.md", c.section) }, []broken{{c.want, source, c.want}})
	}
}
