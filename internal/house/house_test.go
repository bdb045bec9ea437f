package house

import (
	"strings"
	"testing"
)

// rule is one checker applied to a made-up module.
type rule func(*Tree) []Finding

// A broken is a small source and the complaint it must draw; an empty complaint
// says that the source must pass.
type broken struct {
	name  string
	files map[string]string
	want  string
}

// one makes the files of a single package.
func one(path, body string) map[string]string {
	name := path[strings.LastIndex(path, "/")+1:]
	return map[string]string{"m.test/" + path + "/" + name + ".go": "package " + name + "\n" + body}
}

// run applies the rule to each case.
func run(t *testing.T, r rule, cases []broken) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tree, err := Parse("m.test", c.files)
			if err != nil {
				t.Fatal(err)
			}
			if f := Compile(tree); len(f) > 0 {
				t.Fatal(f)
			}
			expect(t, r(tree), c.want)
		})
	}
}

// expect demands exactly one finding that contains want, or none if want is empty.
func expect(t *testing.T, got []Finding, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) != 0:
		t.Errorf("got %v, want no finding", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), want)):
		t.Errorf("got %v, want one finding with %q", got, want)
	}
}

func TestPurity(t *testing.T) {
	pure := func(body string) map[string]string { return one("mor", body) }
	run(t, func(t *Tree) []Finding { return Purity(t, []string{"mor", "pki"}) }, []broken{
		{"other package", one("node", `import "os"; var _ = os.Args`), ""},
		{"clean", pure(`import "time"; func F(now time.Time) time.Time { return now.Add(time.Second) }`), ""},
		{"os", pure(`import "os"; var _ = os.Args`), "mor/mor.go:2:8: not pure: imports os"},
		{"below os", pure(`import _ "os/signal"`), "imports os/signal"},
		{"sync", pure(`import _ "sync/atomic"`), "imports sync/atomic"},
		{"context", pure(`import _ "context"`), "imports context"},
		{"randomness", pure(`import _ "math/rand/v2"`), "imports math/rand/v2"},
		{"secret randomness", pure(`import _ "crypto/rand"`), "imports crypto/rand"},
		{"net", pure(`import _ "net/url"`), "imports net/url"},
		{"net/netip", pure(`import _ "net/netip"`), ""},
		{"net in pki", one("pki", `import "net"; func F(s string) net.IP { return net.ParseIP(s) }`), ""},
		{"dial in pki", one("pki", `import "net"; var F = net.LookupHost`), "uses net.LookupHost"},
		{"log value", pure(`import "log/slog"; func F() slog.Value { return slog.StringValue("secret") }`), ""},
		{"log", pure(`import "log/slog"; func F() { slog.Info("x") }`), "uses slog.Info"},
		{"clock", pure(`import "time"; func F() time.Time { return time.Now() }`), "uses time.Now"},
		{"clock renamed", pure(`import c "time"; var F = c.Since`), "uses time.Since"},
		{"clock dotted", pure(`import . "time"; func F() { Sleep(1) }`), "uses time.Sleep"},
		{"zone", pure(`import "time"; func F(t time.Time) time.Time { return t.Local() }`), "uses time.Local"},
		{"print", pure(`import "fmt"; func F() { fmt.Println() }`), "uses fmt.Println"},
		{"builtin print", pure(`func F() { println() }`), "prints"},
		{"go", pure(`func F() { go F() }`), "starts a goroutine"},
		{"select", pure(`func F() { select {} }`), "has a select statement"},
		{"channel", pure(`type C chan int`), "has a channel"},
		{"map", pure("func F(m map[int]int) { for range m {\n} }"), "ranges over a map"},
		{"map behind a type", pure("type M map[int]int\nfunc F(m M) { for range m {\n} }"), "ranges over a map"},
		{"map behind a parameter", pure("func F[M ~map[int]int](m M) { for range m {\n} }"), "ranges over a map"},
		{"map, with a reason", pure("func F(m map[int]int) (n int) {\nfor _, v := range m { // order-free: a sum\nn += v\n}\nreturn n }"), ""},
		{"map, without one", pure("func F(m map[int]int) {\nfor range m { // order-free:\n}\n}"), "ranges over a map"},
		{"slice", pure("func F(s []int) { for range s {\n} }"), ""},
		{"keys", pure(`import ("maps"; "slices"); func F(m map[int]int) []int { return slices.Collect(maps.Keys(m)) }`), "in its own order"},
		{"keys sorted", pure(`import ("maps"; "slices"); func F(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }`), ""},
		{"generate", pure(`import ("crypto/ecdh"; "io"); func F(r io.Reader) { ecdh.X25519().GenerateKey(r) }`), "ecdh.GenerateKey draws"},
		{"encapsulate", pure(`import "crypto/mlkem"; func F(k *mlkem.EncapsulationKey768) { k.Encapsulate() }`), "mlkem.Encapsulate draws"},
		{"own generate", pure(`func GenerateKey() {}; func F() { GenerateKey() }`), ""},
		{"verify", one("pki", `import "crypto/x509"; var V = x509.VerifyOptions{Roots: nil}`), "without CurrentTime"},
	})
}

func TestDoors(t *testing.T) {
	node := func(body string) map[string]string { return one("node", body) }
	withDNS := node(`import "github.com/miekg/dns"; func F(c dns.Client) { c.Exchange(); c.ExchangeWithConn() }`)
	withDNS["github.com/miekg/dns/dns.go"] = "package dns\ntype Client struct{}\nfunc (Client) Exchange() {}\nfunc (Client) ExchangeWithConn() {}"
	run(t, func(t *Tree) []Finding { return Doors(t, "internal/dial", []string{"lab"}) }, []broken{
		{"the door itself", one("internal/dial", `import "net"; var D net.Dialer`), ""},
		{"listen", node(`import "net"; var F = net.Listen`), ""},
		{"dial", node(`import "net"; var F = net.DialTimeout`), "net.DialTimeout opens a way"},
		{"dialer", node(`import "net"; var F net.Dialer`), "net.Dialer opens"},
		{"renamed", node(`import n "net"; var F = n.Dial`), "net.Dial opens"},
		{"resolver", node(`import "net"; var F = net.LookupHost`), "net.LookupHost opens"},
		{"resolver type", node(`import "net"; var F *net.Resolver`), "net.Resolver opens"},
		{"tls", node(`import "crypto/tls"; var F = tls.Dial`), "tls.Dial opens"},
		{"tls on a connection", node(`import "crypto/tls"; var F = tls.Client`), ""},
		{"get", node(`import "net/http"; var F = http.Get`), "http.Get opens"},
		{"a method named get", node(`import "net/http"; func F(h http.Header) string { return h.Get("x") }`), ""},
		{"proxy", node(`import "net/http"; var F = http.ProxyFromEnvironment`), "http.ProxyFromEnvironment opens"},
		{"bare client", node(`import "net/http"; var C = &http.Client{}`), "http.Client without its Transport"},
		{"zero client", node(`import "net/http"; var C http.Client`), "http.Client without its Transport"},
		{"bare transport", node(`import "net/http"; var C = http.Transport{}`), "http.Transport without its DialContext"},
		{"whole client", node(`import "net/http"; func F(d *http.Transport) *http.Client { return &http.Client{Transport: d} }`), ""},
		{"dns", withDNS, "dns.Exchange opens"},
		{"program", node(`import "os/exec"; var F = exec.Command`), "imports os/exec"},
		{"program where it may", one("lab", `import "os/exec"; var F = exec.Command`), ""},
	})
}

func TestWeak(t *testing.T) {
	weak := func(t *Tree) []Finding { return Weak(t, nil) }
	inTest := one("pki", "")
	inTest["m.test/pki/pki_test.go"] = "package pki\nimport _ \"crypto/md5\"\n"
	pgp := one("pki", `import _ "golang.org/x/crypto/openpgp"`)
	pgp["golang.org/x/crypto/openpgp/o.go"] = "package openpgp"
	run(t, weak, []broken{
		{"sha256", one("pki", `import "crypto/sha256"; var F = sha256.Sum256`), ""},
		{"a small hash", one("pki", `import _ "crypto/sha1"`), "imports crypto/sha1"},
		{"in a test", inTest, "imports crypto/md5"},
		{"openpgp", pgp, "imports golang.org/x/crypto/openpgp"},
		{"by number", one("pki", `import "crypto"; const H = crypto.SHA1`), "uses crypto.SHA1"},
		{"by name", one("pki", `import "crypto/x509"; const H = x509.ECDSAWithSHA1`), "uses x509.ECDSAWithSHA1"},
		{"strong names", one("pki", `import "crypto"; const H = crypto.SHA256`), ""},
	})
	dep := Dep{Path: "dep.test/a/b", Module: "dep.test/a", Imports: []string{"crypto/md5"}}
	tree := &Tree{Deps: []Dep{dep}}
	expect(t, Weak(tree, nil), "dep.test/a/b: imports crypto/md5")
	expect(t, Weak(tree, Exempt{"dep.test/a": "only its names of colours"}), "")
	expect(t, Weak(tree, Exempt{"dep.test/a": " "}), "without a reason")
	expect(t, Weak(&Tree{}, Exempt{"dep.test/a": "gone"}), "no longer needs to be")
	expect(t, Weak(&Tree{Deps: []Dep{{Path: "crypto/tls", Standard: true, Imports: []string{"crypto/md5"}}}}, nil), "")
	expect(t, Weak(&Tree{Deps: []Dep{{Path: "github.com/ProtonMail/go-crypto/eax"}}}, nil), "is OpenPGP")
}

func TestComments(t *testing.T) {
	long := "// Package p " + strings.Repeat("word ", MinPackageWords) + "\n"
	pkg := func(doc, body string) map[string]string {
		return map[string]string{"m.test/p/p.go": doc + "package p\n" + body}
	}
	run(t, Comments, []broken{
		{"clean", pkg(long, "// F does.\nfunc F() {}\nfunc f() {}"), ""},
		{"no package comment", pkg("", ""), "package comment of 0 words"},
		{"thin package comment", pkg("// Package p is a package.\n", ""), "package comment of 5 words"},
		{"function", pkg(long, "func F() {}"), "exported function F"},
		{"method", pkg(long, "// T is.\ntype T int\nfunc (T) M() {}"), "exported function M"},
		{"method nobody can name", pkg(long, "type t int\nfunc (t) M() {}"), ""},
		{"type", pkg(long, "type T int"), "exported type T"},
		{"constant", pkg(long, "const C = 1"), "exported const C"},
		{"group", pkg(long, "// All of them.\nconst (\nC = 1\nD = 2\n)"), ""},
		{"neighbours", pkg(long, "const (\n// Both.\nC = 1\nD = 2\n)"), ""},
		{"no neighbour", pkg(long, "const (\n// One.\nC = 1\n\nD = 2\n)"), "exported const D"},
		{"error", pkg(long, "// E is.\ntype E int\nfunc (E) Error() string { return \"\" }"), ""},
		{"end of line", pkg(long, "var V = []int{} // explained"), ""},
		{"generated", pkg("// Code generated by x. DO NOT EDIT.\n\n", "func F() {}"), ""},
	})
}

func TestMarks(t *testing.T) {
	inTest := one("p", "")
	inTest["m.test/p/p_test.go"] = "package p\n\n// FIX" + "ME: later\n"
	run(t, Marks, []broken{
		{"clean", one("p", "// Done.\n"), ""},
		{"mark", one("p", "// TO"+"DO: later\n"), "do it now"},
		{"mark in a test", inTest, "do it now"},
		{"inside a word", one("p", "// XX"+"XXL\n"), ""},
		{"panic", one("p", `func F() { panic("x") }`), "panics"},
		{"panic with a reason", one("p", "func F() {\npanic(1) // unreachable: len is a constant\n}"), ""},
		{"panic with an empty reason", one("p", "func F() {\npanic(1) // unreachable:\n}"), "panics"},
	})
}

func TestSizes(t *testing.T) {
	sizes := func(e Exempt) rule { return func(t *Tree) []Finding { return Sizes(t, e) } }
	function := one("p", "func F() {\n"+strings.Repeat("\n", MaxFuncLines)+"}")
	file := one("p", strings.Repeat("\n", MaxFileLines))
	run(t, sizes(nil), []broken{
		{"short", one("p", "func F() {\n}"), ""},
		{"long function", function, "F has 72 lines"},
		{"long file", file, "p/p.go: has 501 lines"},
	})
	run(t, sizes(Exempt{"p/p.go": "a table"}), []broken{
		{"exempt", file, ""},
		{"idle exemption", one("p", ""), "no longer needs to be"},
	})
}

func TestState(t *testing.T) {
	state := func(t *Tree) []Finding { return State(t, nil) }
	pkg := func(body string) map[string]string { return one("p", body) }
	across := pkg("// T is.\nvar T = []int{1}")
	across["m.test/q/q.go"] = "package q\nimport \"m.test/p\"\nfunc F() { p.T[0] = 2 }"
	run(t, state, []broken{
		{"sentinel", pkg(`import "errors"; var ErrX = errors.New("x")`), ""},
		{"pattern", pkg(`import "regexp"; var r = regexp.MustCompile("x")`), ""},
		{"table", pkg(`var t = map[int]string{1: "a"}; func F(i int) string { return t[i] }`), ""},
		{"bytes", pkg(`var t = []byte("magic")`), ""},
		{"embedded", pkg("import _ \"embed\"\n//go:embed p.go\nvar t string"), ""},
		{"assertion", pkg(`import "io"; type R struct{}; func (R) Read([]byte) (int, error) { return 0, nil }; var _ io.Reader = R{}`), ""},
		{"init", pkg(`func init() {}`), "init runs"},
		{"method named init", pkg(`type T int; func (T) init() {}`), ""},
		{"zero", pkg(`var n int`), "package variable n is no sentinel"},
		{"number", pkg(`var n = 7`), "package variable n is no sentinel"},
		{"hook", pkg(`var now = func() int { return 0 }`), "package variable now is no sentinel"},
		{"pointer", pkg(`type T struct{ n int }; var p = &T{}`), "package variable p is no sentinel"},
		{"written", pkg(`var t = []int{1}; func F() { t = nil }`), "writes to package variable t"},
		{"written into", pkg(`var t = []int{1}; func F() { t[0]++ }`), "writes to package variable t"},
		{"deleted from", pkg(`var t = map[int]int{}; func F() { delete(t, 1) }`), "writes to package variable t"},
		{"address", pkg(`type T struct{ n int }; var t = T{}; func F() *int { return &t.n }`), "takes the address of package variable t"},
		{"method", pkg(`import "sync"; var t = sync.Map{}; func F() { t.Store(1, 2) }`), "may write to package variable t"},
		{"from elsewhere", across, "q/q.go:3:12: writes to package variable T"},
	})
	run(t, func(t *Tree) []Finding { return State(t, Exempt{"p.n": "for the test"}) }, []broken{
		{"exempt", pkg(`var n = max(1, 2)`), ""},
		{"idle", pkg(``), "no longer needs to be"},
	})
}
