package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Each test here is about one way in which X.509 verifiers are known to let
// through what they should not. Where crypto/x509 alone accepts the bad
// certificate, the test shows that first, so that one sees what the checks of
// this package are for. A verifier that becomes stricter is only logged.

// tempted logs what crypto/x509 alone says.
func (w *world) tempted(t *testing.T, what string, leaf *x509.Certificate) {
	t.Helper()
	if err := w.stockAccepts(leaf, w.cross.cert); err != nil {
		t.Logf("%s: crypto/x509 refuses it too: %v", what, err)
	} else {
		t.Logf("%s: crypto/x509 alone accepts it", what)
	}
}

func TestForgingByTheProfileItselfIsAccepted(t *testing.T) {
	w := newWorld(t)
	leaf := w.forgeLeaf(t, emptySubject(), userProfile(mustName(t, "bob@b.test"), w.peer.CA().Fingerprint())...)
	must[UserCert](t)(w.home.VerifyPeerUser(w.cross, leaf.Raw, testNow))
	must[UserCert](t)(w.peer.CA().VerifyUser(leaf.Raw, testNow))
}

// Who certified a leaf is what it says itself, and that is compared too: so
// UserCert.Issuer and LinkIssuer cannot be led astray.
func TestLeafThatNamesAnotherKey(t *testing.T) {
	w := newWorld(t)
	user := w.forgeLeaf(t, emptySubject(), userProfile(mustName(t, "bob@b.test"), w.home.CA().Fingerprint())...)
	w.refuseEverywhere(t, user, "by another key")
	node := w.forgeLeaf(t, emptySubject(), linkProfile(w.peer.Domain(), w.home.CA().Fingerprint())...)
	w.refuseEverywhere(t, node, "by another key")
}

// 1. A mail constraint of b.test lets bob@sub.b.test through in Go
// (golang/go#81280, its twin for URIs #81285).
func TestPitfall01SubDomainOfMailHost(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"bob@sub.b.test", "bob@xb.test", "bob@a.test"} {
		profile := userProfile(mustName(t, text), w.peer.CA().Fingerprint())
		leaf := w.forgeLeaf(t, emptySubject(), profile...)
		w.tempted(t, text, leaf)
		w.refuseEverywhere(t, leaf, "b.test may not sign for "+text[4:])
	}
	// The same with the issuer's name dropped from the judgement: the domain
	// is compared once more.
	if err := mayName(w.peer.Domain(), mustDomain(t, "sub.b.test")); err == nil ||
		!strings.Contains(err.Error(), "b.test may not sign for sub.b.test") {
		t.Errorf("got %v", err)
	}
	// And an authority that calls itself after its sub-domain gets no further.
	sub := mustDomain(t, "sub.b.test")
	parent := *w.peer.ca.cert
	parent.RawSubject = authoritySubject(sub, roleDomain)
	leaf := must[*x509.Certificate](t)(issue(w.rand, testNow, w.peer.domain.domain, order{
		subject: emptySubject(), key: w.bob.Public().identity, parent: &parent, notAfter: testNow.Add(time.Hour),
		extensions: userProfile(mustName(t, "bob@sub.b.test"), w.peer.CA().Fingerprint()),
	}))
	w.refuseEverywhere(t, leaf, "b.test may not sign for sub.b.test")
	// Nodes: sub.b.test is no host of b.test.
	node := w.forgeLeaf(t, emptySubject(), linkProfile(sub, w.peer.CA().Fingerprint())...)
	w.refuseEverywhere(t, node, "b.test may not sign for sub.b.test")
}

// otherName is an SmtpUTF8Mailbox (RFC 8398) of bob@a.test, which constraints
// of mail do not cover and crypto/x509 does not know.
func otherName(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier([]int{1, 3, 6, 1, 5, 5, 7, 8, 9})
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			addText(b, cbasn1.UTF8String, "bob@a.test")
		})
	})
}

func altNames(critical bool, add ...func(*cryptobyte.Builder)) pkix.Extension {
	return extension(oidSubjectAltName, critical, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, a := range add {
				a(b)
			}
		})
	})
}

func altName(tag cbasn1.Tag, text string) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) { addText(b, tag, text) }
}

func commonName(text string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAttribute(b, oidCommonName, cbasn1.UTF8String, text)
	})
	return b.BytesOrPanic()
}

// 2. What no constraint covers is free: names of other types, the common name,
// or no name at all.
func TestPitfall02NamesThatNoConstraintCovers(t *testing.T) {
	w := newWorld(t)
	mail, dns := altName(tagMail, "bob@b.test"), altName(tagDNS, "b.test")
	extra := pkix.Extension{Id: []int{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{5, 0}}
	good := userProfile(mustName(t, "bob@b.test"), w.peer.CA().Fingerprint())
	for _, c := range []struct {
		what       string
		subject    []byte
		extensions []pkix.Extension
		reason     string
	}{
		{"no name, CN=bob@a.test", commonName("bob@a.test"), w.leafWith(), "want one subjectAltName, found 0"},
		{"no name, CN=a.test", commonName("a.test"), w.leafWith(), "want one subjectAltName, found 0"},
		{"an otherName", emptySubject(), w.leafWith(altNames(true, otherName)), "of type 0xa0"},
		{"a mailbox and an otherName", emptySubject(), w.leafWith(altNames(true, mail, otherName)), "more than one name"},
		{"an otherName and a mailbox", emptySubject(), w.leafWith(altNames(true, otherName, mail)), "more than one name"},
		{"two mailboxes", emptySubject(), w.leafWith(altNames(true, mail, mail)), "more than one name"},
		{"a mailbox and a host", emptySubject(), w.leafWith(altNames(true, mail, dns)), "more than one name"},
		{"an IP address", emptySubject(), w.leafWith(altNames(true, altName(tagIP, "\x7f\x00\x00\x01"))), "of type 0x87"},
		{"a good mailbox, CN=bob@a.test", commonName("bob@a.test"), good, "its subject is not the one"},
		{"a name that is not critical", emptySubject(), w.leafWith(altNames(false, mail)), "its extensions are not those"},
		{"one more extension", emptySubject(), append(good[:4:4], extra), "its extensions are not those"},
	} {
		leaf := w.forgeLeaf(t, c.subject, c.extensions...)
		w.tempted(t, c.what, leaf)
		t.Run(c.what, func(t *testing.T) { w.refuseEverywhere(t, leaf, c.reason) })
	}
	t.Run("constraints of DNS only", func(t *testing.T) {
		dnsOnly := extension(oidNameConstraints, true, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					addSubtree(b, tagDNS, "b.test")
				})
			})
		})
		w.refuseAuthority(t, replace(oidNameConstraints, dnsOnly))
	})
}

// replace returns a change of a profile: one extension for another.
func replace(id []int, by pkix.Extension) func([]pkix.Extension) []pkix.Extension {
	return func(profile []pkix.Extension) []pkix.Extension {
		for i := range profile {
			if profile[i].Id.Equal(id) {
				profile[i] = by
			}
		}
		return profile
	}
}

// refuseAuthority makes a domain certificate and a cross-certificate whose
// profile was changed, and wants both refused.
func (w *world) refuseAuthority(t *testing.T, change func([]pkix.Extension) []pkix.Extension) (own, cross *x509.Certificate) {
	t.Helper()
	key := w.peer.domain.public()
	o := order{subject: authoritySubject(w.peer.Domain(), roleDomain), key: key.domain, notAfter: testNow.Add(time.Hour)}
	o.extensions = change(caProfile(w.peer.Domain(), key.Fingerprint(), key.Fingerprint()))
	own = must[*x509.Certificate](t)(issue(w.rand, testNow, w.peer.domain.domain, o))
	if _, err := ParseCACert(own.Raw); err == nil {
		t.Error("ParseCACert accepts it")
	}
	o.parent = w.home.root
	o.extensions = change(caProfile(w.peer.Domain(), key.Fingerprint(), w.home.federation.fingerprint()))
	cross = must[*x509.Certificate](t)(issue(w.rand, testNow, w.home.federation.federation, o))
	if _, err := ParseCrossCert(cross.Raw); err == nil {
		t.Error("ParseCrossCert accepts it")
	}
	return own, cross
}

// 3. The constraints of a root hold for its whole chain: a self-constrained
// authority cannot introduce peers. So there are two, with different keys.
func TestPitfall03ConstrainedRootCannotIntroduce(t *testing.T) {
	w := newWorld(t)
	byOwnKey := must[*x509.Certificate](t)(issue(w.rand, testNow, w.home.domain.domain, order{
		subject: w.peer.ca.cert.RawSubject, key: w.peer.ca.key.domain, parent: w.home.ca.cert, notAfter: testNow.Add(time.Hour),
		extensions: caProfile(w.peer.Domain(), w.peer.CA().Fingerprint(), w.home.CA().Fingerprint()),
	}))
	roots := poolOf(w.home.ca.cert)
	_, err := w.bobCert.cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: poolOf(byOwnKey), CurrentTime: testNow, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		t.Error("crypto/x509 lets a constrained root introduce a peer: the second root is not needed any more")
	}
	if cross, err := ParseCrossCert(byOwnKey.Raw); err == nil {
		if _, err := w.home.VerifyPeerUser(cross, w.bobCert.DER(), testNow); err == nil {
			t.Error("a cross-certificate by the domain key is accepted")
		}
	}
	must[UserCert](t)(w.home.VerifyPeerUser(w.cross, w.bobCert.DER(), testNow))
	if bytes.Equal(w.home.domain.domain.Seed(), w.home.federation.federation.Seed()) {
		t.Error("one key serves for both")
	}
	if len(w.home.root.PermittedDNSDomains) != 0 || w.home.root.MaxPathLen != 1 {
		t.Error("the federation root is not what it should be")
	}
}

// 4. One good chain wins: a peer's unconstrained root among the roots lets it
// sign for everybody, its constrained cross-certificate notwithstanding.
func TestPitfall04UnconstrainedPeerRoot(t *testing.T) {
	w := newWorld(t)
	key := w.peer.domain.public()
	free := must[*x509.Certificate](t)(issue(w.rand, testNow, w.peer.domain.domain, order{
		subject: w.peer.ca.cert.RawSubject, key: key.domain, notAfter: testNow.Add(time.Hour), extensions: rootProfile(key.Fingerprint()),
	}))
	if _, err := ParseCACert(free.Raw); err == nil {
		t.Error("an unconstrained authority is accepted as one of a domain")
	}
	leaf := w.forgeLeaf(t, emptySubject(), userProfile(mustName(t, "ann@a.test"), key.Fingerprint())...)
	roots := poolOf(w.home.root)
	roots.AddCert(free)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: poolOf(w.cross.cert), CurrentTime: testNow, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Errorf("this test shows nothing: %v", err)
	}
	w.refuseEverywhere(t, leaf, "b.test may not sign for a.test")
	// The pool itself vouches through the one cross-certificate only.
	other := must[CrossCert](t)(w.home.Countersign(w.rand, testNow, w.peer.CA()))
	_, err = w.bobCert.cert.Verify(x509.VerifyOptions{
		Roots: w.home.federationPool(w.cross), Intermediates: poolOf(other.cert), CurrentTime: testNow,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil || !strings.Contains(err.Error(), "through its cross-certificate only") {
		t.Errorf("another chain passes the pool: %v", err)
	}
	// A cross-certificate for one peer is none for another.
	third := must[*Authority](t)(NewAuthority(w.rand, mustDomain(t, "c.test"), testNow))
	wrong := must[CrossCert](t)(w.home.Countersign(w.rand, testNow, third.CA()))
	if _, err := w.home.VerifyPeerUser(wrong, w.bobCert.DER(), testNow); err == nil || !strings.Contains(err.Error(), "c.test may not sign for b.test") {
		t.Errorf("got %v", err)
	}
	// And one of another federation root is none at all.
	_, err = third.VerifyPeerUser(w.cross, w.bobCert.DER(), testNow)
	if err == nil || !strings.Contains(err.Error(), "not by this federation root") {
		t.Errorf("a stranger's cross-certificate: %v", err)
	}
}

// 5. VerifyOptions: no KeyUsages means servers only, no Roots means those of
// the system, no CurrentTime means the clock of the machine.
func TestPitfall05DefaultsOfVerify(t *testing.T) {
	w := newWorld(t)
	_, err := w.annCert.cert.Verify(x509.VerifyOptions{Roots: poolOf(w.home.ca.cert), CurrentTime: testNow})
	if err == nil {
		t.Error("this test shows nothing: crypto/x509 takes a user for a server")
	}
	must[UserCert](t)(w.home.CA().VerifyUser(w.annCert.DER(), testNow))

	calls := 0
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if s, ok := literal.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "VerifyOptions" {
				calls++
				for _, field := range []string{"Roots", "Intermediates", "CurrentTime", "KeyUsages"} {
					if !sets(literal, field) {
						t.Errorf("a VerifyOptions leaves %s to its default", field)
					}
				}
			}
			return true
		})
	}
	if calls == 0 {
		t.Error("no VerifyOptions found")
	}
	// Wrong purposes are refused.
	server := w.forgeLeaf(t, emptySubject(), keyUsage(usageSignature), extKeyUsage(oidServerAuth),
		subjectAltName(tagMail, "bob@b.test"), authorityKey(w.peer.CA().Fingerprint()))
	w.refuseEverywhere(t, server, "its extensions are not those")
}

// sources parses the package without its tests.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	names := must[[]string](t)(fs.Glob(os.DirFS("."), "*.go"))
	var files []*ast.File
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, must[*ast.File](t)(parser.ParseFile(token.NewFileSet(), name, nil, 0)))
		}
	}
	return files
}

func sets(literal *ast.CompositeLit, field string) bool {
	for _, element := range literal.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			if name, ok := kv.Key.(*ast.Ident); ok && name.Name == field {
				return true
			}
		}
	}
	return false
}

// 6. A path length of zero that is not written out means no limit: then the
// peer could have authorities below it.
func TestPitfall06PathLengthZero(t *testing.T) {
	w := newWorld(t)
	for _, cert := range []*x509.Certificate{w.home.ca.cert, w.cross.cert} {
		if cert.MaxPathLen != 0 || !cert.MaxPathLenZero {
			t.Errorf("path length %d", cert.MaxPathLen)
		}
	}
	unlimited := extension(oidBasicConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Boolean(true) })
	})
	w.refuseAuthority(t, replace(oidBasicConstraints, unlimited))
	w.refuseAuthority(t, replace(oidBasicConstraints, basicConstraints(1)))

	// A sub-authority of b.test, over bob's key, and a user under it.
	sub := must[*x509.Certificate](t)(issue(w.rand, testNow, w.peer.domain.domain, order{
		subject: w.peer.ca.cert.RawSubject, key: w.bob.Public().identity, parent: w.peer.ca.cert, notAfter: testNow.Add(time.Hour),
		extensions: caProfile(w.peer.Domain(), w.bob.Fingerprint(), w.peer.CA().Fingerprint()),
	}))
	leaf := must[*x509.Certificate](t)(issue(w.rand, testNow, w.bob.identity, order{
		subject: emptySubject(), key: w.ann.Public().identity, parent: sub, notAfter: testNow.Add(time.Hour),
		extensions: userProfile(mustName(t, "bob@b.test"), w.bob.Fingerprint()),
	}))
	if err := w.stockAccepts(leaf, sub, w.cross.cert); err == nil {
		t.Error("crypto/x509 accepts a sub-authority")
	}
	w.refuseEverywhere(t, leaf, "by another key")
	if _, err := ParseCACert(sub.Raw); err == nil {
		t.Error("a sub-authority is accepted as one of a domain")
	}
	if _, err := w.peer.CA().VerifyUser(sub.Raw, testNow); err == nil {
		t.Error("an authority is accepted as a user")
	}
}

// 7. crypto/x509 gives up after 100 signatures: decoys with the name and key
// identifier of the right authority hide it. So nothing that the other side
// presents is ever put into a pool, and the cross-certificate is picked by key.
func TestPitfall07Decoys(t *testing.T) {
	w := newWorld(t)
	var presented []*x509.Certificate
	for range 150 {
		key := must[IdentityKey](t)(NewIdentityKey(w.rand))
		presented = append(presented, must[*x509.Certificate](t)(issue(w.rand, testNow, key.identity, order{
			subject: w.peer.ca.cert.RawSubject, key: key.Public().identity, notAfter: testNow.Add(time.Hour),
			extensions: caProfile(w.peer.Domain(), w.peer.CA().Fingerprint(), w.peer.CA().Fingerprint()),
		})))
	}
	if err := w.stockAccepts(w.bobCert.cert, append(presented, w.cross.cert)...); err == nil {
		t.Error("this test shows nothing: crypto/x509 is not misled by decoys")
	}
	// What a peer presents is a chain; only its first certificate is judged.
	chain := append([]*x509.Certificate{must[*x509.Certificate](t)(x509.ParseCertificate(w.linkCert.DER()))}, presented...)
	if domain, err := w.home.VerifyPeer(w.cross, chain[0], testNow); err != nil || domain != w.peer.Domain() {
		t.Errorf("the true peer is refused: %v", err)
	}
	// b.test has changed its key: two cross-certificates of one name. The
	// leaf says by which key it is certified, and that one is picked.
	renewed := must[*Authority](t)(NewAuthority(w.rand, w.peer.Domain(), testNow))
	crosses := map[Fingerprint]CrossCert{w.cross.Fingerprint(): w.cross}
	newer := must[CrossCert](t)(w.home.Countersign(w.rand, testNow, renewed.CA()))
	crosses[newer.Fingerprint()] = newer
	link := must[LinkCert](t)(renewed.SignLink(w.rand, testNow, w.link.Public(), LinkLifetime))
	_, issuer, err := LinkIssuer(link.cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.home.VerifyPeer(crosses[issuer], link.cert, testNow); err != nil {
		t.Errorf("picked by key: %v", err)
	}
	if _, err := w.home.VerifyPeer(w.cross, link.cert, testNow); err == nil {
		t.Error("the old cross-certificate vouches for the new key")
	}
}

// Of bob's login: whoever presents 150 certificates of b.test's name and key identifier, in
// whatever order, neither stops it nor passes them off as countersigned.
func TestDecoysDoNotStopALogin(t *testing.T) {
	w := newWorld(t)
	known := map[Fingerprint]CrossCert{w.cross.Fingerprint(): w.cross}
	for range 150 {
		key := must[IdentityKey](t)(NewIdentityKey(w.rand))
		decoy := must[*x509.Certificate](t)(issue(w.rand, testNow, key.identity, order{
			subject: w.peer.ca.cert.RawSubject, key: key.Public().identity, parent: w.home.root, notAfter: testNow.Add(time.Hour),
			extensions: caProfile(w.peer.Domain(), w.peer.CA().Fingerprint(), w.home.federation.fingerprint()),
		}))
		if _, err := ParseCrossCert(decoy.Raw); err == nil {
			t.Fatal("a key identifier of another key is taken")
		}
		// With its own key identifier it is one of another key.
		other := must[*x509.Certificate](t)(issue(w.rand, testNow, key.identity, order{
			subject: w.peer.ca.cert.RawSubject, key: key.Public().identity, parent: w.home.root, notAfter: testNow.Add(time.Hour),
			extensions: caProfile(w.peer.Domain(), key.Fingerprint(), w.home.federation.fingerprint()),
		}))
		cross := must[CrossCert](t)(ParseCrossCert(other.Raw))
		known[cross.Fingerprint()] = cross
	}
	name, key, issuer, err := UserIssuer(w.bobCert.DER())
	if err != nil || name != w.bobCert.Name() || key != w.bob.Public() {
		t.Fatal(name, err)
	}
	user, err := w.home.VerifyPeerUser(known[issuer], w.bobCert.DER(), testNow)
	if err != nil || len(known) != 151 {
		t.Fatalf("among %d: %v", len(known), err)
	}
	exporter := [ExporterSize]byte{1}
	if !user.VerifyLogin(exporter, w.bob.SignLogin(exporter, user.Name())) {
		t.Error("his login is refused")
	}
	for fingerprint, cross := range known {
		if _, err := w.home.VerifyPeerUser(cross, w.bobCert.DER(), testNow); (err == nil) != (fingerprint == issuer) {
			t.Errorf("by a decoy: %v", err)
		}
	}
}
