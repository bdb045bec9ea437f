package lab

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A forger has the key of one domain's authority, and certifies a name of another domain by it.
type forger struct {
	*stage
	name pki.Name
	by   *pki.Authority // of the domain that has no say
	as   *pki.Authority // with its key, under the name of the domain that has
	key  pki.IdentityKey
	keys *message.PrivateKeys
	card pki.SignedCard
}

func (w *stage) forger(by, name string) *forger {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.of(by).dir, "keys", "authority"))
	fatal(w.t, err)
	f := &forger{stage: w}
	f.by, err = pki.ParseAuthority(raw)
	fatal(w.t, err)
	f.name, err = pki.ParseName(name)
	fatal(w.t, err)
	seed := f.by.Marshal()[1 : 1+ed25519.SeedSize]
	f.as, err = pki.NewAuthority(io.MultiReader(bytes.NewReader(seed), rand.Reader), f.name.Domain(), time.Now().Add(-time.Hour))
	fatal(w.t, err)
	f.key, err = pki.NewIdentityKey(rand.Reader)
	fatal(w.t, err)
	f.keys, err = message.NewPrivateKeys(rand.Reader)
	fatal(w.t, err)
	request, err := pki.NewUserRequest(rand.Reader, f.key, f.name)
	fatal(w.t, err)
	now := time.Now()
	cert, err := f.as.SignUser(rand.Reader, now, request, pki.UserLifetime)
	fatal(w.t, err)
	f.card, err = pki.SignCard(f.key, pki.Card{
		Certificate: cert, Serial: uint64(now.UnixMilli()), Issued: now, Expires: now.Add(pki.CardLifetime),
		Seal: f.keys.Public().Seal, Auth: f.keys.Public().Auth, Requests: [32]byte{9}, Spools: []pki.Domain{f.by.Domain()},
	})
	fatal(w.t, err)
	return f
}

// login tries to get in with the forged certificate.
func (f *forger) login(at string) error {
	f.t.Helper()
	p := f.of(at)
	conn, err := link.Dial(f.ctx, link.Config{Dial: dial.Direct(), Judge: func(*x509.Certificate) error { return nil }}, p.running.Link)
	fatal(f.t, err)
	defer conn.Close()
	_, err = session.NewClient(conn).Login(f.ctx, f.name, f.card.Certificate.DER(), f.key, f.as.CA().DER())
	return err
}

// letter is one that says it is from the name, sealed to a card and put where that waits for
// letters of strangers.
func (f *forger) letter(at, to, text string) {
	f.t.Helper()
	name, err := pki.ParseName(to)
	fatal(f.t, err)
	p := f.of(at)
	home, err := keyserver.Client{Dial: dial.Direct()}.Server(f.ctx, keyserver.Endpoint{Address: p.running.KeyServer, CA: p.fingerprint}, p.domain)
	fatal(f.t, err)
	found, err := keyserver.Client{Dial: dial.Direct()}.User(f.ctx, keyserver.Endpoint{Address: p.running.KeyServer, CA: p.fingerprint}, name)
	fatal(f.t, err)
	card, err := home.CA.VerifyCard(found.Raw(), time.Now())
	fatal(f.t, err)

	content := message.Content{
		Kind: message.Text, ID: mor.MessageID{1, 2, 3}, At: time.Now().Truncate(time.Second), Text: text, Name: f.name,
		Certificate: f.card.Certificate.DER(), Spools: f.card.Spools,
	}
	content.Sign(f.key, f.keys.Public())
	sealed, err := message.Seal(rand.Reader, f.keys, message.Keys{Seal: card.Seal, Auth: card.Auth}, name, content)
	fatal(f.t, err)
	owner := card.Certificate.Key().Fingerprint()
	f.sql(at, "UPDATE counters SET value = value + 1 WHERE name = 'items'")
	f.sql(at, "UPDATE owners SET items = items + 1 WHERE owner = ?", owner[:])
	f.sql(at, "INSERT INTO items (owner, seq, mailbox, kind, id, body, at) SELECT ?, value, ?, 1, ?, ?, ? FROM counters WHERE name = 'items'",
		owner[:], card.Requests[:], content.ID[:], sealed, time.Now().Unix())
}

// No domain's word counts for the names of another: not in a look-up, not at a login, not in a
// letter.
func (w *stage) anothersSignature() {
	const refused = `b\.test may not sign for a\.test`
	f := w.forger("b.test", "ann@a.test")
	for _, at := range []string{"a.test", "b.test", "c.test", "d.test", "e.test"} {
		err := f.login(at)
		var told *session.Error
		if !errors.As(err, &told) || told.Code != session.WrongKey || !strings.Contains(told.Text, "b.test may not sign for a.test") {
			w.t.Errorf("at %s: %v", at, err)
		}
	}
	f.refusedAtLogin()

	// The key server of a.test shows a card that b.test has certified.
	w.sql("a.test", "CREATE TABLE kept AS SELECT * FROM users")
	w.sql("a.test", "UPDATE users SET card = ?, certificate = ? WHERE name = 'ann@a.test'", f.card.Raw(), f.card.Certificate.DER())
	before := w.sent("cid")
	w.p3do("cid", "send", "ann@a.test", "a secret").exits(4).says("^p3do: error: .*"+refused+`\. Nothing was sent\.$`, "^p3do: hint: p3do ")
	w.p3do("cid", "check", "ann@a.test").exits(4).says("^p3do: error: .*" + refused)
	w.p3dod("c.test", "keys", "get", "ann@a.test", "--server", "a.test").exits(4).says("two keys of a.test: DNS says .*, and the key server of a.test says ")
	if after := w.sent("cid"); after != before {
		w.t.Errorf("before %+v, then %+v", before, after)
	}
	w.sql("a.test", "UPDATE users SET card = (SELECT card FROM kept WHERE kept.name = users.name), certificate = (SELECT certificate FROM kept WHERE kept.name = users.name)")
	w.sql("a.test", "DROP TABLE kept")
	w.p3do("cid", "check", "ann@a.test").exits(0)

	// A letter says that it is from ann, and b.test has certified that.
	f.letter("c.test", "cid@c.test", "it is me")
	w.p3do("cid", "read").exits(4).says("^p3do: error: a letter says that it is from ann@a.test: " + refused).silent("it is me")
	w.p3do("cid", "read", "--requests").exits(0).silent("it is me") // it is gone
}
