package node

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// As soon as a neighbour has no link any more, no packet is led over it, although others may
// still tell of its context for some seconds: each first copy arrives.
func TestNoLegOverTheDead(t *testing.T) {
	m := newMesh(t)
	all := []string{"a.test", "b.test", "c.test", "d.test", "e.test"}
	for _, domain := range all {
		m.add(domain, func(c *Config) { c.Routing.ExtraHops = 3 }).start()
	}
	m.federate(all...)
	ann, bob := m.user("ann@a.test"), m.user("bob@b.test")
	ann.sender.SetServers(ann.serversBut("e.test"))
	must(t, m.nodes["e.test"].end())
	for _, domain := range all[:4] {
		m.linked(domain, 3)
	}
	for range 4 {
		id, frame := ann.frame(mor.Address{Mailbox: bob.requests, Identity: bob.key.Fingerprint(), Spools: []pki.Domain{bob.name.Domain()}})
		must(t, ann.client.Submit(t.Context(), frame))
		item := ann.items()[0]
		_, receipt, ok := ann.sender.TakeReceipt(time.Now(), item.SURB, item.Body)
		if !ok || receipt.ID != id || receipt.Status != mor.Stored {
			t.Errorf("receipt %+v", receipt)
		}
		must(t, ann.client.Forget(t.Context(), []int64{item.Seq}))
	}
}
