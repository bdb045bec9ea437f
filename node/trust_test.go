package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// swapDNS has DNS name another key for a domain, with the same key servers.
func (m *mesh) swapDNS(domain string, key pki.Fingerprint) {
	m.t.Helper()
	_, record, err := Record(m.nodes[domain].dir)
	must(m.t, err)
	record.Fingerprint = key
	must(m.t, m.dns.Set(m.nodes[domain].domain, record))
}

// events are what a node has noted of a kind about a domain.
func (m *mesh) events(at, domain, kind string) (found []Event) {
	m.t.Helper()
	all, err := m.nodes[at].control.Events(m.t.Context(), time.Now().Add(-time.Hour))
	must(m.t, err)
	for _, e := range all {
		if e.Domain == domain && e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// noted waits until a node has noted n events of a kind about a domain.
func (m *mesh) noted(at, domain, kind string, n int) {
	m.t.Helper()
	m.until(fmt.Sprintf("%d events at %s", n, at), func() error {
		if events := m.events(at, domain, kind); len(events) != n {
			return fmt.Errorf("%+v", events)
		}
		return nil
	})
}

// looked waits until a node has looked at the record of a domain anew, often enough for every
// event that there is to have been noted.
func (m *mesh) looked(at, domain string) {
	m.t.Helper()
	w := m.nodes[at].node.watcher
	for range 3 {
		w.mu.Lock()
		due := w.due[m.nodes[domain].domain]
		w.mu.Unlock()
		m.until("the next look at "+domain, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if now := w.due[m.nodes[domain].domain]; !now.After(due.Add(w.most / 2)) {
				return fmt.Errorf("due %v", now)
			}
			return nil
		})
	}
}

// DNS alone is altered: the pinned key stays, every peer notes one event and not a flood of
// them, says who vouches, and notes one more when DNS is right again.
func TestAlteredDNSIsOneEvent(t *testing.T) {
	t.Parallel()
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.federate("a.test", "b.test", "c.test", "d.test")
	m.confirmed(domains...)
	right := m.authority("b.test").CA().Fingerprint()
	m.swapDNS("b.test", pki.Fingerprint{6, 6, 6})
	for _, at := range []string{"a.test", "c.test", "d.test"} {
		m.noted(at, "b.test", EventDNS, 1)
	}
	for _, at := range []string{"a.test", "c.test", "d.test"} {
		m.looked(at, "b.test")
		m.noted(at, "b.test", EventDNS, 1)
	}
	j, err := m.nodes["a.test"].control.VerifyPeer(t.Context(), m.nodes["b.test"].domain)
	must(t, err)
	if !j.Contradicted || j.Row != pki.RowDNSAltered || j.Key != right || j.Home != right || fmt.Sprint(j.For) != "[c.test d.test]" {
		t.Errorf("%+v", j)
	}
	_, err = m.nodes["a.test"].control.AddPeer(t.Context(), m.nodes["b.test"].domain)
	wantErr(t, err, ErrKeyChanged)
	wantText(t, err, "2 of 2 peers vouch for "+right.String(), "c.test, d.test")
	m.swapDNS("b.test", right)
	m.noted("a.test", "b.test", EventDNS, 2)
	j, err = m.nodes["a.test"].control.VerifyPeer(t.Context(), m.nodes["b.test"].domain)
	must(t, err)
	if j.Contradicted || j.Row != pki.RowAgreed {
		t.Errorf("%+v", j)
	}
}

// DNS and the domain's own servers show another key: its peers stay with the known one, and
// nothing is to be sent.
func TestAlteredHome(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "c.test", "d.test")
	m.federate("a.test", "b.test", "c.test", "d.test")
	m.confirmed("a.test", "b.test", "c.test", "d.test")
	known := m.authority("b.test").CA().Fingerprint()
	m.impostor("b.test") // and DNS agrees with it
	b := m.nodes["b.test"].domain
	for _, at := range []string{"a.test", "c.test"} {
		m.until(at+" to see it", func() error {
			v := m.nodes[at].node.judge(t.Context(), b)
			if v.Row != pki.RowHomeAltered || v.Key != known || v.Send != pki.SendNothing || !v.DNSAltered {
				return fmt.Errorf("%+v", v)
			}
			return nil
		})
		m.noted(at, "b.test", EventHome, 1)
	}
}

// Of a domain that only DNS names nothing is pinned, and nothing is said but what DNS says; a
// peer's word is enough for its key to be believed.
func TestFirstSight(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "z.test")
	a, z := m.nodes["a.test"].node, m.nodes["z.test"]
	signed, err := z.node.directory.descriptor(t.Context(), z.domain)
	must(t, err)
	changed, err := a.directory.take(t.Context(), signed)
	if must(t, err); !changed {
		t.Error("not taken")
	}
	v := a.judge(t.Context(), z.domain)
	if _, ok := a.beliefs.pin(z.domain); ok || v.Row != pki.RowProvisional || v.Login {
		t.Errorf("pinned %v, %+v", ok, v)
	}
	m.until("a.test to say what DNS says", func() error {
		view, err := a.lastView(t.Context())
		s, ok := view.Of(z.domain)
		if err != nil || !ok || !s.Key.IsZero() || s.DNS != signed.CA.Fingerprint() {
			return fmt.Errorf("%+v %v", s, err)
		}
		return nil
	})
	m.federate2("a.test", "b.test")
	m.peer("b.test", "z.test")
	m.until("a.test to believe b.test", func() error {
		if p, ok := a.beliefs.pin(z.domain); !ok || p.Trust != pki.Vouched {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	m.noted("a.test", "z.test", EventPinned, 1)
}

// federate2 makes two domains peers, and waits for the link.
func (m *mesh) federate2(a, b string) {
	m.t.Helper()
	m.peer(a, b)
	m.peer(b, a)
	m.linked(a, 1)
	m.linked(b, 1)
}

// successor stops the node of a domain and starts it anew under a key that the old one hands
// over to, or, without a word of it, under that key.
func (m *mesh) successor(domain string, word bool) pki.SignedSuccession {
	m.t.Helper()
	old := m.nodes[domain]
	authority, succession, err := old.kept.Next.Succeed(rand.Reader, time.Now(), m.authority(domain), pki.Fingerprint{})
	must(m.t, err)
	must(m.t, old.end())
	fresh := m.add(domain, func(c *Config) { c.Listen.KeyServer, c.Listen.Link = old.running.KeyServer, old.running.Link })
	must(m.t, os.WriteFile(filepath.Join(fresh.dir, keysFolder, authorityFile), authority.Marshal(), 0o600))
	if word {
		_, err := m.nodes["a.test"].node.accept(m.t.Context(), succession.Statement().Marshal())
		must(m.t, err)
	}
	fresh.start()
	return succession
}

// A key that hands over to another is followed by all, its peers too, whom nobody asks for it;
// nobody is alarmed. The new key's countersignature takes the place of the old one's.
func TestHandOver(t *testing.T) {
	t.Parallel()
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.line(append(domains, "a.test")...) // a ring, in which d.test is no peer of b.test
	m.confirmed(domains...)
	was := m.authority("b.test").CA().Fingerprint()
	succession := m.successor("b.test", true)
	b := m.nodes["b.test"].domain
	for _, at := range []string{"a.test", "c.test", "d.test"} {
		m.until(at+" to follow", func() error {
			p, _ := m.nodes[at].node.beliefs.pin(b)
			if ca, _ := m.nodes[at].node.directory.authority(b); p.Key != succession.New() || ca.Fingerprint() != p.Key {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
		p, _ := m.nodes[at].node.beliefs.pin(b)
		if fmt.Sprint(p.Former) != fmt.Sprint([]pki.Fingerprint{was}) {
			t.Errorf("%s: former keys %v", at, p.Former)
		}
		if n := len(m.events(at, "b.test", EventDNS)) + len(m.events(at, "b.test", EventHome)); n != 0 {
			t.Errorf("%s is alarmed", at)
		}
		m.noted(at, "b.test", EventRotated, 1)
	}
	m.until("a.test to have countersigned the new key", func() error {
		if cross, _ := m.nodes["a.test"].node.peers.crossOf(b); cross.Fingerprint() != succession.New() {
			return errors.New("not yet")
		}
		return nil
	})
	old, err := m.nodes["a.test"].node.known(t.Context(), b)
	must(t, err)
	if len(old.Former) != 1 || old.Former[0].Fingerprint() != was {
		t.Error("what the old key signed cannot be judged any more")
	}
}

// The same without a word of the old key: all stay with that, and all are told.
func TestSeizure(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	was := m.authority("b.test").CA().Fingerprint()
	m.successor("b.test", false)
	for _, at := range []string{"a.test", "c.test"} {
		m.noted(at, "b.test", EventDNS, 1)
		m.noted(at, "b.test", EventHome, 1)
		if p, _ := m.nodes[at].node.beliefs.pin(m.nodes["b.test"].domain); p.Key != was {
			t.Errorf("%s follows", at)
		}
	}
}

// Who is dropped has no link, is told of by nobody, and its countersignature is gone from the
// key server; it sees that it waits. It may be added again.
func TestPeerDrop(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	cross, _ := a.node.peers.crossOf(b.domain)
	for _, x := range [][2]string{{"a.test", "b.test"}, {"b.test", "a.test"}} { // whose part it is to dial
		one, other := m.nodes[x[0]], m.nodes[x[1]]
		before := m.ownContexts(x[0])
		dropped, err := one.control.DropPeer(t.Context(), other.domain)
		must(t, err)
		if after := m.ownContexts(x[0]); !dropped.Later.IsZero() || after[0].Key.Public() == before[0].Key.Public() || after[0].Hint == before[0].Hint {
			t.Errorf("%s has the contexts still that %s has learnt: %+v", x[0], x[1], dropped)
		}
		m.linked(x[0], 1)
		m.linked(x[1], 1)
		m.until(x[1]+" to see it", func() error {
			peers, err := other.control.Peers(t.Context())
			for _, p := range peers {
				if p.Domain == one.domain && p.State == "waiting for "+x[0] && p.Given && !p.Received {
					return nil
				}
			}
			return fmt.Errorf("%+v %v", peers, err)
		})
		_, err = one.control.DropPeer(t.Context(), other.domain)
		wantErr(t, err, ErrInput)
		if x[0] == "a.test" {
			_, err := a.node.store.CertificateByFingerprint(t.Context(), cross.Fingerprint())
			if err == nil {
				t.Error("the countersignature is still served")
			}
		}
		m.until("c.test to hear of it", func() error {
			edges, err := m.nodes["c.test"].control.Graph(t.Context())
			if err != nil || !slices.Contains(edges, Edge{other.domain, one.domain, false}) || len(edges) != 3 {
				return fmt.Errorf("%v %v", edges, err)
			}
			return nil
		})
		m.peer(x[0], x[1])
		m.linked(x[0], 2)
		m.linked(x[1], 2)
	}
	if diff, err := a.node.store.CompareRing(t.Context()); err != nil || !diff.Same() {
		t.Errorf("%+v %v", diff, err)
	}
}

// A domain that nobody countersigns is relayed by nobody, and known to nobody, however many it
// countersigns itself.
func TestNobodyCountersigns(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "x.test")
	m.federate("a.test", "b.test")
	m.peer("x.test", "a.test")
	m.peer("x.test", "b.test")
	for _, at := range []string{"a.test", "b.test"} {
		_, err := m.tryLink(at, "x.test")
		wantErr(t, err, link.ErrRefused)
		s := m.status(at)
		if len(s.Links) != 1 || s.Servers != 2 || s.Known != 1 || s.Contexts[0].Listeners != 1 || s.Contexts[0].Heard != 0 {
			t.Errorf("%s: %+v", at, s)
		}
		_, err = (keyserver.Client{Dial: m.nodes[at].node.dial}).Server(t.Context(), m.endpoint(at), m.nodes["x.test"].domain)
		wantErr(t, err, keyserver.ErrNotFound)
	}
	if s := m.status("x.test"); len(s.Links) != 0 || s.Known != 0 {
		t.Errorf("x.test: %+v", s)
	}
}

// Without an answer DNS has said what it said last; without a record it says nothing.
func TestSilentDNS(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"].node, m.nodes["b.test"].domain
	_, err := a.lookDNS(t.Context(), b)
	must(t, err)
	if e := a.evidence(t.Context(), b); e.DNS.Key != m.authority("b.test").CA().Fingerprint() {
		t.Errorf("%+v", e)
	}
	must(t, m.dns.Remove(b))
	_, err = a.lookDNS(t.Context(), b)
	wantErr(t, err, dnstxt.ErrNone)
	if e := a.evidence(t.Context(), b); !e.DNS.Key.IsZero() || pki.Judge(e, time.Now()).Send != pki.SendAll {
		t.Errorf("%+v", e)
	}
}
