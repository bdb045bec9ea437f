package dnstxt

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var dial = new(net.Dialer).DialContext

// A counter dials and counts by network.
type counter struct{ udp, tcp atomic.Int32 }

func (c *counter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "udp":
		c.udp.Add(1)
	case "tcp":
		c.tcp.Add(1)
	}
	return dial(ctx, network, address)
}

func TestLookup(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", fullRecord())
	publish(t, r, "large.test", largeRecord())
	for _, tcpOnly := range []bool{false, true} {
		var c counter
		resolver := Resolver{Server: r.Addr(), Dial: c.dial, TCPOnly: tcpOnly}
		for name, want := range map[string]Record{"a.test": fullRecord(), "large.test": largeRecord()} {
			got, err := resolver.Lookup(t.Context(), domain(t, name))
			if err != nil || !got.Equal(want) {
				t.Errorf("%s: got %v, error %v", name, got, err)
			}
		}
		for _, none := range []string{"b.test", "x.a.test"} {
			if _, err := resolver.Lookup(t.Context(), domain(t, none)); !errors.Is(err, ErrNone) {
				t.Errorf("%s: %v, want ErrNone", none, err)
			}
		}
		_, err := resolver.Lookup(t.Context(), domain(t, "a.example"))
		if err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "REFUSED") {
			t.Errorf("a.example: %v, want REFUSED", err)
		}
		if udp, tcp := c.udp.Load(), c.tcp.Load(); tcpOnly != (udp == 0) || tcpOnly != (tcp == 5) {
			t.Errorf("TCPOnly %v: dialled udp %d times, tcp %d times", tcpOnly, udp, tcp)
		}
	}
}

// A hostile server answers each query with the datagrams, or over TCP the first
// message, that a function makes of it. It tells the function the network.
type hostile func(query *dns.Msg, network string) [][]byte

// start returns where the server listens, over UDP and TCP.
func (h hostile) start(t *testing.T) string {
	t.Helper()
	udp, tcp := onePort(t)
	done := make(chan struct{}, 2)
	go func() { h.serveUDP(udp); done <- struct{}{} }()
	go func() { h.serveTCP(tcp); done <- struct{}{} }()
	t.Cleanup(func() { udp.Close(); tcp.Close(); <-done; <-done })
	return udp.LocalAddr().String()
}

// onePort listens on a port that is free for both transports.
func onePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var taken error
	for range portTries {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		taken = errors.Join(err, udp.Close())
	}
	t.Fatal(taken)
	return nil, nil
}

func (h hostile) serveUDP(conn net.PacketConn) {
	b := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		var q dns.Msg
		if q.Unpack(b[:n]) == nil {
			for _, answer := range h(&q, "udp") {
				conn.WriteTo(answer, from)
			}
		}
	}
}

func (h hostile) serveTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		var q dns.Msg
		if b, err := readFramed(conn); err == nil && q.Unpack(b) == nil {
			for _, answer := range h(&q, "tcp") {
				conn.Write(framed(answer))
			}
		}
		conn.Close()
	}
}

// answering returns the answer with the record, after edit.
func answering(query *dns.Msg, edit func(*dns.Msg)) []byte {
	var m dns.Msg
	m.SetReply(query)
	m.Answer = []dns.RR{txt(query.Question[0].Name, least)}
	edit(&m)
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func txt(name string, parts ...string) dns.RR {
	return &dns.TXT{Hdr: header(name, dns.TypeTXT, 60), Txt: parts}
}

func same(*dns.Msg) {}

// owner is the name that the tests below ask for.
const owner = "_p3do.a.test."

// edits are answers in which something is not as it should be, and the error
// that they cause: errNotOurs ones are passed over.
var edits = []struct {
	name string
	edit func(*dns.Msg)
	want error
}{
	{"wrong id", func(m *dns.Msg) { m.Id++ }, errNotOurs},
	{"a query, not an answer", func(m *dns.Msg) { m.Response = false }, errNotOurs},
	{"another opcode", func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, errNotOurs},
	{"no question", func(m *dns.Msg) { m.Question = nil }, errNotOurs},
	{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, errNotOurs},
	{"question with another name", func(m *dns.Msg) { m.Question[0].Name = "_p3do.b.test." }, errNotOurs},
	{"question with another type", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, errNotOurs},
	{"question with another class", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, errNotOurs},
	{"truncated", func(m *dns.Msg) { m.Truncated = true }, errTruncated},
	{"NXDOMAIN", func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeNameError, nil }, ErrNone},
	{"no answer", func(m *dns.Msg) { m.Answer = nil }, ErrNone},
	{"somebody else's TXT", func(m *dns.Msg) { m.Answer = []dns.RR{txt(owner, "v=spf1 -all")} }, ErrNone},
	{"version 2", func(m *dns.Msg) { m.Answer = []dns.RR{txt(owner, "v=P3DO2; whatever")} }, ErrNone},
	{"record of another name", func(m *dns.Msg) { m.Answer = []dns.RR{txt("_p3do.b.test.", least)} }, ErrInvalid},
	{"one more of another name", func(m *dns.Msg) { m.Answer = append(m.Answer, txt("a.test.", least)) }, ErrInvalid},
	{"wildcard shown", func(m *dns.Msg) { m.Answer = []dns.RR{txt("*.a.test.", least)} }, ErrInvalid},
	{"wildcard signed", func(m *dns.Msg) { m.Answer = append(m.Answer, signature(2)) }, ErrInvalid},
	{"CNAME", func(m *dns.Msg) { m.Answer = []dns.RR{alias(owner), txt("b.test.", least)} }, ErrInvalid},
	{"CNAME beside", func(m *dns.Msg) { m.Answer = append(m.Answer, alias(owner)) }, ErrInvalid},
	{"two records", func(m *dns.Msg) { m.Answer = append(m.Answer, txt(owner, least+"; t=1")) }, ErrInvalid},
	{"the same record twice", func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) }, ErrInvalid},
	{"one good, one bad", func(m *dns.Msg) { m.Answer = append(m.Answer, txt(owner, "v=P3DO1; k=rsa")) }, ErrInvalid},
	{"bad record", func(m *dns.Msg) { m.Answer = []dns.RR{txt(owner, "v=P3DO1")} }, ErrInvalid},
	{"escaped", func(m *dns.Msg) { m.Answer = []dns.RR{txt(owner, least+`; x=\000`)} }, ErrInvalid},
	{"class CH", func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS }, ErrInvalid},
	{"33 records", func(m *dns.Msg) {
		for range maxAnswers {
			m.Answer = append(m.Answer, txt(owner, "x"))
		}
	}, ErrInvalid},
}

func signature(labels uint8) dns.RR {
	return &dns.RRSIG{Hdr: header(owner, dns.TypeRRSIG, 60), TypeCovered: dns.TypeTXT, Algorithm: dns.ED25519,
		Labels: labels, SignerName: "a.test.", Signature: "AAAA"}
}

func alias(name string) dns.RR {
	return &dns.CNAME{Hdr: header(name, dns.TypeCNAME, 60), Target: "b.test."}
}

func TestParseAnswer(t *testing.T) {
	q := question{id: 7, owner: owner}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = q.id
	for _, tt := range edits {
		if got, err := q.parse(answering(query, tt.edit)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, error %v, want %v", tt.name, got, err, tt.want)
		}
	}
	for name, edit := range map[string]func(*dns.Msg){
		"plain":            same,
		"compressed":       func(m *dns.Msg) { m.Compress = true },
		"another case":     func(m *dns.Msg) { m.Answer[0].Header().Name = "_P3DO.A.test." },
		"somebody else's":  func(m *dns.Msg) { m.Answer = append(m.Answer, txt(owner, "v=spf1 -all")) },
		"signed":           func(m *dns.Msg) { m.Answer = append(m.Answer, signature(3)) },
		"strings joined":   func(m *dns.Msg) { m.Answer = []dns.RR{txt(owner, least[:30], "", least[30:])} },
		"authority filled": func(m *dns.Msg) { m.Ns = []dns.RR{alias("x.test.")} },
	} {
		if got, err := q.parse(answering(query, edit)); err != nil || !got.Equal(leastRecord()) {
			t.Errorf("%s: got %v, error %v", name, got, err)
		}
	}
}

func TestParseAnswerRaw(t *testing.T) {
	q := question{id: 7, owner: owner}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = q.id
	good := answering(query, same)
	nameAt := headerOctets + len(owner) + 1 + 4 // of the answer's owner
	for _, tt := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, errNotOurs},
		{"half a header", good[:11], errNotOurs},
		{"a header", good[:12], errNotOurs},
		{"cut in the record", good[:len(good)-1], ErrInvalid},
		{"cut behind the question", good[:nameAt], ErrInvalid},
		{"pointer to itself", pointing(good, nameAt, nameAt), ErrInvalid},
		{"pointer forward", pointing(good, nameAt, nameAt+2), ErrInvalid},
		{"pointer beyond the end", pointing(good, nameAt, 0x3fff), ErrInvalid},
		{"more announced than there is", announcing(good, 2), ErrInvalid},
		{"65535 announced", announcing(good, 0xffff), ErrInvalid},
	} {
		if got, err := q.parse(tt.raw); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, error %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// pointing overwrites the name at an offset with a compression pointer.
func pointing(b []byte, at, target int) []byte {
	b = append([]byte{}, b...)
	binary.BigEndian.PutUint16(b[at:], 0xc000|uint16(target))
	return b
}

// announcing overwrites the number of answers in the header.
func announcing(b []byte, answers uint16) []byte {
	b = append([]byte{}, b...)
	binary.BigEndian.PutUint16(b[6:], answers)
	return b
}

func TestReferralAndFailureAreNotAbsence(t *testing.T) {
	q := question{id: 7, owner: owner}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = q.id
	for name, edit := range map[string]func(*dns.Msg){
		"SERVFAIL": func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
		"REFUSED":  func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
		"referral": func(m *dns.Msg) {
			m.Answer = nil
			m.Ns = []dns.RR{&dns.NS{Hdr: header("a.test.", dns.TypeNS, 60), Ns: "ns.a.test."}}
		},
	} {
		_, err := q.parse(answering(query, edit))
		if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrInvalid) || errors.Is(err, errNotOurs) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForgedAnswersArePassedOver: whoever guesses neither the id nor the
// question cannot stop the right answer that follows.
func TestForgedAnswersArePassedOver(t *testing.T) {
	server := hostile(func(query *dns.Msg, _ string) [][]byte {
		var all [][]byte
		for _, tt := range edits {
			if errors.Is(tt.want, errNotOurs) {
				all = append(all, answering(query, tt.edit))
			}
		}
		tooLong := answering(query, func(m *dns.Msg) {
			for range 20 {
				m.Answer = append(m.Answer, txt(owner, strings.Repeat("x", 250)))
			}
		})
		return append(all, []byte("noise"), tooLong, answering(query, same))
	}).start(t)
	got, err := Resolver{Server: server, Dial: dial}.Lookup(t.Context(), domain(t, "a.test"))
	if err != nil || !got.Equal(leastRecord()) {
		t.Errorf("got %v, error %v", got, err)
	}
}

func TestOnlyForgedAnswers(t *testing.T) {
	var queries atomic.Int32
	server := hostile(func(query *dns.Msg, _ string) [][]byte {
		queries.Add(1)
		forged := answering(query, func(m *dns.Msg) { m.Id++ })
		all := make([][]byte, udpStrayed)
		for i := range all {
			all[i] = forged
		}
		return all
	}).start(t)
	resolver := Resolver{Server: server, Dial: dial, Timeout: time.Minute}
	_, err := resolver.Lookup(t.Context(), domain(t, "a.test"))
	if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if n := queries.Load(); n != udpTries {
		t.Errorf("%d queries, want %d", n, udpTries)
	}
}

func TestSilence(t *testing.T) {
	var c counter
	server := hostile(func(*dns.Msg, string) [][]byte { return nil }).start(t)
	resolver := Resolver{Server: server, Dial: c.dial, Timeout: 20 * time.Millisecond}
	_, err := resolver.Lookup(t.Context(), domain(t, "a.test"))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
	if c.udp.Load() != udpTries || c.tcp.Load() != 0 {
		t.Errorf("dialled udp %d times, tcp %d times", c.udp.Load(), c.tcp.Load())
	}
	resolver.TCPOnly = true
	if _, err := resolver.Lookup(t.Context(), domain(t, "a.test")); err == nil || c.tcp.Load() != tcpTries {
		t.Errorf("got %v after %d connections", err, c.tcp.Load())
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := hostile(func(*dns.Msg, string) [][]byte { cancel(); return nil }).start(t)
	resolver := Resolver{Server: server, Dial: dial, Timeout: time.Hour}
	if _, err := resolver.Lookup(ctx, domain(t, "a.test")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLookupRefuses(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 62)+".", 3) + strings.Repeat("a", 60)
	for name, err := range map[string]error{
		"no server":   lookup(t, Resolver{Dial: dial}, "a.test"),
		"no dialler":  lookup(t, Resolver{Server: "127.0.0.1:53"}, "a.test"),
		"long domain": lookup(t, Resolver{Server: "127.0.0.1:53", Dial: dial}, long),
	} {
		if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func lookup(t *testing.T, r Resolver, name string) error {
	t.Helper()
	_, err := r.Lookup(t.Context(), domain(t, name))
	return err
}

func TestTruncatedOverTCP(t *testing.T) {
	server := hostile(func(query *dns.Msg, _ string) [][]byte {
		return [][]byte{answering(query, func(m *dns.Msg) { m.Truncated = true })}
	}).start(t)
	_, err := Resolver{Server: server, Dial: dial}.Lookup(t.Context(), domain(t, "a.test"))
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestOverTCPAnotherAnswerIsRefused(t *testing.T) {
	server := hostile(func(query *dns.Msg, _ string) [][]byte {
		return [][]byte{answering(query, func(m *dns.Msg) { m.Id++ })}
	}).start(t)
	_, err := Resolver{Server: server, Dial: dial, TCPOnly: true}.Lookup(t.Context(), domain(t, "a.test"))
	if err == nil || errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
}

// FuzzAnswer: any bytes give a valid record or an error.
func FuzzAnswer(f *testing.F) {
	q := question{id: 7, owner: owner}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = q.id
	f.Add(answering(query, same))
	f.Add(answering(query, func(m *dns.Msg) { m.Compress = true }))
	for _, tt := range edits {
		f.Add(answering(query, tt.edit))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := q.parse(raw)
		if err == nil && r.Check() != nil {
			t.Fatalf("%x: accepted %v, which is not valid", raw, r)
		}
	})
}
