package node

import (
	"bytes"
	"errors"
	"testing"

	"github.com/p3do/p3do/keyserver/keylog"
)

// A user reads the whole log of her home there, and at a peer that has copied it when the home is dead.
func TestUserReadsTheLog(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	ann := m.user("ann@a.test")
	head := m.nodes["a.test"].node.ownHead(m.cosignedBy("a.test", 2, 2))
	m.mirrored("a.test", head.Size, "b.test", "c.test")
	var want []byte
	for _, leaf := range m.nodes["a.test"].leaves(t) {
		want = append(want, leaf.Bytes()...)
	}
	check := func(u *user, home bool) {
		t.Helper()
		m.until("the whole log", func() error {
			p, err := u.client.Entries(t.Context(), 0)
			if err == nil && (!bytes.Equal(p.Entries, want) || (len(p.Label) == keylog.LabelProofSize) != home) {
				err = errors.New("it is another")
			}
			return err
		})
		p, err := u.client.Entries(t.Context(), 1)
		if err != nil || !bytes.Equal(p.Entries, want[keylog.LeafSize:]) {
			t.Errorf("from the second on: %v", err)
		}
		if p, err := u.client.Entries(t.Context(), 1000); err != nil || len(p.Entries) > 0 {
			t.Errorf("beyond its end: %v", err)
		}
	}
	check(ann, true)
	authority := m.authority("a.test")
	must(t, m.nodes["a.test"].end())
	_, err := ann.visit("b.test", authority)
	must(t, err)
	check(ann, false)
}
