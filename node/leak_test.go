package node

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// No byte of a context key or a hint is in any node's database, in what its key server
// says or in DNS (row M8), nor in a log; and no private key is in any of them.
func TestContextsStayInside(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.federate(domains...)
	ann, bob := m.user("ann@a.test"), m.user("bob@d.test")
	ann.send(bob)
	if r := ann.receipt(); r.Status != mor.Stored { // so that there was traffic
		t.Fatalf("status %d", r.Status)
	}
	secrets := make(map[string][]byte)
	for _, d := range domains {
		m.secretsOf(secrets, d)
	}
	places := map[string][]byte{"the logs": []byte(m.log.String())}
	for _, d := range domains {
		m.shownBy(places, d)
	}
	for _, d := range domains { // the databases as they are at the end, with their journals
		must(t, m.nodes[d].end())
		files, err := filepath.Glob(filepath.Join(m.nodes[d].dir, databaseFile+"*"))
		must(t, err)
		if len(files) == 0 {
			t.Fatal("no database")
		}
		for _, file := range files {
			places[file], err = os.ReadFile(file)
			must(t, err)
		}
	}
	for where, held := range places {
		if len(held) == 0 {
			t.Errorf("%s: nothing to search", where)
		}
		for what, secret := range secrets {
			if holds(held, secret) {
				t.Errorf("%s: %s", where, what)
			}
		}
	}
	// The scan finds what is there: the fingerprint that DNS carries.
	if fp := m.authority("a.test").CA().Fingerprint(); !holds(places["DNS of a.test"], fp[:]) {
		t.Error("the scan is blind")
	}
}

// secretsOf collects the context key, the hints of four epochs and the private keys of a
// node.
func (m *mesh) secretsOf(secrets map[string][]byte, domain string) {
	m.t.Helper()
	k := keyring{filepath.Join(m.nodes[domain].dir, keysFolder)}
	c, err := k.context(FirstContext, time.Now())
	must(m.t, err)
	public := c.Key.Public().Bytes()
	secrets["context key of "+domain] = public[:]
	secrets["private context key of "+domain] = c.Key.Seed()
	for hint, i := c.Hint, 0; i < 4; hint, i = hint.Next(), i+1 {
		secrets["hint "+string(rune('0'+i))+" of "+domain] = hint[:]
	}
	key, err := k.link()
	must(m.t, err)
	secrets["link key of "+domain] = key.Seed()
	of, err := k.logging()
	must(m.t, err)
	secrets["log key of "+domain], secrets["witness key of "+domain] = of.log.Seed(), of.witness.Seed()
	secrets["key of the labels of "+domain] = of.labels.Bytes()
	servers, err := k.servers(time.Now())
	must(m.t, err)
	for _, s := range servers {
		secrets["server key of "+domain] = s.Private.Seed()
	}
	secrets["domain key of "+domain] = m.authority(domain).Marshal()[1:33]
}

// shownBy collects what a node's key server and DNS say to whoever asks.
func (m *mesh) shownBy(places map[string][]byte, domain string) {
	m.t.Helper()
	client := keyserver.Client{Dial: dial.Direct()}
	must(m.t, client.Servers(m.t.Context(), m.endpoint(domain), func(signed pki.SignedDescriptor) {
		places["servers of "+domain] = append(places["servers of "+domain], signed.Raw()...)
	}))
	for _, name := range []string{"ann@a.test", "bob@d.test"} {
		card, err := client.User(m.t.Context(), m.endpoint(domain), parse(m.t, pki.ParseName, name))
		must(m.t, err)
		places["card of "+name+" at "+domain] = card.Raw()
	}
	resolver, err := NewResolver("", m.dns.Addr(), dial.Direct())
	must(m.t, err)
	record, err := resolver.Lookup(m.t.Context(), m.nodes[domain].domain)
	must(m.t, err)
	places["DNS of "+domain] = []byte(record.String())
}

// holds reports whether text holds a secret, as it is or written in one of the usual ways.
func holds(text, secret []byte) bool {
	for _, form := range [][]byte{
		secret, secret[:16], secret[16:],
		[]byte(hex.EncodeToString(secret)),
		[]byte(base64.RawURLEncoding.EncodeToString(secret)),
		[]byte(base64.RawStdEncoding.EncodeToString(secret)),
	} {
		if bytes.Contains(text, form) {
			return true
		}
	}
	return false
}
