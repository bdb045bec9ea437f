package node

import (
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// seedOf finds the key of an authority in its file, as a thief does.
func seedOf(t *testing.T, a *pki.Authority) pki.Successor {
	t.Helper()
	raw := a.Marshal()
	for i := range len(raw) - 31 {
		if s, err := pki.ParseSuccessor(raw[i : i+32]); err == nil && s.Fingerprint() == a.CA().Fingerprint() {
			return s
		}
	}
	t.Fatal("there is no seed in it")
	return pki.Successor{}
}

// Whoever has stolen an authority fills nobody's share of hand-overs: what he makes up is
// refused, or gives way to what counts.
func TestThiefFillsNoShare(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"].node
	own := m.authority("a.test")
	stolen := seedOf(t, own)
	root, err := pki.NewOfflineRoot(rand.Reader)
	must(t, err)
	_, s, err := stolen.SucceedByRoot(rand.Reader, time.Now(), pki.Commitment{Domain: a.domain, Key: pki.Fingerprint{9}}, pki.Fingerprint{}, root)
	must(t, err)
	_, err = b.accept(t.Context(), s.Statement().Marshal())
	wantErr(t, err, errUnknownDomain)
	other, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	_, s, err = other.Succeed(rand.Reader, time.Now(), own, pki.Fingerprint{})
	must(t, err)
	_, err = b.accept(t.Context(), s.Statement().Marshal())
	wantErr(t, err, errUnknownDomain) // it had committed to another
	for range maxOwnSuccessions {
		made, err := pki.NewAuthority(rand.Reader, a.domain, time.Now())
		must(t, err)
		_, s, err := stolen.Succeed(rand.Reader, time.Now(), made, pki.Fingerprint{})
		must(t, err)
		_, err = b.accept(t.Context(), s.Statement().Marshal())
		must(t, err)
	}
	for i := range 2 { // of what says two things both are kept: it has then committed to none
		_, s, err = a.kept.Next.Succeed(rand.Reader, time.Now(), own, pki.Fingerprint{byte(i + 1)})
		must(t, err)
		fresh, err := b.accept(t.Context(), s.Statement().Marshal())
		if must(t, err); !fresh {
			t.Error("it is not kept")
		}
	}
	p, _ := b.beliefs.pin(a.domain)
	if heirs := b.heirs(a.domain, p); len(heirs) != 1 || heirs[0].Next != heirs[0].Key {
		t.Errorf("the heirs are %v", heirs)
	}
	b.beliefs.handing.Lock() // one may be on its way
	defer b.beliefs.handing.Unlock()
	if held, known := len(m.held("b.test", pki.StatementSuccession)), len(b.beliefs.line(a.domain)); held != known {
		t.Errorf("%d are in the store, and %d are known", held, known)
	}
}

// After the offline root named who follows, the key before is nobody's: it makes no links, and
// ends no names. Also after a restart.
func TestThiefIsOut(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	ann := m.user("ann@a.test")
	stolen := m.authority("a.test")
	done, err := m.rotate("a.test", RoleCA, func(r *Rotation) { r.Stolen = true })
	must(t, err)
	m.followed("a.test", done.Is, "b.test")
	m.mutual("b.test", "a.test", done.Is)
	key, err := pki.NewLinkKey(rand.Reader)
	must(t, err)
	cert, err := stolen.SignLink(rand.Reader, time.Now(), key.Public(), pki.LinkLifetime)
	must(t, err)
	leaf, err := x509.ParseCertificate(cert.DER())
	must(t, err)
	ended, err := stolen.RevokeName(ann.cert, time.Now())
	must(t, err)
	for range 2 {
		if _, err := m.nodes["b.test"].node.peers.identify(leaf); err == nil {
			t.Error("the stolen key makes links")
		}
		for _, at := range []string{"a.test", "b.test"} {
			if fresh, err := m.nodes[at].node.accept(t.Context(), ended.Statement().Marshal()); err == nil || fresh {
				t.Errorf("the stolen key ends names at %s", at)
			}
		}
		m.linked("b.test", 1)
		must(t, m.nodes["b.test"].end())
		m.again("b.test")
	}
}
