package dnstxt

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var dial = new(net.Dialer).DialContext

// server is the one at an address, over TCP.
func server(t testing.TB, address string) Server {
	t.Helper()
	s, err := ParseServer(address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parse reads an answer and judges it.
func parse(q question, raw []byte) (Answer, error) {
	m, err := q.read(raw)
	if err != nil {
		return Answer{}, err
	}
	return q.judge(m)
}

// askUDP asks a responder for a record over UDP, which a Resolver never does.
func askUDP(t testing.TB, address, name string) (Answer, error) {
	t.Helper()
	q := question{1, ownerPrefix + name + ".", dns.TypeTXT}
	query, err := q.pack(false)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(query); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, maxMessage)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return parse(q, answer[:n])
}

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
	var c counter
	resolver := Resolver{Server: server(t, r.Addr()), Dial: c.dial}
	for name, want := range map[string]Record{"a.test": fullRecord(), "large.test": largeRecord()} {
		got, err := resolver.Look(t.Context(), domain(t, name))
		if err != nil || !got.Equal(want) || got.Security != Plain || got.Why == "" || got.TTL != recordTTL*time.Second {
			t.Errorf("%s: got %v, error %v", name, got, err)
		}
	}
	for _, none := range []string{"b.test", "x.a.test"} {
		if got, err := resolver.Look(t.Context(), domain(t, none)); !errors.Is(err, ErrNone) || got.Security != None {
			t.Errorf("%s: %v, want ErrNone", none, err)
		}
	}
	_, err := resolver.Lookup(t.Context(), domain(t, "a.example"))
	if err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "REFUSED") {
		t.Errorf("a.example: %v, want REFUSED", err)
	}
	if udp, tcp := c.udp.Load(), c.tcp.Load(); udp != 0 || tcp != 5 {
		t.Errorf("dialled udp %d times, tcp %d times", udp, tcp)
	}
}

// A hostile server answers each query with the messages that a function makes of it, and
// closes the connection if that makes none.
type hostile func(query *dns.Msg) [][]byte

// start returns where the server listens.
func (h hostile) start(t *testing.T) Server {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { h.serve(tcp); close(done) }()
	t.Cleanup(func() { tcp.Close(); <-done })
	return server(t, tcp.Addr().String())
}

func (h hostile) serve(listener net.Listener) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		all.Go(func() { h.serveConn(conn) })
	}
}

// serveConn answers until there is no answer, or the client has gone.
func (h hostile) serveConn(conn net.Conn) {
	defer conn.Close()
	for {
		var q dns.Msg
		b, err := readFramed(conn)
		if err != nil || q.Unpack(b) != nil {
			return
		}
		answers := h(&q)
		for _, answer := range answers {
			conn.Write(framed(answer))
		}
		if len(answers) == 0 {
			return
		}
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
	{"truncated", func(m *dns.Msg) { m.Truncated = true }, ErrInvalid},
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
	q := question{7, owner, dns.TypeTXT}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = q.id
	for _, tt := range edits {
		if got, err := parse(q, answering(query, tt.edit)); !errors.Is(err, tt.want) {
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
		if got, err := parse(q, answering(query, edit)); err != nil || !got.Equal(leastRecord()) {
			t.Errorf("%s: got %v, error %v", name, got, err)
		}
	}
}

func TestParseAnswerRaw(t *testing.T) {
	q := question{7, owner, dns.TypeTXT}
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
		if got, err := parse(q, tt.raw); !errors.Is(err, tt.want) {
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
	q := question{7, owner, dns.TypeTXT}
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
		_, err := parse(q, answering(query, edit))
		if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrInvalid) || errors.Is(err, errNotOurs) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What answers something else than what was asked is no answer, and nothing is waited for
// behind it.
func TestForgedAnswersAreErrors(t *testing.T) {
	for _, tt := range edits {
		if !errors.Is(tt.want, errNotOurs) {
			continue
		}
		at := hostile(func(query *dns.Msg) [][]byte {
			return [][]byte{answering(query, tt.edit), answering(query, same)}
		}).start(t)
		err := lookup(t, Resolver{Server: at, Dial: dial}, "a.test")
		if !errors.Is(err, errNotOurs) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A server that says nothing, or half a message, is asked twice.
func TestSilence(t *testing.T) {
	for what, said := range map[string][][]byte{"nothing": nil, "half a message": {make([]byte, 5)}} {
		var c counter
		release := make(chan struct{})
		at := hostile(func(*dns.Msg) [][]byte { <-release; return said }).start(t)
		err := lookup(t, Resolver{Server: at, Dial: c.dial, Timeout: 20 * time.Millisecond}, "a.test")
		close(release)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v, want a timeout", what, err)
		}
		if c.tcp.Load() != tries {
			t.Errorf("%s: %d connections", what, c.tcp.Load())
		}
	}
}

// A connection that is closed is opened again, once.
func TestClosedConnections(t *testing.T) {
	var c counter
	at := hostile(func(*dns.Msg) [][]byte { return nil }).start(t)
	err := lookup(t, Resolver{Server: at, Dial: c.dial, Timeout: time.Minute}, "a.test")
	if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrInvalid) || c.tcp.Load() != tries {
		t.Errorf("%v, after %d connections", err, c.tcp.Load())
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	at := hostile(func(*dns.Msg) [][]byte { cancel(); <-release; return nil }).start(t)
	resolver := Resolver{Server: at, Dial: dial, Timeout: time.Hour}
	if _, err := resolver.Lookup(ctx, domain(t, "a.test")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLookupRefuses(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 62)+".", 3) + strings.Repeat("a", 60)
	at := server(t, "127.0.0.1:53")
	for name, err := range map[string]error{
		"no server":   lookup(t, Resolver{Dial: dial}, "a.test"),
		"no dialler":  lookup(t, Resolver{Server: at}, "a.test"),
		"long domain": lookup(t, Resolver{Server: at, Dial: dial}, long),
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
	at := hostile(func(query *dns.Msg) [][]byte {
		return [][]byte{answering(query, func(m *dns.Msg) { m.Truncated = true })}
	}).start(t)
	if err := lookup(t, Resolver{Server: at, Dial: dial}, "a.test"); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

// FuzzAnswer: any bytes give a valid record or an error.
func FuzzAnswer(f *testing.F) {
	q := question{7, owner, dns.TypeTXT}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = q.id
	f.Add(answering(query, same))
	f.Add(answering(query, func(m *dns.Msg) { m.Compress = true }))
	for _, tt := range edits {
		f.Add(answering(query, tt.edit))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parse(q, raw)
		if err == nil && r.Check() != nil {
			t.Fatalf("%x: accepted %v, which is not valid", raw, r)
		}
	})
}
