package house

import (
	"fmt"
	"go/ast"
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// Weak keeps MD5, SHA-1 and OpenPGP out. The bare list of dependencies cannot be
// the test: crypto/tls and crypto/x509 of the standard library themselves contain
// both hashes, for protocols that we never speak. So the rule is about who asks:
//
//   - no own package, tests included, imports crypto/md5, crypto/sha1, crypto/rc4,
//     crypto/des, or a legacy hash, cipher or openpgp of golang.org/x/crypto;
//   - no own package, tests aside, uses a name of another package that has MD5 or
//     SHA1 in it (crypto.SHA1, x509.SHA1WithRSA, dns.RSASHA1 ...);
//   - a package of another module may import crypto/md5 or crypto/sha1 only if its
//     module is in exempt, with the reason why we never run that code;
//   - nothing at all whose import path speaks of openpgp or go-crypto.
func Weak(t *Tree, exempt Exempt) []Finding {
	bad := regexp.MustCompile(`^crypto/(md5|sha1|rc4|des)$|^golang\.org/x/crypto/(md4|ripemd160|blowfish|cast5|tea|xtea|twofish|openpgp.*)$`)
	var out []Finding
	for _, p := range t.Packages {
		for _, f := range append(p.Files[:len(p.Files):len(p.Files)], p.Tests...) {
			for _, i := range f.Syntax.Imports {
				if name := unquote(i.Path); bad.MatchString(name) || pgp(name) {
					out = append(out, Finding{t.at(i.Pos()), fmt.Sprintf("imports %s, which the house does without", name)})
				}
			}
		}
		out = append(out, t.weakNames(p)...)
	}
	return append(out, weakDeps(t, exempt)...)
}

// weakNames refuses names of other packages that stand for MD5 or SHA-1.
func (t *Tree) weakNames(p *Package) []Finding {
	weak := regexp.MustCompile(`(?i)md5|sha_?1($|[^0-9])`)
	var out []Finding
	p.uses(func(id *ast.Ident, o types.Object) {
		if _, own := t.own(o.Pkg().Path()); own || o.Pkg() == p.Types {
			return
		}
		if weak.MatchString(o.Name()) {
			out = append(out, Finding{t.at(id.Pos()), fmt.Sprintf("uses %s.%s", o.Pkg().Name(), o.Name())})
		}
	})
	return out
}

// weakDeps judges what other modules bring.
func weakDeps(t *Tree, exempt Exempt) []Finding {
	var out []Finding
	l := newLedger(exempt)
	for _, d := range t.Deps {
		if pgp(d.Path) {
			out = append(out, Finding{d.Path, "is OpenPGP"})
		}
		for _, hash := range []string{"crypto/md5", "crypto/sha1"} {
			if !d.Standard && slices.Contains(d.Imports, hash) && !l.passes(d.Module) {
				out = append(out, Finding{d.Path, fmt.Sprintf("imports %s; if we never run that code, say why in the list of exemptions", hash)})
			}
		}
	}
	return append(out, l.idle("weak hash")...)
}

func pgp(path string) bool {
	return strings.Contains(path, "openpgp") || strings.Contains(path, "/go-crypto")
}
