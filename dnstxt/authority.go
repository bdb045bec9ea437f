package dnstxt

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	typeNXNAME = 128 // of an NSEC: there is no such name (RFC 9824, section 3.4)

	// At most so many names that do not exist are denied with a signature in a second, each
	// some 40 us; nobody needs any of them. Whoever asks for more gets SERVFAIL.
	denials = 500
)

// An answer is what is said to a query.
type answer struct {
	rcode  int
	aa     bool
	count  [2]uint16 // of records: answers, authorities
	octets []byte
	owners []int  // where in octets the owners are, if they are not the question's name:
	beyond int    // then they are what stands so many octets behind its beginning
	behind []byte // more records, whose owner is the question's name
	co     bool   // the client is told that we know NXNAME
}

// reply answers one query. It allocates nothing for names that exist.
func (z *SignedZone) reply(dst, query []byte, limit int, now time.Time) []byte {
	if len(query) < headerOctets || query[2]&flagQR != 0 {
		return dst // no header, or itself an answer: never answer answers
	}
	if query[2]&opcodeBits != 0 {
		return appendHead(dst, query, 0, dns.RcodeNotImplemented, 0, 0, 0, 0)
	}
	q, ok := readQuery(query)
	if !ok {
		return appendHead(dst, query, 0, dns.RcodeFormatError, 0, 0, 0, 0)
	}
	if limit == 0 { // it would be thrown away: nothing is looked up, or signed
		return q.append(dst, answer{aa: true}, 0)
	}
	return q.append(dst, z.answer(&q, now.Unix()), q.limit(limit))
}

// answer decides.
func (z *SignedZone) answer(q *asked, now int64) answer {
	before := below(q.name, z.wire)
	switch {
	case q.edns && q.version != 0:
		return answer{rcode: dns.RcodeBadVers}
	case q.class != dns.ClassINET || before < 0 || q.kind == dns.TypeAXFR || q.kind == dns.TypeIXFR:
		return answer{rcode: dns.RcodeRefused}
	case q.kind == typeNXNAME: // RFC 9824, section 3.5
		return answer{rcode: dns.RcodeFormatError}
	}
	p, err := z.at(now)
	if err != nil {
		return answer{rcode: dns.RcodeServerFailure}
	}
	if before > 0 {
		return z.deny(q, p, before, now)
	}
	if known, ok := p.of[q.kind]; ok {
		s := known.of(q)
		return answer{aa: true, count: [2]uint16{s.count, 0}, octets: s.octets}
	}
	s := p.nothing.of(q)
	return answer{aa: true, count: [2]uint16{0, s.count}, octets: s.octets}
}

// of is the sheet that the client wants.
func (p page) of(q *asked) sheet {
	if q.do() {
		return p.signed
	}
	return p.plain
}

// deny says that there is no such name. Who wants no proof is told so by the RCODE. Who
// does gets one that says that there is the name, and nothing at it but NXNAME; the RCODE is
// NOERROR then, unless the client says that it knows NXNAME.
func (z *SignedZone) deny(q *asked, p *pages, before int, now int64) answer {
	s := p.soa.of(q)
	a := answer{rcode: dns.RcodeNameError, aa: true, count: [2]uint16{0, s.count}, octets: s.octets, owners: s.owners, beyond: before}
	if !q.do() {
		return a
	}
	proof, ok := z.denial(q, p, now)
	if !ok {
		return answer{rcode: dns.RcodeServerFailure}
	}
	if a.co = q.co(); !a.co {
		a.rcode = dns.RcodeSuccess
	}
	a.behind = proof.octets
	a.count[1] += proof.count
	return a
}

// denial signs that there is no such name, if there were not too many already.
func (z *SignedZone) denial(q *asked, p *pages, now int64) (sheet, bool) {
	if !z.mayDeny(now) {
		return sheet{}, false
	}
	name, _, err := dns.UnpackDomainName(q.name, 0)
	if err != nil || name[0] == '*' && q.name[0] != 1 { // which the library would sign as a wildcard's
		return sheet{}, false
	}
	nsec := z.nsec(strings.ToLower(name), []uint16{dns.TypeRRSIG, dns.TypeNSEC, typeNXNAME})
	signature, err := z.signature(p, []dns.RR{nsec})
	if err != nil {
		return sheet{}, false
	}
	proof, err := pack(len(q.name), nsec, signature)
	return proof, err == nil
}

// A budget is what may be spent in one second.
type budget struct {
	second int64
	spent  int
}

func (z *SignedZone) mayDeny(now int64) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.denied.second != now {
		z.denied = budget{second: now}
	}
	z.denied.spent++
	return z.denied.spent <= denials
}

// nsec says what there is at a name, in lower case, and that there is nothing between it and
// the least name behind it, which is one label longer (RFC 9824, section 3.1); behind a name
// that has no room for one comes the apex.
func (z *SignedZone) nsec(name string, kinds []uint16) *dns.NSEC {
	next := `\000.` + name
	if octets, err := wire(next); err != nil || len(octets) > maxName {
		next = z.apex
	}
	return &dns.NSEC{Hdr: header(name, dns.TypeNSEC, denialTTL), NextDomain: next, TypeBitMap: kinds}
}

// append packs an answer of at most limit octets; one that is too long is sent empty, with TC.
func (q *asked) append(dst []byte, a answer, limit int) []byte {
	flags, additional := byte(0), uint16(0)
	length := headerOctets + len(q.question) + len(a.octets) + len(a.behind)
	if a.aa {
		flags = flagAA
	}
	if q.edns {
		additional, length = 1, length+optOctets
	}
	if length > limit {
		flags, a.count, a.octets, a.owners, a.behind = flags|flagTC, [2]uint16{}, nil, nil, nil
	}
	dst = appendHead(dst, q.head, flags, a.rcode, 1, a.count[0], a.count[1], additional)
	dst = append(dst, q.question...) // as it was asked, letter for letter
	start := len(dst)
	dst = append(dst, a.octets...)
	for _, at := range a.owners {
		binary.BigEndian.PutUint16(dst[start+at:], pointer+uint16(a.beyond))
	}
	dst = append(dst, a.behind...)
	if q.edns {
		sent := q.flags & flagDO
		if a.co {
			sent |= flagCO
		}
		dst = appendOPT(dst, a.rcode, sent)
	}
	return dst
}
