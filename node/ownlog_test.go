package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
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

// forgets ends a node and removes its database.
func (a *member) forgets(t *testing.T, also ...string) {
	t.Helper()
	must(t, a.end())
	for _, name := range append([]string{databaseFile, databaseFile + "-wal", databaseFile + "-shm"}, also...) {
		if err := os.Remove(a.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// stays has a node's key server come back at the address where it is: others do not ask anew.
func (a *member) stays(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(a.path(ConfigFile))
	must(t, err)
	fixed := regexp.MustCompile(`(?m)^keyserver = .*$`).ReplaceAllString(string(raw), fmt.Sprintf("keyserver = %q", a.running.KeyServer))
	if fixed == string(raw) {
		t.Fatalf("no address in\n%s", raw)
	}
	must(t, os.WriteFile(a.path(ConfigFile), []byte(fixed), 0o600))
}

// A node whose database is lost signs nothing until it has a peer again; then its log goes on from
// where it was, and nobody freezes it.
func TestLogOfALostDatabase(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.user("ann@a.test")
	a := m.nodes["a.test"]
	a.stays(t)
	was := a.node.ownHead(m.cosignedBy("a.test", 2, 2))
	m.mirrored("a.test", was.Size, "b.test", "c.test")
	a.forgets(t)
	a.start()
	m.user("eve@a.test")
	if signed, _, _ := a.node.ledger.Published(); signed != nil {
		t.Fatalf("signed without what was signed before:\n%s", signed)
	}
	if found := a.logFindings(t); len(found) != 1 || found[0].State != Wrong || !strings.HasPrefix(found[0].Hint, "p3dod peer add DOMAIN --dir ") {
		t.Errorf("%+v", found)
	}
	m.peer("a.test", "b.test")
	m.goesOn("a.test", was, "b.test")
	if found := a.logFindings(t); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

// logFindings are what a doctor says of the log.
func (a *member) logFindings(t *testing.T) (about []Finding) {
	t.Helper()
	all, err := Doctor{Dir: a.dir, Dial: dial.Direct()}.Examine(t.Context(), time.Now())
	must(t, err)
	for _, f := range all {
		if f.Check == "log" {
			about = append(about, f)
		}
	}
	return about
}

// goesOn waits until the log of a domain has more leaves than a head, in the copies of some, too,
// and looks whether it begins with that head.
func (m *mesh) goesOn(domain string, was store.Head, copied ...string) {
	m.t.Helper()
	a := m.nodes[domain].node
	m.until("the log to go on", func() error {
		signed, _, _ := a.ledger.Published()
		if head := a.ownHead(signed); head.Size <= was.Size {
			return fmt.Errorf("%d leaves, and before %d", head.Size, was.Size)
		}
		return nil
	})
	must(m.t, a.checkOwn(m.t.Context(), was))
	signed, _, _ := a.ledger.Published()
	m.mirrored(domain, a.ownHead(signed).Size, copied...)
	for _, at := range copied {
		m.noted(at, domain, EventForked, 0)
	}
}

// An older copy of the whole folder was put back, so that nothing in it tells: the node asks its
// peers before it signs.
func TestLogOfAnOlderFolder(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	a := m.nodes["a.test"]
	a.stays(t)
	m.cosignedBy("a.test", 1, 2)
	must(t, a.end())
	older := map[string][]byte{}
	for _, name := range []string{databaseFile, headFile} {
		raw, err := os.ReadFile(a.path(name))
		must(t, err)
		older[name] = raw
	}
	a.start()
	m.settled("a.test", "b.test", "c.test")
	m.user("ann@a.test")
	was := a.node.ownHead(m.cosignedBy("a.test", 2, 2))
	m.mirrored("a.test", was.Size, "b.test", "c.test")
	a.forgets(t, headFile)
	for name, raw := range older {
		must(t, os.WriteFile(a.path(name), raw, 0o600))
	}
	a.start()
	m.user("eve@a.test")
	m.goesOn("a.test", was, "b.test", "c.test")
	m.noted("a.test", "a.test", EventLog, 2) // that it was behind, and is whole again
}

// A copy that is not what our head says is taken by nobody, and that of another peer is, however long
// it is; what was logged meanwhile is logged behind.
func TestLogOfAWrongCopy(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	a.stays(t)
	name, err := pki.ParseName("ann@a.test")
	must(t, err)
	var said []store.Entry
	for i := range 300 {
		said = append(said, *a.node.ledger.Said(keylog.Challenge, name, []byte{byte(i), byte(i >> 8)}))
	}
	_, err = a.node.store.AppendLog(t.Context(), said...)
	must(t, err)
	a.node.ledger.Again()
	was := a.node.ownHead(m.cosignedBy("a.test", 301, 2))
	m.mirrored("a.test", was.Size, "b.test", "c.test")
	must(t, b.node.store.PutTiles(t.Context(), keylog.Origin(a.domain), []store.Tile{{Level: -1, Number: 1, Width: 256, Data: make([]byte, 512)}}, 1<<20))
	a.forgets(t)
	a.start()
	m.peer("a.test", "b.test")
	ended := a.node.ledger.Ended(store.User{Name: "eve@a.test", Card: []byte("card")})
	_, err = a.node.store.AppendLog(t.Context(), *ended)
	must(t, err)
	if n, err := a.node.regainOnce(t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), "the copy at b.test") {
		t.Errorf("%d leaves of a wrong copy: %v", n, err)
	}
	if signed, _, _ := a.node.ledger.Published(); signed != nil {
		t.Errorf("signed without what was signed before:\n%s", signed)
	}
	m.peer("a.test", "c.test")
	m.goesOn("a.test", was, "c.test")
	leaves, err := a.node.store.Leaves(t.Context(), was.Size, 256)
	must(t, err)
	if !slices.ContainsFunc(leaves, func(leaf []byte) bool { return bytes.Equal(leaf, ended.Leaf) }) {
		t.Errorf("what was logged meanwhile is not behind: %d leaves", len(leaves))
	}
}

// While no peer says what it has of our log, nothing is signed in it: all that is here may be older.
func TestLogWaitsForAPeer(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	a.stays(t)
	b.stays(t)
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 1))
	must(t, b.end())
	must(t, a.end())
	a.start()
	m.user("ann@a.test")
	if _, err := a.node.regainOnce(t.Context()); !errors.Is(err, errNobodySaid) {
		t.Errorf("nobody can be asked: %v", err)
	}
	if signed, _, _ := a.node.ledger.Published(); a.node.ownHead(signed).Size != was.Size {
		t.Errorf("signed while nobody could be asked:\n%s", signed)
	}
	b.start()
	m.goesOn("a.test", was, "b.test")
}
