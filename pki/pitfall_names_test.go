package pki

import (
	"go/version"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The pitfalls of names; pitfall_test.go has those of chains, and says how to
// read them.

// 8. Verifiers disagree about URIs: with a host, without, with userinfo. None
// is an identity here.
func TestPitfall08NoURI(t *testing.T) {
	w := newWorld(t)
	for _, uri := range []string{
		"p3do://b.test/bob", "p3do://a.test/bob", "p3do://b.test@a.test", "urn:p3do:bob", "p3do:bob", "p3do://sub.b.test/bob",
	} {
		leaf := w.forgeLeaf(t, emptySubject(), w.leafWith(altNames(true, altName(tagURI, uri)))...)
		w.tempted(t, uri, leaf)
		w.refuseEverywhere(t, leaf, "of type 0x86")
		both := w.forgeLeaf(t, emptySubject(), w.leafWith(altNames(true, altName(tagMail, "bob@b.test"), altName(tagURI, uri)))...)
		w.refuseEverywhere(t, both, "more than one name")
	}
}

// 9. Spellings of a name on which verifiers disagree: quoted local parts,
// spaces, upper case, raw UTF-8, constraints that begin with a dot.
func TestPitfall09Spellings(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{
		`"a@b"@b.test`, `"bob"@b.test`, "bob@a.test @b.test", "Bob@b.test", "bob@B.test", "bob@b.test.", "bob@b.test ", "bob\x00@b.test",
		"bob+x@b.test", "bob..x@b.test", "@b.test", "bob", "bob@xn--.b.test@b.test",
	} {
		leaf, err := issue(w.rand, testNow, w.peer.domain.domain, order{
			subject: emptySubject(), key: w.bob.Public().identity, parent: w.peer.ca.cert, notAfter: testNow.Add(time.Hour),
			extensions: w.leafWith(altNames(true, altName(tagMail, text))),
		})
		if err != nil {
			t.Logf("%q: crypto/x509 does not even parse it: %v", text, err)
			continue
		}
		w.tempted(t, text, leaf)
		w.refuseEverywhere(t, leaf, "name ")
	}
	for _, host := range []string{".b.test", "", "B.test", "münchen.test", "b.test."} {
		b := Domain{host}
		own, err := issue(w.rand, testNow, w.peer.domain.domain, order{
			subject: authoritySubject(b, roleDomain), key: w.peer.ca.key.domain, notAfter: testNow.Add(time.Hour),
			extensions: caProfile(b, w.peer.CA().Fingerprint(), w.peer.CA().Fingerprint()),
		})
		if err != nil {
			t.Logf("%q: crypto/x509 does not even parse it: %v", host, err)
			continue
		}
		if _, err := ParseCACert(own.Raw); err == nil {
			t.Errorf("a constraint of %q is accepted", host)
		}
	}
	// The mail constraint must be the host, not ".b.test", which is its
	// sub-domains only.
	dotted := extension(oidNameConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				addSubtree(b, tagDNS, "b.test")
				addSubtree(b, tagMail, ".b.test")
				addSubtree(b, tagURI, "b.test")
			})
		})
	})
	w.refuseAuthority(t, replace(oidNameConstraints, dotted))
}

// 10. Go does not do constraints of distinguished names: as a critical
// extension they are unhandled. They are not of any profile.
func TestPitfall10DirectoryNameConstraints(t *testing.T) {
	w := newWorld(t)
	withDirectory := extension(oidNameConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				addSubtree(b, tagDNS, "b.test")
				addSubtree(b, tagMail, "b.test")
				addSubtree(b, tagURI, "b.test")
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.Tag(4).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(emptySubject()) })
				})
			})
		})
	})
	_, cross := w.refuseAuthority(t, replace(oidNameConstraints, withDirectory))
	if len(cross.UnhandledCriticalExtensions) == 0 {
		t.Log("crypto/x509 handles constraints of distinguished names now")
	}
	if err := w.stockAccepts(w.bobCert.cert, cross); err == nil {
		t.Log("crypto/x509 accepts a chain with such a constraint now")
	}
}

// 12. Go 1.26.0 applied the last of several mailbox constraints only
// (CVE-2026-27137), and could panic over a name that is empty (CVE-2026-27138).
func TestPitfall12OldGo(t *testing.T) {
	if v := runtime.Version(); version.IsValid(v) && version.Compare(v, "go1.26.1") < 0 {
		t.Errorf("%s: want go1.26.1 or newer", v)
	}
	w := newWorld(t)
	mailboxes := extension(oidNameConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				addSubtree(b, tagMail, "bob@b.test")
				addSubtree(b, tagMail, "eve@b.test")
				addSubtree(b, tagDNS, "")
			})
		})
	})
	_, cross := w.refuseAuthority(t, replace(oidNameConstraints, mailboxes))
	if err := w.stockAccepts(w.bobCert.cert, cross); err == nil {
		t.Error("crypto/x509 applies the last mailbox constraint only")
	}
	for _, name := range []string{"", ".", "*"} {
		leaf, err := issue(w.rand, testNow, w.peer.domain.domain, order{
			subject: emptySubject(), key: w.bob.Public().identity, parent: w.peer.ca.cert, notAfter: testNow.Add(time.Hour),
			extensions: w.leafWith(altNames(true, altName(tagDNS, name))),
		})
		if err != nil {
			continue
		}
		if err := w.stockAccepts(leaf, cross); err == nil {
			t.Errorf("crypto/x509 accepts the host name %q", name)
		}
		w.refuseEverywhere(t, leaf, "domain ")
	}
}
