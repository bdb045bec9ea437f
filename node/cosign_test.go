package node

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver/witness"
)

// A node's log is cosigned by all its peers at once, each from where it is; one that is dead
// costs nothing, and one that is back catches up. The signatures are those of the peers.
func TestPeersCosignOurLog(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test", "d.test")
	m.federate("a.test", "b.test", "c.test", "d.test")
	log, a := m.evilLog("a.test"), m.nodes["a.test"].node
	cosign := func(want ...string) (took, first time.Duration) {
		t.Helper()
		began := time.Now()
		signed, left := log.head(t), map[string]bool{}
		a.cosignOwn(t.Context(), tlog.Tree{}, signed, func(old int64) (tlog.TreeProof, error) { return tlog.ProveTree(int64(len(log.leaves)), old, log) },
			func(sig note.Signature) {
				left[sig.Name] = true
				if len(left) == 2 {
					first = time.Since(began)
				}
				merged, err := witness.Merge(signed, sig)
				must(t, err)
				signed = merged
			})
		took = time.Since(began)
		for _, domain := range want {
			if !left[domain+"/p3do/witness"] {
				t.Errorf("%s has not cosigned %d leaves", domain, len(log.leaves))
			}
		}
		if len(left) != len(want) {
			t.Errorf("%d cosignatures, want %d", len(left), len(want))
		}
		return took, first
	}
	log.add(t, "one", "two", "three")
	cosign("b.test", "c.test", "d.test")
	log.add(t, "four")
	took, first := cosign("b.test", "c.test", "d.test")
	t.Logf("one leaf more: 2 cosignatures after %v, all 3 after %v", first.Round(time.Millisecond), took.Round(time.Millisecond))
	must(t, m.nodes["d.test"].end())
	log.add(t, "five", "six")
	took, first = cosign("b.test", "c.test")
	t.Logf("with a peer that is dead: 2 cosignatures after %v, given up after %v", first.Round(time.Millisecond), took.Round(time.Millisecond))
	m.nodes["d.test"].start()
	a.cosigned.set(m.nodes["b.test"].domain, 1) // forgotten, as after a restart
	log.add(t, "seven")
	m.until("d.test to be found by its new address", func() error {
		d, err := a.directory.descriptor(t.Context(), m.nodes["d.test"].domain)
		if err == nil && d.KeyServers[0] != m.nodes["d.test"].running.KeyServer {
			err = errors.New("it is known by the old one")
		}
		return err
	})
	cosign("b.test", "c.test", "d.test")
	cosign("b.test", "c.test", "d.test") // the same again: only the time is another
}
