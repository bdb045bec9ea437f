package dnstxt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/internal/dnsserver"
	"github.com/p3do/p3do/pki"
)

// newResponder starts a Responder for the zone test. It is stopped, and all its
// goroutines waited for, at the end of the test.
func newResponder(t testing.TB) *Responder {
	t.Helper()
	r, err := Listen("127.0.0.1:0", "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	})
	return r
}

func publish(t testing.TB, r *Responder, name string, record Record) {
	t.Helper()
	if err := r.Set(domain(t, name), record); err != nil {
		t.Fatal(err)
	}
}

// ask sends one query to the zone itself.
func ask(t testing.TB, r *Responder, limit int, edit func(*dns.Msg)) *dns.Msg {
	t.Helper()
	var q, a dns.Msg
	q.SetQuestion("_p3do.a.test.", dns.TypeTXT)
	edit(&q)
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	answer := r.zone.reply(b, limit)
	if len(answer) > limit {
		t.Errorf("an answer of %d octets, at most %d", len(answer), limit)
	}
	if err := a.Unpack(answer); err != nil {
		t.Fatalf("%v in %x", err, answer)
	}
	if a.Id != q.Id || !a.Response {
		t.Errorf("id %d and response %v", a.Id, a.Response)
	}
	return &a
}

func TestAnswers(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", leastRecord())
	publish(t, r, "x.y.b.test", leastRecord())
	question := func(name string, kind uint16) func(*dns.Msg) {
		return func(m *dns.Msg) { m.Question[0].Name, m.Question[0].Qtype = name, kind }
	}
	for _, tt := range []struct {
		name    string
		edit    func(*dns.Msg)
		rcode   int
		answers int
	}{
		{"the record", func(*dns.Msg) {}, dns.RcodeSuccess, 1},
		{"any case", question("_P3DO.a.TEST.", dns.TypeTXT), dns.RcodeSuccess, 1},
		{"ANY", question("_p3do.a.test.", dns.TypeANY), dns.RcodeSuccess, 1},
		{"another type", question("_p3do.a.test.", dns.TypeA), dns.RcodeSuccess, 0},
		{"the name above", question("a.test.", dns.TypeTXT), dns.RcodeSuccess, 0},
		{"two names above", question("b.test.", dns.TypeTXT), dns.RcodeSuccess, 0},
		{"the apex", question("test.", dns.TypeTXT), dns.RcodeSuccess, 0},
		{"SOA", question("test.", dns.TypeSOA), dns.RcodeSuccess, 1},
		{"no such name", question("_p3do.c.test.", dns.TypeTXT), dns.RcodeNameError, 0},
		{"below a record", question("x._p3do.a.test.", dns.TypeTXT), dns.RcodeNameError, 0},
		{"a name that ends alike", question("a.mytest.", dns.TypeTXT), dns.RcodeRefused, 0},
		{"the root", question(".", dns.TypeNS), dns.RcodeRefused, 0},
		{"AXFR", question("test.", dns.TypeAXFR), dns.RcodeRefused, 0},
		{"IXFR", question("test.", dns.TypeIXFR), dns.RcodeRefused, 0},
		{"class CH", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused, 0},
		{"class ANY", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }, dns.RcodeRefused, 0},
		{"UPDATE", func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented, 0},
		{"no question", func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError, 0},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError, 0},
		{"EDNS 1", func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }, dns.RcodeBadVers, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ask(t, r, udpSize, tt.edit)
			if a.Rcode != tt.rcode || len(a.Answer) != tt.answers || a.Truncated {
				t.Fatalf("got %v", a)
			}
			own := tt.rcode == dns.RcodeSuccess || tt.rcode == dns.RcodeNameError
			if a.Authoritative != own || a.RecursionAvailable {
				t.Errorf("flags: %v", a.MsgHdr)
			}
			if negative := own && tt.answers == 0; negative != hasSOA(a.Ns) {
				t.Errorf("authority: %v", a.Ns)
			}
		})
	}
}

func hasSOA(rrs []dns.RR) bool {
	return slices.ContainsFunc(rrs, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

func TestSetAndRemove(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", leastRecord())
	publish(t, r, "a.test", fullRecord())
	publish(t, r, "b.a.test", leastRecord())
	same := func(*dns.Msg) {}
	if got := strings.Join(ask(t, r, dns.MaxMsgSize, same).Answer[0].(*dns.TXT).Txt, ""); got != fullRecord().String() {
		t.Errorf("got %s", got)
	}
	serial := func() uint32 { _, _, n := r.zone.look("test."); return n }
	before := serial()
	for range 2 { // the second time there is nothing to remove
		if err := r.Remove(domain(t, "a.test")); err != nil {
			t.Fatal(err)
		}
	}
	if serial() != before+1 {
		t.Errorf("serial %d, want %d", serial(), before+1)
	}
	if a := ask(t, r, udpSize, same); a.Rcode != dns.RcodeNameError {
		t.Errorf("after Remove: %v", a)
	}
	if _, exists, _ := r.zone.look("a.test."); !exists {
		t.Error("a.test does not exist, but b.a.test has a record")
	}
	if err := r.Remove(domain(t, "b.a.test")); err != nil {
		t.Fatal(err)
	}
	if len(r.zone.nodes) != 0 || len(r.zone.records) != 0 {
		t.Errorf("left behind: %v %v", r.zone.nodes, r.zone.records)
	}
}

func TestSetRefuses(t *testing.T) {
	r := newResponder(t)
	if err := r.Set(domain(t, "a.example"), leastRecord()); err == nil {
		t.Error("a domain outside the zone")
	}
	if err := r.Set(pki.Domain{}, leastRecord()); err == nil {
		t.Error("no domain")
	}
	if err := r.Set(domain(t, "a.test"), Record{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty record: %v", err)
	}
	for i := range MaxRecords {
		publish(t, r, fmt.Sprintf("d%d.test", i), leastRecord())
	}
	if err := r.Set(domain(t, "more.test"), leastRecord()); err == nil {
		t.Error("one record too many")
	}
	publish(t, r, "d0.test", fullRecord()) // replacing goes on
}

func TestListenRefuses(t *testing.T) {
	for _, tt := range []struct{ address, zone string }{
		{"127.0.0.1:0", ""}, {"127.0.0.1:0", "Test"}, {"127.0.0.1:0", "test."}, {"127.0.0.1:0", "a b"},
		{"127.0.0.1", "test"}, {"localhost:0", "test"}, {":0", "test"},
	} {
		if r, err := Listen(tt.address, tt.zone); err == nil {
			r.Close()
			t.Errorf("Listen(%q, %q) was accepted", tt.address, tt.zone)
		}
	}
	r := newResponder(t)
	if again, err := Listen(r.Addr(), "test"); err == nil {
		again.Close()
		t.Error("a port was taken twice")
	}
}

func TestTruncation(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", largeRecord())
	edns := func(size uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(size, false) } }
	for _, tt := range []struct {
		name      string
		limit     int
		edit      func(*dns.Msg)
		truncated bool
	}{
		{"UDP without EDNS", udpSize, func(*dns.Msg) {}, true},
		{"UDP with 512", udpSize, edns(512), true},
		{"UDP with 100 counts as 512", udpSize, edns(100), true},
		{"UDP with 1232", udpSize, edns(1232), false},
		{"UDP with 65535 counts as 1232", udpSize, edns(65535), false},
		{"TCP", dns.MaxMsgSize, func(*dns.Msg) {}, false},
	} {
		a := ask(t, r, tt.limit, tt.edit)
		if a.Truncated != tt.truncated || (len(a.Answer) == 0) != tt.truncated {
			t.Errorf("%s: truncated %v, %d answers", tt.name, a.Truncated, len(a.Answer))
		}
	}
}

func TestNotAQueryGetsNoAnswer(t *testing.T) {
	r := newResponder(t)
	answer := make([]byte, 12)
	answer[2] = 0x80
	for _, b := range [][]byte{nil, make([]byte, 11), answer} {
		if got := r.zone.reply(b, udpSize); got != nil {
			t.Errorf("%x was answered with %x", b, got)
		}
	}
}

func TestRunReturnsWhenAllIsDone(t *testing.T) {
	r, err := Listen("127.0.0.1:0", "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	conn, err := net.Dial("tcp", r.Addr()) // a client that says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resolver := Resolver{Server: server(t, r.Addr()), Dial: dial}
	if _, err := resolver.Lookup(ctx, domain(t, "a.test")); !errors.Is(err, ErrNone) {
		t.Fatal(err)
	}
	cancel()
	start := time.Now()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > tcpIdle/2 {
		t.Errorf("Run took %v to end", took)
	}
	conn.SetReadDeadline(time.Now().Add(tcpIdle))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	again, err := Listen(r.Addr(), "test") // the port is free again
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestManyQueriesOnOneConnection(t *testing.T) {
	r := newResponder(t)
	publish(t, r, "a.test", leastRecord())
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for id := range uint16(100) {
		q := question{id, owner, dns.TypeTXT}
		query, err := q.pack(false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(framed(query)); err != nil {
			t.Fatal(err)
		}
		raw, err := readFramed(conn)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parse(q, raw); err != nil || !got.Equal(leastRecord()) {
			t.Fatalf("query %d: %v, %v", id, got, err)
		}
	}
}

// program returns the path of a program that judges us from outside, or ends the test.
func program(t *testing.T, name string) string {
	t.Helper()
	return dnsserver.Program(t, name)
}

func TestDig(t *testing.T) {
	path := program(t, "dig")
	r := newResponder(t)
	publish(t, r, "a.test", fullRecord())
	publish(t, r, "large.test", largeRecord())
	host, port, _ := net.SplitHostPort(r.Addr())
	dig := func(args ...string) string {
		t.Helper()
		args = append([]string{"@" + host, "-p", port, "+tries=1", "+time=3"}, args...)
		out, err := exec.Command(path, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dig %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	short := func(r Record) string { return `"` + strings.Join(r.Strings(), `" "`) + "\"\n" }
	if got := dig("+short", "_p3do.a.test", "TXT"); got != short(fullRecord()) {
		t.Errorf("got %s", got)
	}
	if got := dig("+short", "+tcp", "_p3do.a.test", "TXT"); got != short(fullRecord()) {
		t.Errorf("over TCP: got %s", got)
	}
	if got := dig("+short", "+noedns", "_p3do.large.test", "TXT"); !strings.HasSuffix(got, short(largeRecord())) {
		t.Errorf("truncated, then over TCP: got %s", got)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"_p3do.none.test", "TXT"}, []string{"status: NXDOMAIN", "SOA", " aa "}},
		{[]string{"a.test", "TXT"}, []string{"status: NOERROR", "ANSWER: 0", "SOA"}},
		{[]string{"_p3do.a.example", "TXT"}, []string{"status: REFUSED"}},
		{[]string{"_p3do.a.test", "TXT", "CH"}, []string{"status: REFUSED"}},
		{[]string{"test", "AXFR"}, []string{"Transfer failed"}},
		{[]string{"+noedns", "+ignore", "_p3do.large.test", "TXT"}, []string{" tc", "ANSWER: 0"}},
		{[]string{"_p3do.a.test", "TXT"}, []string{"udp: 1232"}},
	} {
		got := dig(tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("dig %v: no %q in\n%s", tt.args, want, got)
			}
		}
	}
}

// FuzzQuery: any datagram gets an answer that is a DNS message with its id, or
// none.
func FuzzQuery(f *testing.F) {
	z, err := newZone("test")
	if err != nil {
		f.Fatal(err)
	}
	a, err := pki.ParseDomain("a.test")
	if err != nil {
		f.Fatal(err)
	}
	if err := z.set(a, leastRecord()); err != nil {
		f.Fatal(err)
	}
	query, err := question{1, owner, dns.TypeTXT}.pack(false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(query)
	f.Add(query[:20])
	f.Fuzz(func(t *testing.T, query []byte) {
		answer := z.reply(query, udpSize)
		if answer == nil {
			return
		}
		var m dns.Msg
		if err := m.Unpack(answer); err != nil || !m.Response || len(answer) > udpSize {
			t.Fatalf("%x: answered %x, %v", query, answer, err)
		}
		if answer[0] != query[0] || answer[1] != query[1] {
			t.Fatalf("%x: answered with another id", query)
		}
	})
}

func BenchmarkReply(b *testing.B) {
	z, err := newZone("test")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		if err := z.set(domain(b, fmt.Sprintf("d%d.test", i)), leastRecord()); err != nil {
			b.Fatal(err)
		}
	}
	query, err := question{1, "_p3do.d500.test.", dns.TypeTXT}.pack(false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if z.reply(query, udpSize) == nil {
			b.Fatal("no answer")
		}
	}
}
