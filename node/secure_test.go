package node

import (
	"crypto"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

// A notary is a resolver of the zone test. It signs what the mesh's says, or not.
type notary struct {
	behind  string // the mesh's
	key     *dns.DNSKEY
	by      crypto.Signer
	signing atomic.Bool
	spoils  atomic.Bool
	spoilt  atomic.Int64 // signatures
}

// startNotary returns one that signs, where it listens, and a file with its key.
func startNotary(t *testing.T, behind string) (n *notary, address, anchors string) {
	t.Helper()
	key := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60}, Flags: 257, Protocol: 3, Algorithm: dns.ED25519}
	private, err := key.Generate(256)
	must(t, err)
	n = &notary{behind: behind, key: key, by: private.(crypto.Signer)}
	n.signing.Store(true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { n.serve(&dns.Conn{Conn: conn}) })
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	anchors = filepath.Join(t.TempDir(), "test.key")
	must(t, os.WriteFile(anchors, []byte(key.String()), 0o600))
	return n, listener.Addr().String(), anchors
}

func (n *notary) serve(conn *dns.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	for {
		q, err := conn.ReadMsg()
		if err != nil {
			return
		}
		m, err := n.answer(q)
		if err != nil || conn.WriteMsg(m) != nil {
			return
		}
	}
}

func (n *notary) answer(q *dns.Msg) (*dns.Msg, error) {
	if q.Question[0].Qtype == dns.TypeDNSKEY {
		m := new(dns.Msg).SetReply(q)
		m.Answer = n.sign([]dns.RR{n.key})
		return m, nil
	}
	m, _, err := (&dns.Client{Net: "tcp"}).Exchange(q, n.behind)
	if err == nil && len(m.Answer) > 0 && n.signing.Load() {
		m.Answer = n.sign(m.Answer)
	}
	return m, err
}

func (n *notary) sign(set []dns.RR) []dns.RR {
	now := time.Now()
	sig := &dns.RRSIG{
		Hdr: dns.RR_Header{Name: set[0].Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: set[0].Header().Ttl}, Algorithm: n.key.Algorithm,
		KeyTag: n.key.KeyTag(), SignerName: "test.", Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(time.Hour).Unix()),
	}
	if err := sig.Sign(n.by, set); err != nil {
		panic(err)
	}
	if n.spoils.Load() && set[0].Header().Rrtype == dns.TypeTXT {
		sig.Signature = sig.Signature[:4] + "AAAA" + sig.Signature[8:]
		n.spoilt.Add(1)
	}
	return append(set, sig)
}

// Whether DNSSEC vouches for a record is remembered, said to peers, and told when it changes: once
// each way, and the key stays what it is.
func TestSecureDNSIsNoted(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "b.test")
	n, address, anchors := startNotary(t, m.dns.Addr())
	m.add("a.test", func(c *Config) { c.DNS.Server, c.DNS.Anchors = address, anchors }).start()
	m.federate("a.test", "b.test")
	key := m.authority("b.test").CA().Fingerprint()
	seen := func(want string) {
		t.Helper()
		m.until("DNS to be "+want, func() error {
			j, err := m.nodes["a.test"].control.VerifyPeer(t.Context(), m.nodes["b.test"].domain)
			if err == nil && (j.Security != want || j.Known != key) {
				err = fmt.Errorf("%+v", j)
			}
			return err
		})
	}
	seen("secure")
	m.until("b.test to hear that a.test sees it signed", func() error {
		view, ok := m.nodes["b.test"].node.beliefs.view(m.nodes["a.test"].domain)
		if s, found := view.Of(m.nodes["b.test"].domain); !ok || !found || !s.Secure || s.DNS != key {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	m.looked("a.test", "b.test")
	m.noted("a.test", "b.test", EventDNS, 0)
	for i, signing := range []bool{false, true} {
		n.signing.Store(signing)
		m.noted("a.test", "b.test", EventDNS, i+1)
		m.looked("a.test", "b.test")
		m.noted("a.test", "b.test", EventDNS, i+1)
		seen(pki.DNSEvidence{Key: key, Secure: signing}.Security())
		told := 0
		want := map[bool]string{true: "DNSSEC vouches for it now", false: "DNSSEC does not vouch for it any more"}[signing]
		for _, e := range m.events("a.test", "b.test", EventDNS) {
			if strings.Contains(e.Words, want) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times: %s", told, want)
		}
	}
	n.spoils.Store(true) // which is no answer: what DNS said last is all that is known
	m.until("looks at spoilt signatures", func() error {
		if spoilt := n.spoilt.Load(); spoilt < 4 {
			return fmt.Errorf("%d so far", spoilt)
		}
		return nil
	})
	seen("secure")
	m.noted("a.test", "b.test", EventDNS, 2)
	n.spoils.Store(false)
	must(t, m.dns.Remove(m.nodes["b.test"].domain))
	seen("none")
}
