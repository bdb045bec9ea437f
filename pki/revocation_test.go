package pki

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"
)

// revocations is one of each: of ann@a.test.
func (w *world) revocations(t testing.TB) map[By]Revocation {
	t.Helper()
	der := w.annCert.DER()
	return map[By]Revocation{
		ByIdentity:  must[Revocation](t)(w.ann.RevokeKey(der, testNow)),
		ByRevoker:   must[Revocation](t)(w.revoker.RevokeKey(der, w.ann.BindRevoker(w.revoker.Public()), testNow)),
		ByAuthority: must[Revocation](t)(w.home.RevokeName(der, testNow)),
		ByRoot:      must[Revocation](t)(w.offline.RevokeName(der, testNow)),
	}
}

func (w *world) known() Known { return Known{CA: w.home.CA(), Root: w.offline.Fingerprint()} }

func TestRevocationRoundTrip(t *testing.T) {
	w := newWorld(t)
	for by, r := range w.revocations(t) {
		back, err := ParseRevocation(r.Raw())
		if err != nil {
			t.Errorf("by %d: %v", by, err)
			continue
		}
		scope := KeyRevoked
		if by == ByAuthority || by == ByRoot {
			scope = NameRevoked
		}
		if back.Scope != scope || back.By != by || !back.Issued.Equal(testNow) || back.Name() != w.annCert.Name() ||
			back.Key() != w.ann.Public() || back.Domain() != w.home.Domain() || back.Issuer() != w.home.CA().Fingerprint() ||
			!bytes.Equal(back.Raw(), r.Raw()) || back.Signer() != r.Signer() || back.Ends() != r.Ends() {
			t.Errorf("by %d: came back as %+v", by, back)
		}
		if err := back.Check(w.known()); err != nil {
			t.Errorf("by %d: %v", by, err)
		}
	}
}

// Who revokes, a case for each signer, good and bad.
func TestWhoMayRevoke(t *testing.T) {
	w := newWorld(t)
	good := w.revocations(t)
	other := must[OfflineRoot](t)(NewOfflineRoot(w.rand))
	stranger := must[*Authority](t)(NewAuthority(w.rand, w.home.Domain(), testNow))
	heir, word, err := w.successor.Succeed(w.rand, testNow, w.home, Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	_, byRoot, err := w.successor.SucceedByRoot(w.rand, testNow, w.home.Commitment(), Fingerprint{}, w.offline)
	if err != nil {
		t.Fatal(err)
	}
	former := func(words ...SignedSuccession) Known { return NewKnown(heir.CA(), []CACert{w.home.CA()}, words) }
	forged := w.user(t, stranger, w.ann, "ann@a.test")
	for name, c := range map[string]struct {
		r    Revocation
		k    Known
		want string
	}{
		"by the key itself":                    {good[ByIdentity], w.known(), ""},
		"by the revocation key":                {good[ByRevoker], w.known(), ""},
		"by the authority":                     {good[ByAuthority], w.known(), ""},
		"by the root":                          {good[ByRoot], w.known(), ""},
		"a domain without a root":              {good[ByRoot], Known{CA: w.home.CA()}, "not its offline root"},
		"another root":                         {must[Revocation](t)(other.RevokeName(w.annCert.DER(), testNow)), w.known(), "not its offline root"},
		"a former root":                        {good[ByRoot], Known{CA: w.home.CA(), Root: other.Fingerprint(), FormerRoots: []Fingerprint{w.offline.Fingerprint()}}, ""},
		"the key, after the authority changed": {good[ByIdentity], Known{CA: heir.CA(), Former: []CACert{w.home.CA()}}, ""},
		"a former authority":                   {good[ByAuthority], former(word), ""},
		"one that the root put away":           {good[ByAuthority], former(word, byRoot), "not its authority's"},
		"one whose word is not known":          {good[ByAuthority], former(), "not its authority's"},
		"the key, certified by what was lost":  {good[ByIdentity], former(byRoot), ""},
		"the new authority, what was lost":     {must[Revocation](t)(heir.RevokeName(w.annCert.DER(), testNow)), former(byRoot), ""},
		"the new authority, an old certificate": {must[Revocation](t)(heir.RevokeName(w.annCert.DER(), testNow)),
			Known{CA: heir.CA(), Former: []CACert{w.home.CA()}}, ""},
		"an authority that has not handed over": {good[ByIdentity], Known{CA: heir.CA()}, "by another key"},
		"another authority of that domain":      {must[Revocation](t)(stranger.RevokeName(w.annCert.DER(), testNow)), w.known(), "not its authority's"},
		"a certificate by another of that domain": {must[Revocation](t)(w.ann.RevokeKey(forged.DER(), testNow)),
			w.known(), "by another key"},
		"judged as one of another domain": {good[ByIdentity], Known{CA: w.peer.CA()}, "by another key"},
		"nothing is known":                {good[ByIdentity], Known{}, "by another key"},
	} {
		err := c.r.Check(c.k)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := w.peer.RevokeName(w.annCert.DER(), testNow); err == nil || !strings.Contains(err.Error(), "b.test may not sign for a.test") {
		t.Errorf("b.test revokes a name of a.test: %v", err)
	}
}

// b.test signs what it must not, with all else right: it says so itself, or judges that do
// not know it are not misled.
func TestRevocationByAnotherDomain(t *testing.T) {
	w := newWorld(t)
	forged := w.forgeAnn(t, w.peer.CA().Fingerprint())
	r := revokeAs(t, w.peer, w.annCert.cert.Raw)
	mixed := Known{CA: w.home.CA(), Former: []CACert{w.peer.CA()}} // by whoever mixes them up
	for name, k := range map[string]Known{"as it is": w.known(), "b.test as a former authority": mixed} {
		if err := r.Check(k); err == nil || !strings.Contains(err.Error(), "not its authority's") {
			t.Errorf("a name of a.test ended by b.test, %s: %v", name, err)
		}
	}
	// The certificate is signed by b.test's key under a.test's name, and says so, or does not.
	for _, der := range [][]byte{forged, w.forgeAnn(t, w.home.CA().Fingerprint())} {
		own := must[Revocation](t)(w.ann.RevokeKey(der, testNow))
		for _, r := range []Revocation{revokeAs(t, w.peer, der), own} {
			for name, k := range map[string]Known{"known as a.test": w.known(), "known as b.test": {CA: w.peer.CA()}, "both": mixed} {
				if err := r.Check(k); err == nil {
					t.Errorf("by %d, %s: accepted", r.By, name)
				}
			}
		}
	}
}

// An identity key signs for no authority: it is refused before anybody looks for one.
func TestAnIdentityIsNoAuthority(t *testing.T) {
	w := newWorld(t)
	for _, by := range []By{ByAuthority, ByRoot} {
		r := Revocation{Scope: NameRevoked, By: by, Issued: testNow, cert: w.annCert, signer: w.ann.Public().identity}
		if _, err := ParseRevocation(sealStatement(w.ann.identity, LabelRevocation, r.body())); err == nil {
			t.Errorf("by %d: parsed", by)
		}
	}
}

// revokeAs signs without the check of RevokeName.
func revokeAs(t testing.TB, a *Authority, der []byte) Revocation {
	t.Helper()
	return must[Revocation](t)(revoke(a.domain.domain, der, Revocation{Scope: NameRevoked, By: ByAuthority, Issued: testNow}))
}

// forgeAnn is a certificate for ann@a.test, well made but for its signer, b.test; it says
// that it is by issuer.
func (w *world) forgeAnn(t testing.TB, issuer Fingerprint) []byte {
	t.Helper()
	o := order{
		subject: emptySubject(), key: w.ann.Public().identity, parent: w.home.ca.cert, notAfter: testNow.Add(time.Hour),
		extensions: userProfile(mustName(t, "ann@a.test"), issuer),
	}
	cert, err := issue(w.rand, testNow, w.peer.domain.domain, o)
	if err != nil {
		t.Fatal(err)
	}
	return cert.Raw
}

// A certificate that has ended, by an authority that has ended, is revoked all the same.
func TestAnExpiredCertificateIsRevoked(t *testing.T) {
	w := newWorld(t)
	late := testNow.Add(CALifetime + 24*time.Hour)
	if _, err := w.home.CA().VerifyUser(w.annCert.DER(), late); err == nil {
		t.Fatal("this test shows nothing: the certificate has not ended")
	}
	r := must[Revocation](t)(w.ann.RevokeKey(w.annCert.DER(), late))
	back := must[Revocation](t)(ParseRevocation(r.Raw()))
	if err := back.Check(w.known()); err != nil {
		t.Error(err)
	}
}

// A revocation key that the identity key has not bound ends nothing.
func TestBindings(t *testing.T) {
	w := newWorld(t)
	der := w.annCert.DER()
	binding := w.ann.BindRevoker(w.revoker.Public())
	if !w.ann.Public().VerifyRevoker(w.revoker.Public(), binding) {
		t.Fatal("a good binding is refused")
	}
	second := must[RevocationKey](t)(NewRevocationKey(w.rand))
	for name, c := range map[string]struct {
		key     RevocationKey
		binding []byte
	}{
		"by another identity key":   {w.revoker, w.bob.BindRevoker(w.revoker.Public())},
		"of another revocation key": {second, binding},
		"none":                      {w.revoker, nil},
		"too short":                 {w.revoker, binding[1:]},
		"under another label":       {w.revoker, w.ann.Sign("revocation key v2", w.revoker.Public().Bytes())},
		"by the revocation key":     {w.revoker, signStatement(w.revoker.revoker, LabelRevoker, w.revoker.Public().Bytes())},
	} {
		if _, err := c.key.RevokeKey(der, c.binding, testNow); err == nil {
			t.Errorf("%s: signed", name)
		}
		// Made all the same.
		r := Revocation{Scope: KeyRevoked, By: ByRevoker, Issued: testNow, cert: w.annCert, signer: c.key.Public().revoker, binding: c.binding}
		if _, err := ParseRevocation(sealStatement(c.key.revoker, LabelRevocation, r.body())); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	same := must[RevocationKey](t)(ParseRevocationKey(w.ann.Seed()))
	if _, err := same.RevokeKey(der, w.ann.BindRevoker(same.Public()), testNow); err == nil {
		t.Error("the identity key is its own revocation key")
	}
}

// Scope and signer must fit, and no key signs for an office that is not its own.
func TestRevocationRefuses(t *testing.T) {
	w := newWorld(t)
	base := Revocation{Issued: testNow, cert: w.annCert}
	keys := map[string]struct {
		key signer
		by  By
	}{
		"identity": {w.ann.identity, ByIdentity}, "revoker": {w.revoker.revoker, ByRevoker},
		"authority": {w.home.domain.domain, ByAuthority}, "root": {w.offline.offline, ByRoot}, "bob": {w.bob.identity, ByIdentity},
	}
	good := map[string]bool{"identity 1 1": true, "revoker 1 2": true, "authority 2 3": true, "root 2 4": true}
	for who, key := range keys {
		for scope := range Scope(4) {
			for by := range By(8) {
				r := base
				r.Scope, r.By, r.signer = scope, by, publicPoint(key.key)
				if by == ByRevoker {
					r.binding = w.ann.BindRevoker(RevocationPublic{r.signer})
				}
				back, err := ParseRevocation(sealStatement(key.key, LabelRevocation, r.body()))
				if err == nil {
					err = back.Check(w.known())
				}
				// Whom ann binds may be any key but hers.
				bound := scope == KeyRevoked && by == ByRevoker && who != "identity"
				if want := good[whoScopeBy(who, scope, by)] || bound; (err == nil) != want {
					t.Errorf("%s signs as %d for scope %d: %v", who, by, scope, err)
				}
			}
		}
	}
	for name, change := range map[string]func(*Revocation){
		"before 1970":  func(r *Revocation) { r.Issued = time.Unix(-1, 0) },
		"after 9999":   func(r *Revocation) { r.Issued = time.Unix(lastSecond+1, 0) },
		"no cert":      func(r *Revocation) { r.cert = UserCert{} },
		"zero signer":  func(r *Revocation) { r.signer = point{} },
		"small signer": func(r *Revocation) { r.signer = point{1} },
	} {
		r := base
		r.Scope, r.By, r.signer = KeyRevoked, ByIdentity, w.ann.Public().identity
		change(&r)
		if _, err := ParseRevocation(sealStatement(w.ann.identity, LabelRevocation, r.body())); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	if _, err := w.ann.RevokeKey(w.linkCert.DER(), testNow); err == nil {
		t.Error("a link certificate is revoked")
	}
	if _, err := (IdentityKey{}).RevokeKey(w.annCert.DER(), testNow); err == nil {
		t.Error("no key revokes")
	}
}

func TestRevocationLabels(t *testing.T) {
	w := newWorld(t)
	for by, r := range w.revocations(t) {
		for _, label := range []Label{LabelRevoker, LabelSuccession, LabelCard, "revocation v2"} {
			key := map[By]signer{
				ByIdentity: w.ann.identity, ByRevoker: w.revoker.revoker, ByAuthority: w.home.domain.domain, ByRoot: w.offline.offline,
			}[by]
			if _, err := ParseRevocation(sealStatement(key, label, r.body())); err == nil {
				t.Errorf("by %d under %q: accepted", by, label)
			}
		}
	}
}

func TestEveryBitOfARevocationCounts(t *testing.T) {
	w := newWorld(t)
	for _, r := range w.revocations(t) {
		judge := func(b []byte) error { _, err := ParseRevocation(b); return err }
		flipEach(t, r.Raw(), 1, judge)
		cutEach(t, r.Raw(), 1, judge)
	}
}

// A key revocation ends all certificates of the key, a name revocation those of the name.
func TestWhatARevocationEnds(t *testing.T) {
	w := newWorld(t)
	all := w.revocations(t)
	renewed := w.user(t, w.home, w.ann, "ann@a.test")
	moved := w.user(t, w.peer, w.ann, "ann@b.test")
	reused := w.user(t, w.home, w.bob, "ann@a.test")
	for name, c := range map[string]struct {
		cert      UserCert
		key, name bool
	}{
		"itself": {w.annCert, true, true}, "renewed": {renewed, true, true}, "the key elsewhere": {moved, true, false},
		"another key of that name": {reused, false, false}, "bob": {w.bobCert, false, false},
	} {
		if all[ByRevoker].Revokes(c.cert) != c.key || all[ByRoot].Revokes(c.cert) != c.name {
			t.Errorf("%s: by a key revocation %v, by a name revocation %v", name, !c.key, !c.name)
		}
	}
	if all[ByIdentity].Ends() != all[ByRevoker].Ends() || all[ByAuthority].Ends() != all[ByRoot].Ends() {
		t.Error("what ends the same is not known as the same")
	}
	later := must[Revocation](t)(w.ann.RevokeKey(moved.DER(), testNow.Add(time.Hour)))
	if later.Ends() != all[ByIdentity].Ends() || later.Ends() == all[ByRoot].Ends() {
		t.Error("a key is ended once, under whichever name")
	}
}

// The longest name of the domain with the most labels has a revocation, and that domain a
// succession.
func TestTheLongestDomainCanRevokeAndSucceed(t *testing.T) {
	w := newWorld(t)
	text := strings.Repeat("a.", 126) + "a"
	a := must[*Authority](t)(NewAuthority(w.rand, mustDomain(t, text), testNow))
	cert := w.user(t, a, w.ann, strings.Repeat("a", 64)+"@"+text)
	r := must[Revocation](t)(w.revoker.RevokeKey(cert.DER(), w.ann.BindRevoker(w.revoker.Public()), testNow))
	_, s, err := w.successor.Succeed(w.rand, testNow, a, Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a revocation of %d bytes, a succession of %d", len(r.Raw()), len(s.Raw()))
}

type signer = ed25519.PrivateKey

func whoScopeBy(who string, scope Scope, by By) string { return fmt.Sprint(who, " ", scope, " ", by) }
