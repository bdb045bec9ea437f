package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Hosts refuses string literals, outside of tests, that name a host of the public
// network or its address: nothing central is built in. What counts as a name is a
// whole literal, or inside of one a word with "://", "@", a port or two dots, whose
// last labels are a public suffix. The reserved names (.test, .example, .invalid,
// .localhost, example.com and its sisters) and addresses (loopback, unspecified,
// documentation) are free. Exempt lists words, or whole packages; import paths and
// struct tags are no literals in this sense.
func Hosts(t *Tree, exempt Exempt) []Finding {
	var out []Finding
	l := newLedger(exempt)
	for _, p := range t.Packages {
		tags := make(map[*ast.BasicLit]bool)
		p.walk(func(n ast.Node) {
			switch n := n.(type) {
			case *ast.ImportSpec:
				tags[n.Path] = true
			case *ast.Field:
				tags[n.Tag] = true
			case *ast.BasicLit:
				if n.Kind != token.STRING || tags[n] {
					return
				}
				for _, word := range publicHosts(unquote(n)) {
					if !l.passes(word) && !l.passes(p.Path) {
						out = append(out, Finding{t.at(n.Pos()), fmt.Sprintf("%q names a host: take it from the configuration", word)})
					}
				}
			}
		})
	}
	return append(out, l.idle("host name")...)
}

// publicHosts returns the words of a literal that name public hosts.
func publicHosts(literal string) []string {
	var out []string
	words := strings.Fields(literal)
	for _, w := range words {
		w = strings.Trim(w, "\"'`()<>,;.!?")
		strong := len(words) == 1 || strings.Contains(w, "://") || strings.Contains(w, "@")
		host := hostOf(w)
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			if !harmless(ip) {
				out = append(out, w)
			}
			continue
		}
		strong = strong || strings.Count(host, ".") >= 2 || host != w && strings.Contains(w, ":")
		if strong && publicName(host) {
			out = append(out, w)
		}
	}
	return out
}

// hostOf strips scheme, user, path and port off a word.
func hostOf(w string) string {
	if _, after, ok := strings.Cut(w, "://"); ok {
		w = after
	}
	w, _, _ = strings.Cut(w, "/")
	if i := strings.LastIndex(w, "@"); i >= 0 {
		w = w[i+1:]
	}
	if ap, err := netip.ParseAddrPort(w); err == nil {
		return ap.Addr().String()
	}
	if strings.Count(w, ":") == 1 {
		w, _, _ = strings.Cut(w, ":")
	}
	return w
}

// publicName reports whether host is a name under a suffix of the public DNS.
func publicName(host string) bool {
	shape := regexp.MustCompile(`^(?i:[a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z]\.?$`)
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if !shape.MatchString(host) {
		return false
	}
	for _, free := range []string{"example.com", "example.org", "example.net"} {
		if host == free || strings.HasSuffix(host, "."+free) {
			return false
		}
	}
	last := host[strings.LastIndex(host, ".")+1:]
	if slices.Contains([]string{"test", "example", "invalid", "localhost", "arpa"}, last) {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	return icann && suffix != host
}

// harmless reports whether an address is nobody's on the public network.
func harmless(ip netip.Addr) bool {
	for _, doc := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if netip.MustParsePrefix(doc).Contains(ip) {
			return true
		}
	}
	return ip.IsLoopback() || ip.IsUnspecified()
}
