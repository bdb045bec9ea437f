package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// No key type converts into another, nor the public halves: so a function that
// takes one cannot be handed another, not even on purpose.
func TestKeyRolesDoNotConvert(t *testing.T) {
	types := []any{
		IdentityKey{}, LinkKey{}, domainKey{}, federationKey{}, RevocationKey{}, OfflineRoot{}, Successor{}, DeviceKey{}, LogKey{}, WitnessKey{},
		IdentityPublic{}, LinkPublic{}, LogPublic{}, WitnessPublic{}, DomainPublic{}, RevocationPublic{}, RootPublic{}, DevicePublic{},
	}
	for _, from := range types {
		for _, to := range types {
			f, g := reflect.TypeOf(from), reflect.TypeOf(to)
			if f != g && f.ConvertibleTo(g) {
				t.Errorf("%v converts to %v", f, g)
			}
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	w := newWorld(t)
	secrets := [][]byte{
		w.ann.Seed(), w.link.Seed(), w.home.domain.domain.Seed(), w.home.federation.federation.Seed(),
		w.revoker.Seed(), w.offline.Seed(), w.successor.Seed(), w.device.Seed(),
		w.log.Seed(), w.witness.Seed(),
	}
	values := []any{
		w.ann, &w.ann, w.link, w.link.Signer(), w.home, *w.home, struct{ K IdentityKey }{w.ann},
		w.home.domain, w.home.federation, w.revoker, &w.revoker, w.offline, &w.offline, w.successor, &w.successor, w.device, &w.device,
		struct {
			R RevocationKey
			O OfflineRoot
			S Successor
		}{w.revoker, w.offline, w.successor},
		w.log, &w.log, w.log.Signer(), w.witness, &w.witness, w.witness.Signer(),
		map[string]any{"k": w.revoker}, []any{w.offline, w.successor},
	}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("key", "k", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "k", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		if b, err := xml.Marshal(v); err == nil {
			out.Write(b)
		}
		var stream bytes.Buffer
		if err := gob.NewEncoder(&stream).Encode(v); err == nil {
			out.Write(stream.Bytes())
		}
	}
	text := out.String()
	for _, secret := range secrets {
		for _, form := range []string{
			string(secret[:8]), hex.EncodeToString(secret[:8]), strings.ToUpper(hex.EncodeToString(secret[:8])),
			strings.Trim(fmt.Sprint(secret[:8]), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(secret[:8]), "[]"), " ", ", "),
		} {
			if strings.Contains(text, form) {
				t.Fatalf("a secret shows as %q", form)
			}
		}
	}
	if !strings.Contains(text, "secret") {
		t.Fatal("nothing was written at all")
	}
}

// Every type that holds a private key embeds what hides it, cannot be compared with ==, and
// has no field that others can reach: a new one too, for all are found by what they hold.
func TestSecretTypesAreSealed(t *testing.T) {
	private := reflect.TypeFor[ed25519.PrivateKey]()
	found := 0
	for _, v := range []any{
		IdentityKey{}, LinkKey{}, linkSigner{}, domainKey{}, federationKey{}, RevocationKey{}, OfflineRoot{}, Successor{}, DeviceKey{}, Authority{},
		LogKey{}, WitnessKey{}, noteSigner{},
	} {
		secret := reflect.TypeOf(v)
		if secret.Comparable() {
			t.Errorf("%v can be compared with ==, in a time that depends on the secret", secret)
		}
		if first := secret.Field(0); first.Type != reflect.TypeFor[redacted]() || !first.Anonymous {
			t.Errorf("%v does not embed redacted", secret)
		}
		for i := range secret.NumField() {
			if secret.Field(i).IsExported() {
				t.Errorf("%v shows its field %s", secret, secret.Field(i).Name)
			}
			if secret.Field(i).Type == private {
				found++
			}
		}
	}
	if declared := privateFields(t); declared != found {
		t.Errorf("%d struct fields of this package hold a private key, and %d are tested here", declared, found)
	}
}

// privateFields counts the fields of type ed25519.PrivateKey in the declared types of this
// package, but for claim, which lives for one call.
func privateFields(t *testing.T) (count int) {
	t.Helper()
	files := must[[]string](t)(filepath.Glob("*.go"))
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file := must[*ast.File](t)(parser.ParseFile(token.NewFileSet(), name, nil, 0))
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name == "claim" {
				return !ok
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					if types.ExprString(field.Type) == "ed25519.PrivateKey" {
						count += len(field.Names)
					}
				}
			}
			return false
		})
	}
	return count
}

func TestKeysFollowFromRand(t *testing.T) {
	one := must[IdentityKey](t)(NewIdentityKey(testRand(9)))
	two := must[IdentityKey](t)(NewIdentityKey(testRand(9)))
	if one.Public() != two.Public() {
		t.Fatal("the same randomness made two keys")
	}
	back := must[IdentityKey](t)(ParseIdentityKey(one.Seed()))
	if back.Public() != one.Public() {
		t.Fatal("a stored key came back as another")
	}
	if _, err := NewIdentityKey(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Fatal("31 bytes of randomness made a key")
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := ParseIdentityKey(make([]byte, n)); err == nil {
			t.Errorf("a seed of %d bytes was accepted", n)
		}
		if _, err := ParseLinkKey(make([]byte, n)); err == nil {
			t.Errorf("a seed of %d bytes was accepted", n)
		}
		_, err1 := ParseLogKey(make([]byte, n))
		_, err2 := ParseWitnessKey(make([]byte, n))
		if err1 == nil || err2 == nil {
			t.Errorf("a seed of %d bytes was accepted for notes", n)
		}
	}
}

// The keys that are kept away from where they will be needed come back as they were.
func TestKeysKeptElsewhere(t *testing.T) {
	w := newWorld(t)
	revoker := must[RevocationKey](t)(ParseRevocationKey(w.revoker.Seed()))
	offline := must[OfflineRoot](t)(ParseOfflineRoot(w.offline.Seed()))
	successor := must[Successor](t)(ParseSuccessor(w.successor.Seed()))
	if revoker.Public() != w.revoker.Public() || revoker.Public().Fingerprint() != w.revoker.Public().Fingerprint() ||
		offline.Public() != w.offline.Public() || offline.Fingerprint() != w.offline.Fingerprint() ||
		successor.Fingerprint() != w.successor.Fingerprint() {
		t.Error("a stored key came back as another")
	}
	public := must[RevocationPublic](t)(ParseRevocationPublic(w.revoker.Public().Bytes()))
	root := must[RootPublic](t)(ParseRootPublic(w.offline.Public().Bytes()))
	if public != w.revoker.Public() || root != w.offline.Public() {
		t.Error("a public key came back as another")
	}
	for _, n := range []int{0, 31, 33, 64} {
		b := make([]byte, n)
		_, err1 := ParseRevocationKey(b)
		_, err2 := ParseOfflineRoot(b)
		_, err3 := ParseSuccessor(b)
		if err1 == nil || err2 == nil || err3 == nil {
			t.Errorf("a seed of %d bytes was accepted", n)
		}
	}
	short, small := bytes.NewReader(make([]byte, 31)), make([]byte, 32)
	_, err1 := NewRevocationKey(short)
	_, err2 := NewOfflineRoot(short)
	_, err3 := NewSuccessor(short)
	_, err4 := ParseRevocationPublic(small)
	_, err5 := ParseRootPublic(small)
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if err == nil {
			t.Errorf("%d: accepted", i+1)
		}
	}
}

func TestFingerprintIsOfSubjectPublicKeyInfo(t *testing.T) {
	key := must[IdentityKey](t)(NewIdentityKey(testRand(9)))
	public := key.Public()
	spki := must[[]byte](t)(x509.MarshalPKIXPublicKey(ed25519.PublicKey(public.Bytes())))
	if key.Fingerprint() != sha256.Sum256(spki) {
		t.Fatal("not the SHA-256 of the SubjectPublicKeyInfo")
	}
}

// Under a key of small order one signature fits one message in eight, whoever
// makes it: crypto/ed25519 accepts such keys, so they are refused at the border.
func TestSmallOrderKeysAreRefused(t *testing.T) {
	signature := make([]byte, 64)
	signature[0] = 1 // R is the neutral element, S is 0
	for _, y := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			b := must[[]byte](t)(hex.DecodeString(y))
			b[31] |= sign
			if _, err := ParseIdentityPublic(b); err == nil {
				t.Errorf("%x was accepted", b)
			}
			forged := 0
			for i := range 200 {
				if ed25519.Verify(b, fmt.Append(nil, i), signature) {
					forged++
				}
			}
			if forged == 0 && sign == 0 {
				t.Errorf("%x is not of small order: this table is wrong", b)
			}
		}
	}
	for _, n := range []int{0, 31, 33} {
		_, err1 := ParseLinkPublic(make([]byte, n))
		_, err2 := ParseLogPublic(make([]byte, n))
		_, err3 := ParseWitnessPublic(make([]byte, n))
		if err1 == nil || err2 == nil || err3 == nil {
			t.Errorf("%d bytes were accepted", n)
		}
	}
}

func TestStatements(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		message := rapid.SliceOf(rapid.Byte()).Draw(rt, "message")
		label := Label(rapid.StringMatching(`[a-z0-9 .-]{1,64}`).Draw(rt, "label"))
		signature := w.ann.Sign(label, message)
		public := w.ann.Public()
		if !public.Verify(label, message, signature) {
			rt.Fatal("a good signature is refused")
		}
		if !ed25519.Verify(public.Bytes(), append([]byte("p3do "+string(label)+"\x00"), message...), signature) {
			rt.Fatal("the signed bytes are not those of the spec")
		}
		other := label[1:] + "x"
		if other == label {
			other = "y"
		}
		if public.Verify(other, message, signature) || w.bob.Public().Verify(label, message, signature) ||
			w.home.CA().Key().Verify(label, message, signature) || public.Verify(label, append(message, 0), signature) {
			rt.Fatal("a signature fits another label, key or message")
		}
	})
}

func TestLabels(t *testing.T) {
	w := newWorld(t)
	for _, label := range []Label{"", "a\x00b", "A", "a_b", "ü", Label(strings.Repeat("a", 65))} {
		if w.ann.Sign(label, nil) != nil || w.home.Sign(label, nil) != nil {
			t.Errorf("label %q was signed", label)
		}
		// What somebody else would sign under it does not verify either.
		signature := ed25519.Sign(w.ann.identity, statement(label, nil))
		if w.ann.Public().Verify(label, nil, signature) {
			t.Errorf("label %q verifies", label)
		}
	}
	if (IdentityPublic{}).Verify("x", nil, make([]byte, 64)) || (DomainPublic{}).Verify("x", nil, make([]byte, 64)) {
		t.Error("the zero key verifies something")
	}
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	exporter := [ExporterSize]byte{1, 2, 3}
	proof := w.ann.SignLogin(exporter, w.annCert.Name())
	if !w.annCert.VerifyLogin(exporter, proof) {
		t.Fatal("a good login is refused")
	}
	public := w.ann.Public()
	switch {
	case w.annCert.VerifyLogin([ExporterSize]byte{1, 2, 4}, proof):
		t.Error("a login is good on another connection")
	case public.VerifyLogin(exporter, mustName(t, "eve@a.test"), proof):
		t.Error("a login is good for another name")
	case w.bobCert.VerifyLogin(exporter, proof):
		t.Error("a login is good by another key")
	case w.annCert.VerifyLogin(exporter, nil), (UserCert{}).VerifyLogin(exporter, proof):
		t.Error("no proof, or no certificate, is good for a login")
	case w.ann.SignLogin(exporter, Name{}) != nil:
		t.Error("a login for no name was signed")
	}
}
