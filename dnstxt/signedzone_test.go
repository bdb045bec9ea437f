package dnstxt

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

// zoneStart is when the zones of the tests are made.
var zoneStart = time.Unix(1_800_000_000, 0)

func newZoneKey(t testing.TB) ZoneKey {
	t.Helper()
	key, err := NewZoneKey(bytes.NewReader(bytes.Repeat([]byte{7}, ZoneKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func zoneConfig(t testing.TB) ZoneConfig {
	return ZoneConfig{
		Domain: domain(t, "a.test"), Key: newZoneKey(t), TTL: 3600,
		Nameservers: []pki.Domain{domain(t, "ns1.a.test"), domain(t, "ns2.b.test")},
	}
}

func newSignedZone(t testing.TB, now time.Time) *SignedZone {
	t.Helper()
	z, err := NewSignedZone(zoneConfig(t), leastRecord(), now)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// signedQuery is a question for TXT with DO, as edit leaves it.
func signedQuery(t testing.TB, edit func(*dns.Msg)) []byte {
	t.Helper()
	var q dns.Msg
	q.SetQuestion("_p3do.a.test.", dns.TypeTXT)
	q.SetEdns0(1232, true)
	q.Id = 0x1234
	if edit != nil {
		edit(&q)
	}
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func askZone(t testing.TB, z *SignedZone, limit int, now time.Time, edit func(*dns.Msg)) *dns.Msg {
	t.Helper()
	raw := z.reply(nil, signedQuery(t, edit), limit, now)
	if len(raw) > max(limit, 0) {
		t.Errorf("an answer of %d octets, at most %d", len(raw), limit)
	}
	var a dns.Msg
	if err := a.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	return &a
}

// verified checks every set of an answer against the key of the zone, and returns how many
// there were.
func verified(t *testing.T, z *SignedZone, now time.Time, rrs []dns.RR) int {
	t.Helper()
	sets, signatures := map[string][]dns.RR{}, map[string]*dns.RRSIG{}
	name := func(rr dns.RR, kind uint16) string { return strings.ToLower(rr.Header().Name) + dns.TypeToString[kind] }
	for _, rr := range rrs {
		if s, ok := rr.(*dns.RRSIG); ok {
			signatures[name(s, s.TypeCovered)] = s
		} else {
			sets[name(rr, rr.Header().Rrtype)] = append(sets[name(rr, rr.Header().Rrtype)], rr)
		}
	}
	for of, set := range sets {
		s := signatures[of]
		if s == nil {
			t.Fatalf("%s is not signed", of)
		}
		if err := s.Verify(z.cfg.Key.dnskey(z.apex, 0), set); err != nil || !s.ValidityPeriod(now) {
			t.Errorf("%s: %v, good from %d to %d", of, err, s.Inception, s.Expiration)
		}
	}
	if len(sets) != len(signatures) {
		t.Errorf("%d sets, %d signatures", len(sets), len(signatures))
	}
	return len(sets)
}

// Each kind of question about the zone and about what is not in it, with and without DO.
func TestSignedAnswers(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	apex, under := "_p3do.a.test.", "x.y._p3do.a.test."
	for _, tt := range []struct {
		name               string
		kind               uint16
		rcode              int // with DO
		plain              int // without
		answers, authority int // sets
	}{
		{apex, dns.TypeTXT, 0, 0, 1, 0},
		{apex, dns.TypeNS, 0, 0, 1, 0},
		{apex, dns.TypeSOA, 0, 0, 1, 0},
		{apex, dns.TypeDNSKEY, 0, 0, 1, 0},
		{apex, dns.TypeCDS, 0, 0, 1, 0},
		{apex, dns.TypeCDNSKEY, 0, 0, 1, 0},
		{apex, dns.TypeNSEC, 0, 0, 1, 0},
		{apex, dns.TypeANY, 0, 0, 1, 0},
		{apex, dns.TypeA, 0, 0, 0, 2},
		{apex, dns.TypeDS, 0, 0, 0, 2},
		{"_P3Do.A.tEst.", dns.TypeAAAA, 0, 0, 0, 2},
		{under, dns.TypeTXT, 0, dns.RcodeNameError, 0, 2},
		{"*." + apex, dns.TypeTXT, 0, dns.RcodeNameError, 0, 2},
		{`\000.` + apex, dns.TypeA, 0, dns.RcodeNameError, 0, 2},
		{"X.Y._p3DO.a.TEST.", dns.TypeNS, 0, dns.RcodeNameError, 0, 2},
		{apex, dns.TypeAXFR, dns.RcodeRefused, dns.RcodeRefused, 0, 0},
		{apex, dns.TypeIXFR, dns.RcodeRefused, dns.RcodeRefused, 0, 0},
		{"a.test.", dns.TypeTXT, dns.RcodeRefused, dns.RcodeRefused, 0, 0},
		{"a_p3do.a.test.", dns.TypeTXT, dns.RcodeRefused, dns.RcodeRefused, 0, 0},
		{".", dns.TypeNS, dns.RcodeRefused, dns.RcodeRefused, 0, 0},
		{apex, typeNXNAME, dns.RcodeFormatError, dns.RcodeFormatError, 0, 0},
	} {
		t.Run(fmt.Sprintf("%s-%d", tt.name, tt.kind), func(t *testing.T) {
			ask := func(m *dns.Msg) { m.Question[0].Name, m.Question[0].Qtype = tt.name, tt.kind }
			a := askZone(t, z, udpSize, zoneStart, ask)
			if a.Rcode != tt.rcode || a.Truncated || a.Id != 0x1234 || a.Question[0].Name != tt.name {
				t.Errorf("with DO: %v", a)
			}
			if opt := a.IsEdns0(); opt == nil || !opt.Do() || opt.UDPSize() != udpSize || opt.Co() {
				t.Errorf("OPT: %v", opt)
			}
			if n := verified(t, z, zoneStart, a.Answer); n != tt.answers {
				t.Errorf("%d sets in the answer, not %d: %v", n, tt.answers, a)
			}
			if n := verified(t, z, zoneStart, a.Ns); n != tt.authority {
				t.Errorf("%d sets of authority, not %d: %v", n, tt.authority, a)
			}
			if a.Authoritative != (tt.answers+tt.authority > 0) {
				t.Errorf("AA is %v", a.Authoritative)
			}
			plain := askZone(t, z, udpSize, zoneStart, func(m *dns.Msg) { ask(m); m.Extra = nil })
			if plain.Rcode != tt.plain || plain.IsEdns0() != nil || len(plain.Ns) > 1 || hasSOA(plain.Ns) != (tt.authority > 0) {
				t.Errorf("without DO: %v", plain)
			}
			for _, rr := range slices.Concat(plain.Answer, plain.Ns) {
				if _, ok := rr.(*dns.RRSIG); ok {
					t.Errorf("without DO: %v", rr)
				}
			}
		})
	}
}

// Only who says so is told NXDOMAIN beside NXNAME (RFC 9824, section 5.1).
func TestCompactDenial(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	longest := strings.Repeat("a23456789.", 24)[:253-len("_p3do.a.test.")-1] + "a._p3do.a.test."
	for _, name := range []string{"x._p3do.a.test.", longest} {
		for _, co := range []bool{false, true} {
			a := askZone(t, z, udpSize, zoneStart, func(m *dns.Msg) {
				m.Question[0].Name = name
				m.IsEdns0().SetCo(co)
			})
			want := dns.RcodeSuccess
			if co {
				want = dns.RcodeNameError
			}
			if a.Rcode != want || a.IsEdns0().Co() != co {
				t.Errorf("CO %v: %v", co, a)
			}
			verified(t, z, zoneStart, a.Ns)
			for _, rr := range a.Ns {
				nsec, ok := rr.(*dns.NSEC)
				if ok && (nsec.Hdr.Name != name || !slices.Equal(nsec.TypeBitMap, []uint16{dns.TypeRRSIG, dns.TypeNSEC, typeNXNAME})) {
					t.Error(nsec)
				}
			}
		}
	}
	// At the name of the zone there is no NXNAME, and what there is is said.
	a := askZone(t, z, udpSize, zoneStart, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
	nsec := a.Ns[2].(*dns.NSEC)
	if want := []uint16{2, 6, 16, 46, 47, 48, 59, 60}; !slices.Equal(nsec.TypeBitMap, want) || nsec.NextDomain != `\000._p3do.a.test.` {
		t.Error(nsec)
	}
}

// Signatures that have run out, or are not good yet, are never shown, whatever the clock does
// and however long nobody asked.
func TestSignaturesAreFresh(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	serial := uint32(0)
	for _, step := range []time.Duration{0, signAgain - time.Second, signAgain, signedFor - time.Second, signedFor, 400 * 24 * time.Hour, -48 * time.Hour, 0} {
		now := zoneStart.Add(step)
		for _, name := range []string{"_p3do.a.test.", "x._p3do.a.test."} {
			for _, kind := range []uint16{dns.TypeTXT, dns.TypeMX, dns.TypeDNSKEY, dns.TypeSOA} {
				a := askZone(t, z, udpSize, now, func(m *dns.Msg) { m.Question[0].Name, m.Question[0].Qtype = name, kind })
				if verified(t, z, now, slices.Concat(a.Answer, a.Ns)) == 0 {
					t.Errorf("%v: nothing", step)
				}
			}
		}
		soa := askZone(t, z, udpSize, now, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeSOA }).Answer[0].(*dns.SOA)
		if soa.Serial < serial {
			t.Errorf("%v: serial %d after %d", step, soa.Serial, serial)
		}
		serial = soa.Serial
	}
}

func TestSetIsShownAtOnce(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	before := askZone(t, z, udpSize, zoneStart, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeSOA }).Answer[0].(*dns.SOA).Serial
	if err := z.Set(fullRecord(), zoneStart); err != nil {
		t.Fatal(err)
	}
	a := askZone(t, z, udpSize, zoneStart, nil)
	verified(t, z, zoneStart, a.Answer)
	if got := strings.Join(a.Answer[0].(*dns.TXT).Txt, ""); got != fullRecord().String() {
		t.Error(got)
	}
	after := askZone(t, z, udpSize, zoneStart, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeSOA }).Answer[0].(*dns.SOA).Serial
	if after <= before {
		t.Errorf("serial %d after %d", after, before)
	}
	long := fullRecord()
	for i := range long.KeyServers {
		long.KeyServers[i] = fmt.Sprintf("%s%d.a.test:8443", strings.Repeat("k2345678.", 23), i)
	}
	for _, bad := range []Record{{}, long} {
		if err := z.Set(bad, zoneStart); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if got := askZone(t, z, udpSize, zoneStart, nil).Answer[0].(*dns.TXT); strings.Join(got.Txt, "") != fullRecord().String() {
		t.Error(got)
	}
}

// What is too long for the client or for UDP is sent empty, with TC; over TCP it is whole.
func TestSignedTruncation(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	long := fullRecord()
	for i := range long.KeyServers {
		long.KeyServers[i] = fmt.Sprintf("%s%d.a.test:8443", strings.Repeat("k2345678.", 15), i)
	}
	if err := z.Set(long, zoneStart); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		limit, size int // size 0: no EDNS
		truncated   bool
	}{
		{udpSize, 4096, false}, {udpSize, 512, true}, {udpSize, 100, true}, {udpSize, 0, true},
		{0, 1232, true}, {dns.MaxMsgSize, 512, false}, {dns.MaxMsgSize, 0, false},
	} {
		raw := z.reply(nil, signedQuery(t, func(m *dns.Msg) {
			if m.IsEdns0().SetUDPSize(uint16(tt.size)); tt.size == 0 {
				m.Extra = nil
			}
		}), tt.limit, zoneStart)
		var a dns.Msg
		if err := a.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if a.Truncated != tt.truncated || (len(a.Answer) == 0) != tt.truncated || (tt.size == 0) != (a.IsEdns0() == nil) {
			t.Errorf("%+v: %v", tt, &a)
		}
		if tt.truncated && len(raw) > 64 {
			t.Errorf("%+v: %d octets", tt, len(raw))
		}
	}
}

// Names that do not exist cost a signature each: so many in a second, and no more. What
// exists is not touched by that.
func TestDenialsAreBounded(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	count := func(now time.Time, rcode int) (n int) {
		for i := range denials + 10 {
			a := askZone(t, z, udpSize, now, func(m *dns.Msg) { m.Question[0].Name = fmt.Sprintf("x%d._p3do.a.test.", i) })
			if a.Rcode == rcode {
				n++
			}
		}
		return n
	}
	if n := count(zoneStart, dns.RcodeServerFailure); n != 10 {
		t.Errorf("%d were refused", n)
	}
	if a := askZone(t, z, udpSize, zoneStart, nil); len(a.Answer) != 2 {
		t.Error(a)
	}
	if n := count(zoneStart.Add(time.Second), dns.RcodeSuccess); n != denials {
		t.Errorf("%d were denied", n)
	}
}

func TestZonesThatAreRefused(t *testing.T) {
	for name, edit := range map[string]func(*ZoneConfig){
		"no domain":      func(c *ZoneConfig) { c.Domain = pki.Domain{} },
		"no servers":     func(c *ZoneConfig) { c.Nameservers = nil },
		"five servers":   func(c *ZoneConfig) { c.Nameservers = make([]pki.Domain, 5) },
		"a server twice": func(c *ZoneConfig) { c.Nameservers[1] = c.Nameservers[0] },
		"a nameless one": func(c *ZoneConfig) { c.Nameservers[1] = pki.Domain{} },
		"no key":         func(c *ZoneConfig) { c.Key = ZoneKey{} },
		"no TTL":         func(c *ZoneConfig) { c.TTL = 0 },
		"a great TTL":    func(c *ZoneConfig) { c.TTL = maxTTL + 1 },
	} {
		c := zoneConfig(t)
		edit(&c)
		if _, err := NewSignedZone(c, leastRecord(), zoneStart); err == nil {
			t.Error(name, "was taken")
		}
	}
	if _, err := NewSignedZone(zoneConfig(t), Record{}, zoneStart); err == nil {
		t.Error("no record was taken")
	}
}

func TestZoneKey(t *testing.T) {
	key := newZoneKey(t)
	again, err := ParseZoneKey(key.Seed())
	if err != nil || !bytes.Equal(again.Seed(), key.Seed()) {
		t.Error(err)
	}
	if _, err := ParseZoneKey(key.Seed()[1:]); err == nil {
		t.Error("31 octets were taken")
	}
	if _, err := NewZoneKey(strings.NewReader("short")); err == nil {
		t.Error("a short source was taken")
	}
	if s := fmt.Sprint(key, []ZoneKey{key}); strings.Trim(s, "secrt[] ") != "" {
		t.Error(s)
	}
	c := zoneConfig(t)
	lines, err := Delegation(c.Domain, c.Nameservers, key, 3600)
	if err != nil || len(lines) != 3 || lines[0] != "_p3do.a.test. 3600 IN NS ns1.a.test." ||
		!strings.HasPrefix(lines[2], "_p3do.a.test. 3600 IN DS ") || !strings.Contains(lines[2], " 15 2 ") {
		t.Error(lines, err)
	}
	if _, err := Delegation(c.Domain, nil, key, 3600); err == nil {
		t.Error("a delegation to nobody")
	}
	if _, err := Delegation(c.Domain, c.Nameservers, ZoneKey{}, 3600); err == nil {
		t.Error("a delegation without a key")
	}
}

// One prefix that asks too much is told to use TCP, or nothing; others are served. When it
// is quiet again, so is it.
func TestGate(t *testing.T) {
	now := zoneStart
	g := newGate(gateRate, func() time.Time { return now })
	for _, family := range []struct{ flood, near, other string }{
		{"192.0.2.1", "192.0.2.200", "192.0.3.1"},
		{"2001:db8:1:2::1", "2001:db8:1:ff::1", "2001:db8:1:100::1"},
	} {
		flood, near, other := addr(family.flood), addr(family.near), addr(family.other)
		for g.slot(flood) == g.slot(other) { // as one seed in 65536 has it
			g = newGate(gateRate, g.now)
		}
		got := map[int]int{}
		for range 1000 {
			got[g.pass(flood)]++
		}
		if got[udpSize] != gateBurst || got[0] != (1000-gateBurst)/gateSlip || got[-1] != 1000-gateBurst-got[0] {
			t.Errorf("%s: %v", family.flood, got)
		}
		if n := g.pass(near); n == udpSize {
			t.Errorf("%s is served beside %s", family.near, family.flood)
		}
		if n := g.pass(other); n != udpSize {
			t.Errorf("%s: %d", family.other, n)
		}
		now = now.Add(time.Second)
		got = map[int]int{}
		for range 1000 {
			got[g.pass(flood)]++
		}
		if n := got[udpSize]; n < gateRate || n > gateRate+1 {
			t.Errorf("%s, a second later: %v", family.flood, got)
		}
	}
	if g.slot(addr("::ffff:192.0.2.1")) != g.slot(addr("192.0.2.9")) {
		t.Error("an IPv4 address in IPv6 is another")
	}
}

// FuzzSignedQuery: any datagram gets an answer with its id that is a DNS message, or none, and
// one that is no longer than it may be.
func FuzzSignedQuery(f *testing.F) {
	z := newSignedZone(f, zoneStart)
	for _, edit := range []func(*dns.Msg){
		nil,
		func(m *dns.Msg) { m.Question[0].Name = "x._p3DO.a.test." },
		func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX },
		func(m *dns.Msg) { m.Extra = nil },
		func(m *dns.Msg) { m.IsEdns0().SetVersion(1) },
		func(m *dns.Msg) { m.SetTsig("k.", dns.HmacSHA256, 300, 1) },
	} {
		f.Add(signedQuery(f, edit), uint16(udpSize))
	}
	f.Add(signedQuery(f, nil)[:20], uint16(0))
	var now int64
	f.Fuzz(func(t *testing.T, query []byte, limit uint16) {
		now++ // so that denials are not spent
		answer := z.reply(nil, query, int(limit), zoneStart.Add(time.Duration(now)*time.Second))
		if len(query) < headerOctets || query[2]&flagQR != 0 {
			if answer != nil {
				t.Fatalf("%x: answered %x", query, answer)
			}
			return
		}
		var m dns.Msg
		if err := m.Unpack(answer); err != nil || !m.Response || !bytes.Equal(answer[:2], query[:2]) {
			t.Fatalf("%x: answered %x, %v", query, answer, err)
		}
		if least := headerOctets + maxName + 4 + optOctets; len(answer) > max(int(limit), min(least, len(query)+optOctets)) {
			t.Fatalf("%x: %d octets of %d", query, len(answer), limit)
		}
	})
}

func BenchmarkSignedReply(b *testing.B) {
	z := newSignedZone(b, zoneStart)
	for _, bench := range []struct {
		name string
		edit func(*dns.Msg)
	}{
		{"TXT", nil},
		{"NODATA", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX }},
	} {
		query, answer := signedQuery(b, bench.edit), make([]byte, 0, udpSize)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if answer = z.reply(answer[:0], query, udpSize, zoneStart); len(answer) < 200 {
					b.Fatal("no answer")
				}
			}
		})
	}
	query := signedQuery(b, func(m *dns.Msg) { m.Question[0].Name = "x._p3do.a.test." })
	b.Run("denial", func(b *testing.B) {
		now := zoneStart.Unix()
		for b.Loop() {
			now++
			q, _ := readQuery(query)
			if _, ok := z.denial(&q, z.pages.Load(), now); !ok {
				b.Fatal("refused")
			}
		}
	})
}

// The common answers cost no memory.
func TestRepliesAllocateNothing(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	g := newGate(1e9, func() time.Time { return zoneStart })
	query, answer, who := signedQuery(t, nil), make([]byte, 0, udpSize), addr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { answer = z.reply(answer[:0], query, g.pass(who), zoneStart) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }
