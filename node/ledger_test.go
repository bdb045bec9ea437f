package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A node's key server proves the domain's key, under the log that its descriptor names, and goes on
// with that log after a restart.
func TestNodeKeepsALog(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	proven := func() (in keylog.Inclusion) {
		t.Helper()
		server := keyserver.Endpoint{Address: a.running.KeyServer, CA: a.node.authority().CA().Fingerprint()}
		m.until("proof of our key", func() (err error) {
			var d pki.SignedDescriptor
			if d, in, err = a.node.client.ProvenServer(t.Context(), server, a.domain, nil); err != nil {
				return err
			}
			if d.Log != a.node.logging.log.Public() {
				return errors.New("the descriptor names another log")
			}
			return nil
		})
		return in
	}
	first := proven()
	if first.Leaf.Record != a.node.authority().CA().Fingerprint() {
		t.Errorf("%+v", first)
	}
	must(t, a.end())
	a.start()
	if again := proven(); again.Leaf != first.Leaf || again.Index != first.Index || again.Head.Tree != first.Head.Tree {
		t.Errorf("%+v, and before %+v", again, first)
	}
}

// What ends one of our users is in our log, whoever has ended her: the revocation, and the end of each
// card that it takes away. Users of others are not in it.
func TestEndingsAreLeaves(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, amy, bob := m.user("ann@a.test"), m.user("amy@a.test"), m.user("bob@b.test")
	_, err := m.nodes["a.test"].control.RevokeUser(t.Context(), "ann@a.test")
	must(t, err)
	for _, u := range []*user{amy, bob} {
		r, err := u.key.RevokeKey(u.cert, time.Now())
		must(t, err)
		must(t, m.nodes["a.test"].handIn(r))
	}
	label := func(u *user) keylog.Label {
		k, err := keylog.ParseLabelKey(m.nodes["a.test"].node.logging.labels.Bytes())
		must(t, err)
		l, _ := k.Label(u.name.String())
		return l
	}
	for _, u := range []*user{ann, amy, bob} {
		kinds := []keylog.Kind{}
		for _, leaf := range m.nodes["a.test"].leaves(t) {
			if leaf.Label == label(u) {
				kinds = append(kinds, leaf.Kind)
			}
		}
		want := []keylog.Kind{keylog.Card, keylog.Revocation, keylog.Ended}
		if u == bob {
			want = want[:0]
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("%s: %v, want %v", u.name, kinds, want)
		}
	}
}

// handIn is as if a peer brought it.
func (a *member) handIn(r pki.Revocation) error {
	_, err := a.node.accept(context.Background(), r.Statement().Marshal())
	return err
}

// leaves are all of a node's log.
func (a *member) leaves(t *testing.T) (all []keylog.Leaf) {
	t.Helper()
	raws, err := a.node.store.Leaves(t.Context(), 0, 256)
	must(t, err)
	for _, raw := range raws {
		leaf, err := keylog.ParseLeaf(raw)
		must(t, err)
		all = append(all, leaf)
	}
	return all
}
