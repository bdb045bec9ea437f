package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// headBeyond is signed by a node's own log key, and of more leaves than its log has.
func (a *member) headBeyond(t *testing.T, leaves int64) store.Head {
	t.Helper()
	size, err := a.node.store.LogSize(t.Context())
	must(t, err)
	return a.headBy(t, size+leaves, tlog.Hash{1})
}

// headBy is one of such a tree.
func (a *member) headBy(t *testing.T, size int64, root tlog.Hash) store.Head {
	t.Helper()
	signer, err := keylog.NewLogSigner(a.domain, a.node.logging.log)
	must(t, err)
	signed, err := keylog.Sign(tlog.Tree{N: size, Hash: root}, signer)
	must(t, err)
	return a.node.ownHead(signed)
}

// A witness has cosigned more than its copy shows, and than the database has: nothing is signed, and the operator
// is told what is awaited, as long as that is so.
func TestLogAwaitsWhatWasCosigned(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	a.stays(t)
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 1))
	m.mirrored("a.test", was.Size, "b.test")
	if regained, err := a.node.regainOnce(t.Context()); regained != 0 || err != nil {
		t.Fatalf("%d leaves, and all are here: %v", regained, err)
	}
	cosigned, err := b.node.store.Witnessed(t.Context(), was.Origin)
	must(t, err)
	more := a.headBeyond(t, 5)
	must(t, b.node.store.AdvanceWitnessed(t.Context(), cosigned, more))
	must(t, a.end())
	a.start()
	m.until("the node to say what it awaits", func() error {
		if s, err := a.node.Status(t.Context()); err != nil || !strings.Contains(s.LogAwaits, fmt.Sprintf("b.test says that it cosigned %d leaves", more.Size)) {
			return fmt.Errorf("%q, %v", s.LogAwaits, err)
		}
		return nil
	})
	m.user("eve@a.test")
	if _, err := a.node.regainOnce(t.Context()); !errors.As(err, new(*awaitedError)) {
		t.Errorf("less is here than b.test has cosigned: %v", err)
	}
	if signed, _, _ := a.node.ledger.Published(); a.node.ownHead(signed).Size != was.Size {
		t.Errorf("signed beside what was cosigned:\n%s", signed)
	}
	if found := a.logFindings(t); len(found) != 1 || found[0].State != Wrong || !strings.Contains(found[0].Text, "b.test says") || !strings.HasPrefix(found[0].Hint, "p3dod peer drop b.test --dir ") {
		t.Errorf("%+v", found)
	}
	m.noted("a.test", "a.test", EventLog, 1)
	must(t, b.node.store.ForgetLog(t.Context(), was.Origin, "a.test"))
	m.goesOn("a.test", was)
	if found := a.logFindings(t); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	if s, err := a.node.Status(t.Context()); err != nil || s.LogAwaits != "" {
		t.Errorf("%q is awaited, %v", s.LogAwaits, err)
	}
}

// A node that has lost its log key, and comes back with an older database in which a leaf waits for its signature, awaits
// nothing if the peer that has cosigned more has a copy, too, and the database has just that tree.
func TestLogUnderALostKeyAwaitsNothing(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a := m.nodes["a.test"].node
	was := a.ownHead(m.cosignedBy("a.test", 1, 1))
	old := ownCopy{peer: m.nodes["b.test"].domain, head: store.Head{Size: was.Size, Root: was.Root}, cosigned: was.Size, said: true}
	must(t, a.checkCosigned(t.Context(), []ownCopy{old}))
	signed, err := a.store.SignedSize(t.Context())
	must(t, err)
	old.cosigned, old.head.Size = signed+1, signed+1
	must(t, a.checkCosigned(t.Context(), []ownCopy{old}))
	other := old
	other.head = store.Head{}
	if err := a.checkCosigned(t.Context(), []ownCopy{old, other}); !errors.As(err, new(*awaitedError)) {
		t.Errorf("the word of one for what another has cosigned: %v", err)
	}
}

// What a peer has said that it cosigned is awaited while that peer is away and another says that it has nothing, after a restart,
// too, until the operator drops that peer.
func TestAwaitedIsNotForgotten(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	a.stays(t)
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 2))
	m.mirrored("a.test", was.Size, "b.test", "c.test")
	cosigned, err := b.node.store.Witnessed(t.Context(), was.Origin)
	must(t, err)
	must(t, b.node.store.AdvanceWitnessed(t.Context(), cosigned, a.headBeyond(t, 5)))
	awaits := func(when string) {
		t.Helper()
		m.until("a.test to await b.test "+when, func() error {
			if s, err := a.node.Status(t.Context()); err != nil || !strings.Contains(s.LogAwaits, "b.test says") {
				return fmt.Errorf("%q, %v", s.LogAwaits, err)
			}
			return nil
		})
		if _, err := a.node.regainOnce(t.Context()); !errors.As(err, new(*awaitedError)) {
			t.Errorf("%s: %v", when, err)
		}
	}
	must(t, a.end())
	a.start()
	awaits("while it is there")
	must(t, b.end())
	awaits("while it is away")
	must(t, a.end())
	a.start()
	awaits("after a restart")
	m.user("eve@a.test")
	m.noted("a.test", "a.test", EventLog, 1)
	_, err = a.control.DropPeer(t.Context(), b.domain)
	must(t, err)
	m.goesOn("a.test", was)
	if all, err := readAwaits(a.path(awaitsFile)); err != nil || len(all) > 0 {
		t.Errorf("%v awaited, %v", all, err)
	}
}

// That a peer has cosigned more may come out only when it is asked to cosign: then nothing more is signed, either.
func TestAwaitedWhenSealed(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 1))
	cosigned, err := b.node.store.Witnessed(t.Context(), was.Origin)
	must(t, err)
	must(t, b.node.store.AdvanceWitnessed(t.Context(), cosigned, a.headBeyond(t, 50)))
	m.user("ann@a.test")
	m.until("a.test to await b.test", func() error {
		if s, err := a.node.Status(t.Context()); err != nil || !strings.Contains(s.LogAwaits, "b.test says") {
			return fmt.Errorf("%q, %v", s.LogAwaits, err)
		}
		return nil
	})
	m.noted("a.test", "a.test", EventLog, 1)
	_, err = a.control.DropPeer(t.Context(), b.domain)
	must(t, err)
	m.goesOn("a.test", was)
}

// The file of what is awaited is read as it is written, and nothing else.
func TestReadAwaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), awaitsFile)
	var all awaits
	for _, domain := range []string{"b.test", "a.test"} {
		must(t, all.change(path, func(by map[pki.Domain]int64) { by[parse(t, pki.ParseDomain, domain)] = 7 }))
	}
	got, err := readAwaits(path)
	if err != nil || len(got) != 2 || got[0].by.String() != "a.test" || got[1].size != 7 || all.first().by != got[0].by {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"b.test", "b.test x\n", "B test 3\n", "b.test 3 4\n", strings.Repeat("b.test 3\n", maxAwaitsFile/8)} {
		must(t, os.WriteFile(path, []byte(bad), 0o600))
		if all, err := readAwaits(path); err == nil {
			t.Errorf("%.20q is taken: %v", bad, all)
		}
	}
	must(t, all.change(path, func(by map[pki.Domain]int64) { clear(by) }))
	if got, err := readAwaits(path); err != nil || got != nil || all.first() != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// A copy of our log whose head we cannot open is not the same as none: only if the database has just that tree it
// tells nothing new.
func TestCopyThatCannotBeOpened(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	was := a.node.ownHead(m.cosignedBy("a.test", 1, 1))
	m.mirrored("a.test", was.Size, "b.test")
	signer, err := keylog.NewLogSigner(a.domain, b.node.logging.log) // a key that was ours, for example
	must(t, err)
	for what, c := range map[string]struct {
		tree tlog.Tree
		want error
	}{
		"another tree":  {tlog.Tree{N: was.Size, Hash: tlog.Hash{1}}, errNobodySaid},
		"more leaves":   {tlog.Tree{N: was.Size + 1, Hash: tlog.Hash{1}}, errNobodySaid},
		"the same tree": {tlog.Tree{N: was.Size, Hash: was.Root}, nil},
	} {
		signed, err := keylog.Sign(c.tree, signer)
		must(t, err)
		must(t, b.node.store.SetMirror(t.Context(), store.Head{Origin: was.Origin, Size: keylog.MaxLeaves, Checkpoint: signed})) // which no round changes
		if _, err := a.node.regainOnce(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

// A disk that does not read when a head of our log comes does not silence the log for good: it is compared again.
func TestOwnHeadOnAFailingDisk(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a := m.nodes["a.test"]
	m.cosignedBy("a.test", 1, 1)
	path := a.path(headFile)
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o700)) // cannot be read
	more := a.headBeyond(t, 3)
	a.node.seeOwnHead(t.Context(), more)
	if a.node.logPaused.Err() != nil || a.node.ownLog.doubted.Load() == nil {
		t.Error("the log is paused for good, or the head is forgotten")
	}
	if err := a.node.settleDoubt(t.Context()); err == nil {
		t.Error("compared by a head that cannot be read")
	}
	must(t, os.Remove(path))
	must(t, a.node.settleDoubt(t.Context()))
	if shown, err := a.node.shownHead(); err != nil || shown.Size != more.Size || a.node.ownLog.doubted.Load() != nil || a.node.logPaused.Err() != nil {
		t.Errorf("%d leaves are awaited: %v", shown.Size, err)
	}
}
