package dnstxt

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	opcodeBits = 0x78 // of the third octet of a message
	flagQR     = 0x80 // the same
	flagAA     = 0x04
	flagTC     = 0x02
	flagRD     = 0x01

	optOctets     = 11     // of an OPT record without options, its owner included
	flagDO        = 0x8000 // of EDNS: wants DNSSEC records (RFC 3225)
	flagCO        = 0x4000 // of EDNS: knows NXNAME (RFC 9824, section 5.1)
	maxAdditional = 4      // records of a query beside the question: an OPT, perhaps a signature
	maxName       = 255    // octets of a name
)

// asked is a query as it came. Its slices are parts of it.
//
//	id 2 | flags 2 | questions 2 | answers 2 | authorities 2 | additional 2
//	name | type 2 | class 2
//	of each additional record: name | type 2 | class 2 | TTL 4 | length 2 | data
type asked struct {
	head     []byte // the header
	question []byte // name, type and class
	name     []byte // in wire form, uncompressed
	kind     uint16
	class    uint16

	edns    bool
	size    int // octets of a UDP answer that the client takes
	version uint8
	flags   uint16 // of EDNS
}

// readQuery takes a message of at least headerOctets. It refuses everything but exactly
// one question, with nothing beside it but up to maxAdditional additional records, and
// octets behind them. Names may not be compressed: there is nothing that they could point to.
func readQuery(raw []byte) (q asked, ok bool) {
	count := func(at int) int { return int(binary.BigEndian.Uint16(raw[at:])) }
	more := count(10)
	if count(4) != 1 || count(6) != 0 || count(8) != 0 || more > maxAdditional {
		return q, false
	}
	q = asked{head: raw[:headerOctets], size: dns.MinMsgSize}
	rest := raw[headerOctets:]
	n := nameOctets(rest)
	if n == 0 || len(rest) < n+4 {
		return q, false
	}
	q.question, q.name = rest[:n+4], rest[:n]
	q.kind, q.class = binary.BigEndian.Uint16(rest[n:]), binary.BigEndian.Uint16(rest[n+2:])
	for rest = rest[n+4:]; more > 0; more-- {
		if rest, ok = q.additional(rest); !ok {
			return q, false
		}
	}
	return q, len(rest) == 0
}

// additional reads one record, and returns what is behind it.
func (q *asked) additional(raw []byte) (rest []byte, ok bool) {
	n := nameOctets(raw)
	if n == 0 || len(raw) < n+10 {
		return nil, false
	}
	fixed, data := raw[n:n+10], raw[n+10:]
	length := int(binary.BigEndian.Uint16(fixed[8:]))
	if len(data) < length {
		return nil, false
	}
	if binary.BigEndian.Uint16(fixed) == dns.TypeOPT {
		if q.edns || n != 1 { // RFC 6891, section 6.1.1: one at most, and of the root
			return nil, false
		}
		q.edns, q.version, q.flags = true, fixed[5], binary.BigEndian.Uint16(fixed[6:])
		q.size = max(q.size, int(binary.BigEndian.Uint16(fixed[2:])))
	}
	return data[length:], true
}

// nameOctets is how long the name is that raw begins with; 0 if it is none.
func nameOctets(raw []byte) int {
	for n := 0; n < len(raw) && n < maxName; {
		length := int(raw[n])
		n += 1 + length
		switch {
		case length == 0:
			return n
		case length > 63:
			return 0
		}
	}
	return 0
}

// below returns how many octets of name stand before apex, a name in lower case; less
// than 0 if it is not apex or below it.
func below(name, apex []byte) int {
	before := len(name) - len(apex)
	if before < 0 || !equalFold(name[before:], apex) {
		return -1
	}
	for n := 0; n < before; {
		if n += 1 + int(name[n]); n > before { // apex begins within a label
			return -1
		}
	}
	return before
}

// equalFold compares as DNS does: letters of ASCII without case, in labels. Lengths of
// labels are at most 63, which are no letters.
func equalFold(name, lower []byte) bool {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// do reports whether the client wants DNSSEC records, and co whether it knows NXNAME.
func (q *asked) do() bool { return q.edns && q.flags&flagDO != 0 }
func (q *asked) co() bool { return q.do() && q.flags&flagCO != 0 }

// limit is how many octets an answer may have, if the transport carries limit.
func (q *asked) limit(limit int) int {
	if limit >= dns.MaxMsgSize {
		return limit // TCP: what the client says is of UDP
	}
	return min(limit, q.size)
}

// appendHead begins an answer: id, opcode and RD are those of the query.
//
//	id 2 | QR opcode AA TC RD 1 | RA Z AD CD RCODE 1 | counts 8
func appendHead(dst, query []byte, flags byte, rcode int, questions, answers, authorities, additional uint16) []byte {
	dst = append(dst, query[0], query[1], flagQR|query[2]&(opcodeBits|flagRD)|flags, byte(rcode&0xf))
	for _, count := range [...]uint16{questions, answers, authorities, additional} {
		dst = binary.BigEndian.AppendUint16(dst, count)
	}
	return dst
}

// appendOPT says what we take (RFC 6891, section 6.1.2).
//
//	root 1 | OPT 2 | size 2 | high bits of the RCODE 1 | version 1 | flags 2 | length 2
func appendOPT(dst []byte, rcode int, flags uint16) []byte {
	dst = append(dst, 0, 0, byte(dns.TypeOPT), udpSize>>8, udpSize&0xff, byte(rcode>>4), 0)
	return append(binary.BigEndian.AppendUint16(dst, flags), 0, 0)
}

// wire is a name of ours as octets.
func wire(name string) ([]byte, error) {
	var b [maxName]byte
	n, err := dns.PackDomainName(name, b[:], 0, nil, false)
	return bytes.Clone(b[:n]), err
}
