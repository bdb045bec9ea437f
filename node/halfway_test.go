package node

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// A node that dies when the pin of a peer has moved, and nothing else has, follows the peer all
// the same when it is back.
func TestMoveBroken(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	old := m.authority("a.test").CA()
	must(t, b.end())
	done, err := m.rotate("a.test", RoleCA)
	must(t, err)
	_, record, err := Record(a.dir)
	must(t, err)
	must(t, m.dns.Set(a.domain, record))
	d, err := a.node.directory.descriptor(t.Context(), a.domain)
	must(t, err)
	n, err := Open(t.Context(), b.dir, Options{Dial: a.node.dial})
	must(t, err)
	was, _ := n.beliefs.pin(a.domain)
	next := pki.Pin{Subject: "a.test", Key: done.Is, Trust: was.Trust, Former: []pki.Fingerprint{was.Key}}
	must(t, n.bench.pin(t.Context(), d, pinned{Pin: next, since: time.Now(), root: was.root}, was, old.DER()))
	must(t, n.Close())
	m.again("b.test")
	m.linked("b.test", 1)
	m.mutual("b.test", "a.test", done.Is)
}

// A node that dies when the offline root's word has brought another authority into office, and
// nothing else has been made anew, countersigns its peers when it is back.
func TestStolenBroken(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	a := m.nodes["a.test"]
	m.offline("a.test")
	old := m.authority("a.test")
	fresh, word, err := a.kept.Next.SucceedByRoot(rand.Reader, time.Now(), old.Commitment(), pki.Fingerprint{}, a.kept.Root)
	must(t, err)
	must(t, a.node.store.AddFormer(t.Context(), "a.test", old.CA().Fingerprint(), old.CA().DER()))
	_, err = a.node.accept(t.Context(), word.Statement().Marshal())
	must(t, err)
	must(t, a.end())
	must(t, os.WriteFile(filepath.Join(a.dir, keysFolder, authorityFile), fresh.Marshal(), 0o600))
	m.again("a.test")
	m.linked("a.test", 1)
	m.followed("a.test", fresh.CA().Fingerprint(), "b.test")
	m.mutual("b.test", "a.test", fresh.CA().Fingerprint())
}
