package node

import (
	"errors"
	"testing"

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
