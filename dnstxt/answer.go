package dnstxt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	udpSize       = 1232 // octets of a UDP answer that we say we take, and that we send (DNS Flag Day 2020; never fragmented)
	maxAnswers    = 32   // records looked at in an answer
	headerOctets  = 12   // of a DNS message (RFC 1035, section 4.1.1)
	padTo         = 128  // an encrypted query is as many octets, or twice or three times as many (RFC 8467)
	wantOneRecord = "one record at the name"
)

// errNotOurs: not an answer to what was asked.
var errNotOurs = errors.New("dnstxt: not an answer to this question")

// A question is one query.
type question struct {
	id    uint16
	name  string // "_p3do.DOMAIN." or a zone, with the final dot
	qtype uint16 // TXT, or DS or DNSKEY for its proof
}

// pack returns the query: one question, recursion desired, EDNS with 1232
// octets and the DO bit, so that signatures come along; padded, if nobody shall learn
// from its length how long the name is.
func (q question) pack(padded bool) ([]byte, error) {
	var m dns.Msg
	m.SetQuestion(q.name, q.qtype)
	m.Id = q.id
	m.SetEdns0(udpSize, true)
	if padded {
		option := new(dns.EDNS0_PADDING)
		edns := m.IsEdns0()
		edns.Option = append(edns.Option, option)
		option.Padding = make([]byte, (padTo-m.Len()%padTo)%padTo)
	}
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("dnstxt: packing the query: %w", err)
	}
	return b, nil
}

// ErrServerFailure: the server says that it failed. A resolver that verifies says so, too, of a
// record whose signature is wrong.
var ErrServerFailure = errors.New("dnstxt: the server answered SERVFAIL")

// An rcodeError is a server's refusal to answer.
type rcodeError int

// Is lets SERVFAIL be told apart.
func (e rcodeError) Is(target error) bool {
	return target == ErrServerFailure && int(e) == dns.RcodeServerFailure
}

func (e rcodeError) Error() string { return "dnstxt: the server answered " + rcodeName(int(e)) }

// read reads an answer to q as it came from the network. Errors: ErrNone if there is no
// such name.
func (q question) read(raw []byte) (*dns.Msg, error) {
	if len(raw) < headerOctets {
		return nil, errNotOurs
	}
	var m dns.Msg
	err := m.Unpack(raw)
	if m.Id != q.id || !m.Response || m.Opcode != dns.OpcodeQuery || !q.asked(m.Question) {
		return nil, errNotOurs
	}
	switch {
	case m.Truncated:
		return nil, fmt.Errorf("%w: truncated over TCP", ErrInvalid)
	case err != nil || len(m.Answer) != int(answerCount(raw)):
		return nil, fmt.Errorf("%w: the answer is no DNS message", ErrInvalid)
	case m.Rcode == dns.RcodeNameError:
		return nil, ErrNone
	case m.Rcode != dns.RcodeSuccess:
		return nil, rcodeError(m.Rcode)
	case len(m.Answer) == 0 && isReferral(&m):
		return nil, errors.New("dnstxt: the server referred to another one; ask a resolver")
	}
	return &m, nil
}

// answerCount reads ANCOUNT, octets 6 and 7 of the header. The library is
// content with fewer records than are announced.
func answerCount(raw []byte) uint16 { return binary.BigEndian.Uint16(raw[6:8]) }

func (q question) asked(questions []dns.Question) bool {
	return len(questions) == 1 &&
		strings.EqualFold(questions[0].Name, q.name) &&
		questions[0].Qtype == q.qtype &&
		questions[0].Qclass == dns.ClassINET
}

// An rrset is what an answer holds: the records of one name and type, and the
// signatures over them.
type rrset struct {
	name    string // as it was asked for: lower case
	records []dns.RR
	sigs    []*dns.RRSIG
}

// collect takes an answer apart. Nothing but records of the type, and signatures, at
// exactly the name asked for may be there, and none of them from a wildcard.
func (q question) collect(m *dns.Msg) (rrset, error) {
	set := rrset{name: q.name}
	if len(m.Answer) > maxAnswers {
		return set, fmt.Errorf("%w: the answer holds more than %d records", ErrInvalid, maxAnswers)
	}
	for _, rr := range m.Answer {
		h := rr.Header()
		if !strings.EqualFold(h.Name, q.name) || h.Class != dns.ClassINET {
			return set, fmt.Errorf("%w: the answer holds a record of another name", ErrInvalid)
		}
		sig, signed := rr.(*dns.RRSIG)
		switch {
		case signed && int(sig.Labels) < dns.CountLabel(q.name):
			return set, fmt.Errorf("%w: the record comes from a wildcard", ErrInvalid)
		case signed && sig.TypeCovered == q.qtype:
			set.sigs = append(set.sigs, sig)
		case signed: // over something else
		case h.Rrtype != q.qtype:
			return set, fmt.Errorf("%w: the answer holds a record of type %s, want %s", ErrInvalid, dns.Type(h.Rrtype), dns.Type(q.qtype))
		default:
			set.records = append(set.records, rr)
		}
	}
	return set, nil
}

// judge finds the one record in an answer, which may hold others at the same name.
func (q question) judge(m *dns.Msg) (Answer, error) {
	set, err := q.collect(m)
	if err != nil {
		return Answer{}, err
	}
	var texts []string
	answer := Answer{Security: Plain, set: set}
	for _, rr := range set.records {
		if text := textOf(rr); isRecord(text) {
			texts = append(texts, text)
			answer.TTL = time.Duration(rr.Header().Ttl) * time.Second
		}
	}
	switch {
	case len(texts) == 0:
		return Answer{}, ErrNone
	case len(texts) > 1:
		return Answer{}, &RecordError{texts, &ParseError{"", wantOneRecord}}
	}
	answer.Record, err = Parse(texts[0])
	if err != nil {
		return Answer{}, &RecordError{texts, err}
	}
	return answer, nil
}

// textOf returns the joined strings of a TXT record. The library hands strings out with
// escapes; a record with any is refused by the grammar, since backslashes are.
func textOf(rr dns.RR) string {
	if rr, ok := rr.(*dns.TXT); ok {
		return strings.Join(rr.Txt, "")
	}
	return ""
}

// isReferral reports whether an empty answer points elsewhere instead of saying
// that there is nothing (RFC 2308, section 2.2).
func isReferral(m *dns.Msg) bool {
	if m.Authoritative {
		return false
	}
	ns, soa := false, false
	for _, rr := range m.Ns {
		switch rr.(type) {
		case *dns.NS:
			ns = true
		case *dns.SOA:
			soa = true
		}
	}
	return ns && !soa
}

func rcodeName(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("code %d", rcode)
}
