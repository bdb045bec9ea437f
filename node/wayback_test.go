package node

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// A domain whose log key was stolen and signed two histories comes back: it takes another log key,
// its offline root names another authority, and each operator who froze it says the words of that.
// Who has not stays as it is, and what proved the fork freezes nobody again; another fork does.
func TestWayBackFromAFork(t *testing.T) {
	m := newMesh(t, "e.test", "x.test", "y.test")
	m.federate("e.test", "x.test", "y.test")
	m.confirmed("e.test", "x.test", "y.test")
	x, domain := m.nodes["x.test"], m.nodes["e.test"].domain
	thief := m.evilLog("e.test")
	for at, leaf := range map[string]string{"x.test": "one", "y.test": "two"} {
		if _, err := m.cosigns(at, thief.fork().add(t, leaf, leaf)); err != nil && !errors.Is(err, witness.ErrUnknownLog) {
			t.Fatal(err)
		}
	}
	m.forked("e.test", "x.test", "y.test")
	proof := m.held("x.test", pki.StatementFork)[0].Raw
	was := words.Of(m.authority("e.test").CA().Fingerprint())
	if _, err := x.node.AcceptPeer(t.Context(), "e.test", was); !errors.Is(err, ErrInput) {
		t.Errorf("by the words of the key that forked: %v", err)
	}

	m.relog("e.test", "x.test", "y.test")
	done, err := m.rotate("e.test", RoleCA, func(r *Rotation) { r.Stolen = true })
	must(t, err)
	m.until("x.test to be shown the other key", func() error {
		j, err := x.node.Verify(t.Context(), "e.test")
		if err == nil && (j.Home != done.Is || !x.node.isHeir(domain, done.Is)) {
			err = errors.New(j.Reason)
		}
		return err
	})
	if p, _ := x.node.beliefs.pin(domain); p.Key == done.Is || !x.node.frozen(domain) {
		t.Error("it came back without anybody's word")
	}
	if _, err := x.node.AcceptPeer(t.Context(), "e.test", was); !errors.Is(err, ErrInput) {
		t.Errorf("by other words: %v", err)
	}
	j, err := x.control.AcceptPeer(t.Context(), domain, words.Of(done.Is))
	must(t, err)
	if p, _ := x.node.beliefs.pin(domain); j.Key != done.Is || p.Key != done.Is || p.Trust != pki.Verified || x.node.frozen(domain) {
		t.Errorf("%+v", j)
	}
	head := m.nodes["e.test"].node.ownHead(m.cosignedBy("e.test", 1, 1))
	m.mirrored("e.test", head.Size, "x.test")
	if forks, err := x.control.Forks(t.Context()); err != nil || len(forks) > 0 {
		t.Errorf("the operator is shown %d forks, %v", len(forks), err)
	}
	if !m.nodes["y.test"].node.frozen(domain) {
		t.Error("y.test has not said a word, and takes it")
	}
	for range 2 {
		if fresh, err := x.node.acceptFork(t.Context(), proof); fresh || x.node.frozen(domain) {
			t.Errorf("frozen again by the proof from before: %v", err)
		}
		must(t, x.end())
		m.again("x.test")
	}
	if _, err := x.node.AcceptPeer(t.Context(), "e.test", words.Of(done.Is)); !errors.Is(err, ErrInput) {
		t.Errorf("when there is nothing to be accepted: %v", err)
	}
	is, err := x.node.directory.descriptor(t.Context(), domain)
	must(t, err)
	f, err := witness.NewFork(headsBy(t, is, m.rekeyed(thief)), nil)
	must(t, err)
	if fresh, err := x.node.acceptFork(t.Context(), f.Marshal()); !fresh || err != nil || !x.node.frozen(domain) {
		t.Errorf("another fork: %v", err)
	}
}
