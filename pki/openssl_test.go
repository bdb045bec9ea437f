package pki

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// needOpenSSL skips where the command is missing, and fails where the
// environment says that it must not be: P3DO_REQUIRE="openssl".
func needOpenSSL(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err == nil {
		return path
	}
	required := strings.FieldsFunc(os.Getenv("P3DO_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, "openssl") {
		t.Fatal("P3DO_REQUIRE lists openssl, and there is no openssl command")
	}
	t.Skip("there is no openssl command to judge a second time")
	return ""
}

// A bench is OpenSSL as a judge, with a folder of PEM files.
type bench struct {
	command string
	dir     string
}

func (b bench) pem(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify returns what "openssl verify" says, and whether it said OK.
func (b bench) verify(t *testing.T, root, between, leaf *x509.Certificate, args ...string) (string, bool) {
	t.Helper()
	line := []string{
		"verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-attime", strconv.FormatInt(testNow.Unix(), 10),
		"-CAfile", b.pem(t, "root.pem", "CERTIFICATE", root.Raw),
	}
	if between != nil {
		line = append(line, "-untrusted", b.pem(t, "between.pem", "CERTIFICATE", between.Raw))
	}
	line = append(append(line, args...), b.pem(t, "leaf.pem", "CERTIFICATE", leaf.Raw))
	out, err := exec.Command(b.command, line...).CombinedOutput()
	return string(out), err == nil
}

// OpenSSL agrees about every certificate that this package makes, and refuses
// with it what a hostile authority makes.
func TestOpenSSLAgrees(t *testing.T) {
	b := bench{needOpenSSL(t), t.TempDir()}
	w := newWorld(t)
	signer := w.peer.CA().Fingerprint()
	mail := func(text string) *x509.Certificate {
		return w.forgeLeaf(t, emptySubject(), userProfile(mustName(t, text), signer)...)
	}
	with := func(add ...func(*cryptobyte.Builder)) *x509.Certificate {
		return w.forgeLeaf(t, emptySubject(), w.leafWith(altNames(true, add...))...)
	}
	host := func(text string) *x509.Certificate {
		return w.forgeLeaf(t, emptySubject(), linkProfile(mustDomain(t, text), signer)...)
	}
	client, server := []string{"-purpose", "sslclient"}, []string{"-purpose", "sslserver"}
	for _, c := range []struct {
		what          string
		root, between *x509.Certificate
		leaf          *x509.Certificate
		args          []string
		good          bool
	}{
		{"a domain's certificate", w.home.ca.cert, nil, w.home.ca.cert, nil, true},
		{"the federation root", w.home.root, nil, w.home.root, nil, true},
		{"a cross-certificate", w.home.root, nil, w.cross.cert, nil, true},
		{"a user at home", w.home.ca.cert, nil, w.annCert.cert, append(client, "-verify_email", "ann@a.test"), true},
		{"a user away", w.home.root, w.cross.cert, w.bobCert.cert, append(client, "-verify_email", "bob@b.test"), true},
		{"a node as server, pinned", w.peer.ca.cert, nil, w.linkCert.cert, append(server, "-verify_hostname", "b.test"), true},
		{"a node as server, peer", w.home.root, w.cross.cert, w.linkCert.cert, server, true},
		{"a node as client, peer", w.home.root, w.cross.cert, w.linkCert.cert, client, true},

		{"a user as server", w.home.root, w.cross.cert, w.bobCert.cert, server, false},
		{"without the cross-certificate", w.home.root, nil, w.bobCert.cert, client, false},
		{"the wrong authority", w.peer.ca.cert, nil, w.annCert.cert, client, false},
		{"ann@a.test by b.test", w.home.root, w.cross.cert, mail("ann@a.test"), client, false},
		{"bob@sub.b.test by b.test", w.home.root, w.cross.cert, mail("bob@sub.b.test"), client, false},
		{"a.test by b.test", w.home.root, w.cross.cert, host("a.test"), client, false},
		{"an IP address", w.home.root, w.cross.cert, with(altName(tagIP, "\x7f\x00\x00\x01")), client, false},
		{"a URI of a.test", w.home.root, w.cross.cert, with(altName(tagURI, "p3do://a.test/bob")), client, false},
		{"a URI with userinfo", w.home.root, w.cross.cert, with(altName(tagURI, "p3do://b.test@a.test")), client, false},
		{"ann@a.test by b.test's own chain", w.peer.ca.cert, nil, mail("ann@a.test"), client, false},
	} {
		out, ok := b.verify(t, c.root, c.between, c.leaf, c.args...)
		if ok != c.good {
			t.Errorf("%s: OpenSSL says %s", c.what, out)
		}
	}
}

// A sub-authority of a peer is refused by OpenSSL for its path length, unless
// it bears the name of its issuer: self-issued certificates are not counted
// (RFC 5280, section 6.1.4). Here neither is, for chains have a fixed length.
func TestOpenSSLOnSubAuthorities(t *testing.T) {
	b := bench{needOpenSSL(t), t.TempDir()}
	w := newWorld(t)
	for subject, good := range map[string]bool{
		string(authoritySubject(w.peer.Domain(), "sub")): false,
		string(w.peer.ca.cert.RawSubject):                true,
	} {
		sub := w.forgeLeaf(t, []byte(subject), caProfile(w.peer.Domain(), w.bob.Fingerprint(), w.peer.CA().Fingerprint())...)
		leaf := must[*x509.Certificate](t)(issue(w.rand, testNow, w.bob.identity, order{
			subject: emptySubject(), key: w.ann.Public().identity, parent: sub, notAfter: testNow.Add(time.Hour),
			extensions: userProfile(mustName(t, "bob@b.test"), w.bob.Fingerprint()),
		}))
		out, ok := b.verify(t, w.peer.ca.cert, sub, leaf)
		if ok != good || !good && !strings.Contains(out, "path length") {
			t.Errorf("OpenSSL says %s", out)
		}
		if _, err := w.peer.CA().VerifyUser(leaf.Raw, testNow); err == nil {
			t.Error("VerifyUser accepts a user of a sub-authority")
		}
	}
}

// OpenSSL accepts our request as a proof of possession, reads the name that is
// asked for, and we accept the one that OpenSSL is told to make.
func TestOpenSSLReadsRequests(t *testing.T) {
	b := bench{needOpenSSL(t), t.TempDir()}
	w := newWorld(t)
	request := must[UserRequest](t)(NewUserRequest(w.rand, w.ann, mustName(t, "ann@a.test")))
	path := b.pem(t, "request.pem", "CERTIFICATE REQUEST", request.DER())
	out, err := exec.Command(b.command, "req", "-verify", "-noout", "-text", "-in", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "email:ann@a.test") || strings.Contains(string(out), "verify failure") {
		t.Errorf("%v\n%s", err, out)
	}
	key := filepath.Join(b.dir, "key.pem")
	made := filepath.Join(b.dir, "made.der")
	for _, line := range [][]string{
		{"genpkey", "-algorithm", "ed25519", "-out", key},
		{"req", "-new", "-key", key, "-subj", "/", "-addext", "subjectAltName=critical,email:eve@a.test", "-outform", "DER", "-out", made},
	} {
		if out, err := exec.Command(b.command, line...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", line, err, out)
		}
	}
	parsed, err := ParseUserRequest(must[[]byte](t)(os.ReadFile(made)))
	if err != nil || parsed.Name().String() != "eve@a.test" {
		t.Errorf("a request by OpenSSL: %v, %v", parsed.Name(), err)
	}
}
