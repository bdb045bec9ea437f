package dnstxt

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

const (
	recordTTL   = 60 // seconds that a responder's records may be cached
	negativeTTL = 5  // seconds that the absence of one may be cached (RFC 2308)
)

// reply returns the answer to a query as it came from the network, at most
// limit octets, or nil if nothing is to be sent.
func (z *zone) reply(query []byte, limit int) []byte {
	if len(query) < headerOctets || query[2]&0x80 != 0 {
		return nil // no header, or itself an answer: never answer answers
	}
	var m dns.Msg
	if err := m.Unpack(query); err != nil {
		return packed(failed(query, dns.RcodeFormatError), limit)
	}
	answer := z.answer(&m)
	said := dns.MinMsgSize
	if opt := m.IsEdns0(); opt != nil {
		answer.SetEdns0(udpSize, opt.Do())
		said = max(said, int(opt.UDPSize()))
	}
	if limit < dns.MaxMsgSize { // what they say is of UDP
		limit = min(limit, said)
	}
	return packed(answer, limit)
}

// failed is the answer to something that is hardly a query: its id and opcode,
// without a question.
func failed(query []byte, rcode int) *dns.Msg {
	var m dns.Msg
	m.Id = binary.BigEndian.Uint16(query)
	m.Opcode = int(query[2]>>3) & 0xf
	m.Response = true
	m.Rcode = rcode
	return &m
}

// packed truncates m to limit octets, which sets TC, and packs it.
func packed(m *dns.Msg, limit int) []byte {
	m.Truncate(limit)
	b, err := m.Pack()
	if err != nil {
		return nil // a name that came in cannot go out again: say nothing
	}
	return b
}

// answer decides. What is not a question about a name of the zone is refused;
// so are transfers, and classes other than IN.
func (z *zone) answer(query *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	if query.Opcode != dns.OpcodeQuery {
		m.SetRcode(query, dns.RcodeNotImplemented)
		return m
	}
	if len(query.Question) != 1 {
		return m.SetRcode(query, dns.RcodeFormatError)
	}
	if opt := query.IsEdns0(); opt != nil && opt.Version() != 0 {
		return m.SetRcode(query, dns.RcodeBadVers)
	}
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	if q.Qclass != dns.ClassINET || !z.holds(name) || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return m.SetRcode(query, dns.RcodeRefused)
	}
	m.SetReply(query)
	m.Authoritative = true
	z.fill(m, q, name)
	return m
}

// fill puts in what there is: the record, the SOA of the apex, or the SOA as
// the sign that there is nothing (NODATA, NXDOMAIN: RFC 2308, section 2).
func (z *zone) fill(m *dns.Msg, q dns.Question, name string) {
	text, exists, serial := z.look(name)
	switch {
	case text != nil && (q.Qtype == dns.TypeTXT || q.Qtype == dns.TypeANY):
		m.Answer = []dns.RR{&dns.TXT{Hdr: header(q.Name, dns.TypeTXT, recordTTL), Txt: text}}
	case name == z.apex && (q.Qtype == dns.TypeSOA || q.Qtype == dns.TypeANY):
		m.Answer = []dns.RR{z.soa(serial)}
	default:
		m.Ns = []dns.RR{z.soa(serial)}
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
	}
}

func (z *zone) soa(serial uint32) dns.RR {
	return &dns.SOA{
		Hdr:     header(z.apex, dns.TypeSOA, negativeTTL),
		Ns:      "ns." + z.apex,
		Mbox:    "hostmaster." + z.apex,
		Serial:  serial,
		Refresh: 3600,
		Retry:   600,
		Expire:  86400,
		Minttl:  negativeTTL,
	}
}

func header(name string, kind uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}
