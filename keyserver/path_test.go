package keyserver

import (
	"strings"
	"testing"

	"github.com/p3do/p3do/pki"
)

var targets = []string{
	"/v1/user/ann@a.test", "/v1/key/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"/v1/server/a.test", "/v1/servers", "/v1/servers/a.test",
}

func TestTargetsThatAreGood(t *testing.T) {
	for i, target := range targets {
		q := parseTarget(target)
		if q.kind == nothing || q.target() != target {
			t.Errorf("%d: %q gives %+v", i, target, q)
		}
	}
}

// Whatever comes is either nothing or the one spelling of what it asks for.
func FuzzPath(f *testing.F) {
	for _, target := range append(targets, "", "/", "*", "/v1/", "/v1/user/", "/v1/user/%41@a.test",
		"/v1/servers/", "/v1/../v1/servers", "http://a.test/v1/servers", "/v1/user/ann@a.test?x", "/v1/server/ctx:a") {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		q := parseTarget(target)
		if q.kind == nothing {
			if q != (query{}) {
				t.Fatalf("%q: %+v", target, q)
			}
			return
		}
		if q.target() != target || strings.ContainsAny(target, "%?#*:\\ ") {
			t.Fatalf("%q is taken for %q", target, q.target())
		}
	})
}

func FuzzPage(f *testing.F) {
	w := authority(f, "a.test")
	raw := descriptor(f, w, 1).Raw()
	f.Add(append([]byte{byte(len(raw) >> 8), byte(len(raw))}, raw...))
	f.Add([]byte{})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, page []byte) {
		servers, err := decodePage(page, pki.Domain{})
		size := 0
		for _, d := range servers {
			size += 2 + len(d.Raw())
		}
		if err == nil && size != len(page) {
			t.Fatalf("%d bytes of %d", size, len(page))
		}
	})
}
