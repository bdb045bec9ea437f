package node

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// Outside of a lab nobody has a node knock at its own machine: not by a record in DNS, and not
// by a descriptor; unless its operator allows that.
func TestPrivateAddressesAreNotDialled(t *testing.T) {
	var knocks atomic.Int64
	door := guarded(t, &knocks)
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprintf("private = %t", allowed), func(t *testing.T) {
			knocks.Store(0)
			m := newMesh(t)
			m.add("b.test", func(c *Config) { c.Lab, c.Network.Private = Lab{}, allowed }).start()
			evil := authorityOf(t, parse(t, pki.ParseDomain, "evil.test"), make([]byte, 32))
			must(t, m.dns.Set(evil.Domain(), dnstxt.Record{Fingerprint: evil.CA().Fingerprint(), KeyServers: []string{door}}))

			mallory := m.stranger("mallory@evil.test", "b.test")
			_, err := mallory.client.Login(t.Context(), mallory.name, certify(t, evil, mallory), mallory.key, nil)
			wantCode(t, err, session.Unavailable, "nobody whom b.test knows vouches for evil.test")
			if (knocks.Load() > 0) != allowed {
				t.Errorf("a login had the node knock %d times", knocks.Load())
			}
			knocks.Store(0)
			_, err = m.nodes["b.test"].control.AddPeer(t.Context(), evil.Domain())
			if !allowed {
				wantText(t, err, dial.ErrPrivate.Error()+": 127.0.0.1", "network.private in p3dod.toml allows those")
			}
			if (knocks.Load() > 0) != allowed {
				t.Errorf("adding a peer had the node knock %d times", knocks.Load())
			}
		})
	}
}

// guarded is a door of this machine that counts who knocks, and says nothing.
func guarded(t *testing.T, knocks *atomic.Int64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			knocks.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// A node that is given no such door serves in a lab only.
func TestNoDoorOutside(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", func(c *Config) { c.Lab = Lab{} })
	_, err := Open(t.Context(), a.dir, Options{Dial: dial.Direct()})
	wantText(t, err, "Options.Public is missing")
}
