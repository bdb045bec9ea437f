package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A domain loses its key, has no word of it left, and goes on under another one, with its log. Its peers read
// that in the log, hold it, and take the new key when the time is over.
func TestLostKeyRipens(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	was, b := m.authority("b.test").CA().Fingerprint(), m.nodes["b.test"]
	fresh, err := pki.NewAuthority(rand.Reader, b.domain, time.Now())
	must(t, err)
	must(t, b.end())
	must(t, os.WriteFile(filepath.Join(b.dir, keysFolder, authorityFile), fresh.Marshal(), 0o600))
	m.again("b.test")
	is := fresh.CA().Fingerprint()
	a, c := m.nodes["a.test"].node, m.nodes["c.test"].node
	m.until("a.test to read the new key in the log", func() error {
		kept, err := a.store.LogKeys(t.Context())
		if k := kept[keylog.Origin(b.domain)]; err != nil || pki.Fingerprint(k.Key) != is || k.Since.IsZero() {
			return fmt.Errorf("%+v, %v", k, err)
		}
		return nil
	})
	m.until("a.test to see it, before anybody else has it", func() error {
		if v, err := a.bench.settle(t.Context(), b.domain); err != nil || v.Key != was || v.Send != pki.SendNothing {
			return fmt.Errorf("%+v, %v", v, err)
		}
		return nil
	})
	var shown pki.SignedDescriptor
	m.until("c.test to see it", func() (err error) {
		var ok bool
		if shown, ok = c.directory.shownBy("b.test"); !ok {
			err = errors.New("it has not")
		}
		return err
	})
	old, _ := c.beliefs.pin(b.domain)
	must(t, c.bench.pin(t.Context(), shown, pinned{Pin: pki.Pin{Subject: "b.test", Key: is, Trust: pki.Verified}, since: time.Now()}, old, nil))
	m.until("c.test to vouch for it", func() error {
		if v, err := a.bench.settle(t.Context(), b.domain); err != nil || v.Key != was || v.Row != pki.RowReplaced {
			return fmt.Errorf("%+v, %v", v, err)
		}
		return nil
	})
	m.until("a.test to follow when it is time", func() error {
		a.beliefs.age(b.domain, pki.LogPatience)
		v, err := a.bench.settle(t.Context(), b.domain)
		if p, _ := a.beliefs.pin(b.domain); err != nil || p.Key != is {
			return fmt.Errorf("%+v, %+v, %v", p, v, err)
		}
		return nil
	})
	if p, _ := a.beliefs.pin(b.domain); p.Trust != pki.Vouched || len(p.Former) != 0 {
		t.Errorf("%+v", p)
	}
}

// age has what is known of a domain be from so long ago.
func (b *beliefs) age(domain pki.Domain, by time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, k := b.pins[domain], b.logKeys[domain]
	now := time.Now()
	p.since, k.Since = now.Add(-2*by), now.Add(-by)
	b.pins[domain], b.logKeys[domain] = p, k
	delete(b.views, domain)
}
