package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// Who has lost her home says at a peer that another key is not hers, and ends her own: both are leaves of
// the peer's log, cosigned by the other peer, proven to who asks for them, and told by its audit; they
// are there after a power cut, too.
func TestHomelessAreLogged(t *testing.T) {
	l := newBigLab(t, 4)
	l.p3do(0, "ann", "new", "ann@a.test")
	l.p3do(0, "ann", "login", "--via", "b.test") // which she knows from then on
	ann := l.agent("ann")
	self, err := ann.Self()
	l.must(err)
	l.must(ann.Close())
	leaf, err := x509.ParseCertificate(self.Certificate)
	l.must(err)
	key, err := pki.ParseIdentityPublic(leaf.PublicKey.(ed25519.PublicKey))
	l.must(err)
	l.kill("a.test")
	l.notLinked("b.test", "a.test")
	if text := l.p3do(0, "ann", "challenge", "--direct", "--via", "b.test"); !strings.Contains(text, "confirmed by: b.test") {
		t.Error(text)
	}
	l.p3do(0, "ann", "revoke", "--via", "b.test", "--yes")
	want := func() {
		t.Helper()
		l.until("proof of what ann said", scriptWait, func() error { return l.provesOf("b.test", self.Name, key) })
		audit := l.run(0, "p3dod", "keys", "audit", "--dir", l.node("b.test").Dir)
		for _, what := range []string{"challenge", "revocation"} {
			if !strings.Contains(audit, fmt.Sprintf("standin  a.test: its server is not there: a %s of one of its users", what)) {
				t.Errorf("no %s in the audit:\n%s", what, audit)
			}
		}
	}
	want()
	l.kill("b.test")
	l.restart("b.test")
	want()
	if text := l.p3do(6, "ann", "challenge", "--direct", "--via", "b.test"); !ended.MatchString(text) {
		t.Errorf("a challenge by a key that has ended: %s", text)
	}
}

// notLinked waits until a node has seen that a peer is gone.
func (l *bigLab) notLinked(at, peer string) {
	l.t.Helper()
	control, err := node.NewControl(l.node(at).Dir)
	l.must(err)
	l.until(at+" to miss "+peer, scriptWait, func() error {
		peers, err := control.Peers(l.t.Context())
		for _, p := range peers {
			if p.Domain.String() == peer && p.Linked {
				err = errors.New("it is linked")
			}
		}
		return err
	})
}

// provesOf verifies that a node's log has a revocation and a challenge of a key under a name, each seen by
// another domain.
func (l *bigLab) provesOf(at string, name pki.Name, key pki.IdentityPublic) error {
	domain, record, err := node.Record(l.node(at).Dir)
	if err != nil {
		return err
	}
	client, server := keyserver.Client{Dial: dial.Direct()}, keyserver.Endpoint{Address: l.node(at).KeyServer, CA: record.Fingerprint}
	d, err := client.Server(l.t.Context(), server, domain)
	if err != nil {
		return err
	}
	log, _ := keylog.Of(d.Descriptor)
	other, err := pki.ParseDomain("c.test")
	if err != nil {
		return err
	}
	w, err := client.Server(l.t.Context(), server, other)
	if err != nil {
		return err
	}
	by := keyserver.Proven{Log: log}
	policy, err := keylog.Quorum(1, []keylog.Witness{{Domain: other, Key: w.Witness}})
	if err != nil {
		return err
	}
	by.Witnesses = keylog.Fresh(policy, time.Now())
	_, _, err = client.ProvenChallenge(l.t.Context(), server, pki.Leaving(name, key), by)
	if err == nil {
		ends := sha256.Sum256(append([]byte{byte(pki.KeyRevoked)}, key.Bytes()...))
		_, _, err = client.ProvenRevocation(l.t.Context(), server, ends, by)
	}
	return err
}
