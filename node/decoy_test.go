package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"sync"
	"testing"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// decoys is how many false authorities are shown; crypto/x509 gives up after 100 signatures.
const decoys = 150

// A decoyAuthority has the name and the key identifier of an authority, and another key.
type decoyAuthority struct {
	der []byte
	of  *pki.Authority // the same key with the key identifier that is right
}

func newDecoy(t *testing.T, home *pki.Authority, i int) decoyAuthority {
	t.Helper()
	seed := bytes.Repeat([]byte{byte(i), byte(i >> 8), 0xdc}, ed25519.SeedSize)[:ed25519.SeedSize]
	key := ed25519.NewKeyFromSeed(seed)
	like, err := x509.ParseCertificate(home.CA().DER())
	must(t, err)
	like.PublicKey = key.Public() // who signs has to be who is named
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	must(t, err)
	is, err := x509.ParseCertificate(der)
	must(t, err)
	if !bytes.Equal(is.SubjectKeyId, like.SubjectKeyId) || !bytes.Equal(is.RawSubject, like.RawSubject) {
		t.Fatal("this decoy is none")
	}
	return decoyAuthority{der, authorityOf(t, home.Domain(), seed)}
}

// While 150 decoys with the name and key identifier of a.test's authority are shown at c.test, each
// with a certificate for ann@a.test that it signed, ann logs in there, whichever path the evidence
// takes; and they do not.
func TestDecoysStopNoLogin(t *testing.T) {
	m, ann, home := visiting(t)
	a := home.Domain()
	for path, cut := range map[session.Path]Cut{
		session.PathCache:     {DNS: true, KeyServers: true},
		session.PathDNS:       {Directory: a, KeyServers: true},
		session.PathKeyServer: {Directory: a, DNS: true},
	} {
		t.Run("by "+string(path), func(t *testing.T) {
			must(t, m.nodes["c.test"].control.Cut(t.Context(), cut))
			over := showDecoys(t, ann, home)
			welcome, err := ann.visit("c.test", home)
			must(t, err)
			if welcome.Home.Path != path {
				t.Errorf("by %s", welcome.Home.Path)
			}
			over()
		})
	}
}

// showDecoys has as many come at a time as a turnstile lets through; over waits until all were
// refused.
func showDecoys(t *testing.T, ann *user, home *pki.Authority) (over func()) {
	t.Helper()
	var coming sync.WaitGroup
	turns := make(chan decoyAuthority, decoys)
	for i := range decoys {
		turns <- newDecoy(t, home, i)
	}
	close(turns)
	for range maxLookupsEach {
		coming.Go(func() {
			for d := range turns {
				showDecoy(t, ann, d)
			}
		})
	}
	return coming.Wait
}

// showDecoy logs in as ann with a key that a decoy has certified. She is refused, or told that
// nobody has the right authority to judge her by.
func showDecoy(t *testing.T, ann *user, d decoyAuthority) {
	t.Helper()
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	who := &user{mesh: ann.mesh, name: ann.name, key: key}
	who.connect("c.test")
	defer who.client.Close(t.Context())
	_, err = who.client.Login(t.Context(), who.name, certify(t, d.of, who), key, d.der)
	var refused *session.Error
	if !errors.As(err, &refused) || refused.Code != session.WrongKey && refused.Code != session.Unavailable {
		t.Errorf("a decoy: %v", err)
	}
}
