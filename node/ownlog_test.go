package node

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/keyserver/keylog"
)

// cosignedBy waits until the newest head of a domain's log has so many leaves at least, and the
// signatures of so many peers.
func (m *mesh) cosignedBy(domain string, leaves int64, peers int) (signed []byte) {
	m.t.Helper()
	m.until(fmt.Sprintf("%d to cosign the log of %s", peers, domain), func() error {
		signed, _, _ = m.nodes[domain].node.ledger.Published()
		head := m.nodes[domain].node.ownHead(signed)
		if cosigned := strings.Count(string(signed), "/p3do/witness "); head.Size < leaves || cosigned != peers {
			return fmt.Errorf("%d leaves, cosigned by %d", head.Size, cosigned)
		}
		return nil
	})
	return signed
}

// A card that is published is in a head that all peers have cosigned soon, and in their copies;
// these serve it when the home is gone.
func TestLogIsWitnessed(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	before := m.nodes["a.test"].node.ownHead(m.cosignedBy("a.test", 1, 2))
	began := time.Now()
	m.user("ann@a.test")
	signed := m.cosignedBy("a.test", before.Size+1, 2)
	t.Logf("registered, published and cosigned by 2 peers after %v", time.Since(began).Round(time.Millisecond))
	head := m.nodes["a.test"].node.ownHead(signed)
	m.mirrored("a.test", head.Size, "b.test", "c.test")
	must(t, m.nodes["a.test"].end())
	kept, _, err := m.nodes["b.test"].node.store.Mirror(t.Context(), keylog.Origin(m.nodes["a.test"].domain))
	if err != nil || kept.Root != head.Root {
		t.Errorf("the copy is another: %v", err)
	}
	for _, at := range []string{"b.test", "c.test"} {
		m.noted(at, "a.test", EventForked, 0)
	}
}

// A node whose database is lost, or an older copy, signs no other history of its log, and is
// frozen by nobody; it serves all the same.
func TestLogOfALostDatabase(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.user("ann@a.test")
	signed := m.cosignedBy("a.test", 2, 2)
	a := m.nodes["a.test"]
	size := a.node.ownHead(signed).Size
	m.mirrored("a.test", size, "b.test", "c.test")
	must(t, a.end())
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(a.path(databaseFile + end)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	a.start()
	if a.node.ledger != nil {
		t.Fatal("a log goes on that the database has not")
	}
	m.peer("a.test", "b.test")
	m.user("eve@a.test")
	must(t, a.end())
	must(t, os.Remove(a.path(headFile))) // even so a peer knows better
	a.start()
	m.until("a.test to sign nothing more", func() error {
		if a.node.ledger == nil || a.node.logPaused.Err() != nil {
			return nil
		}
		return errors.New("it signs")
	})
	log, err := keyserverLog(m, "b.test", "a.test")
	if err != nil || !strings.HasPrefix(log, fmt.Sprintf("a.test/p3do/log\n%d\n", size)) {
		t.Errorf("%v: the copy is\n%s", err, log)
	}
}

// keyserverLog is the checkpoint of the copy that a node has of another's log.
func keyserverLog(m *mesh, at, of string) (string, error) {
	h, _, err := m.nodes[at].node.store.Mirror(m.t.Context(), keylog.Origin(m.nodes[of].domain))
	return string(h.Checkpoint), err
}
