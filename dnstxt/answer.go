package dnstxt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

const (
	udpSize       = 1232 // octets of a UDP answer we ask for and send (DNS Flag Day 2020; never fragmented)
	maxAnswers    = 32   // records looked at in an answer
	headerOctets  = 12   // of a DNS message (RFC 1035, section 4.1.1)
	wantOneRecord = "one record at the name"
)

var (
	// errNotOurs: not an answer to what was asked; over UDP anybody can send
	// such a thing, so it is passed over.
	errNotOurs = errors.New("dnstxt: not an answer to this question")
	// errTruncated: the answer must be asked for over TCP.
	errTruncated = errors.New("dnstxt: answer truncated")
)

// A question is one query for the record of a domain.
type question struct {
	id    uint16
	owner string // "_p3do.DOMAIN." with the final dot
}

func newQuestion(domain pki.Domain, id uint16) (question, error) {
	owner, err := Owner(domain)
	if err != nil {
		return question{}, err
	}
	return question{id: id, owner: owner + "."}, nil
}

// pack returns the query: one question, recursion desired, EDNS with 1232
// octets and the DO bit, so that signatures betray a wildcard.
func (q question) pack() ([]byte, error) {
	var m dns.Msg
	m.SetQuestion(q.owner, dns.TypeTXT)
	m.Id = q.id
	m.SetEdns0(udpSize, true)
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("dnstxt: packing the query: %w", err)
	}
	return b, nil
}

// parse reads an answer to q as it came from the network.
func (q question) parse(raw []byte) (Answer, error) {
	if len(raw) < headerOctets {
		return Answer{}, errNotOurs
	}
	var m dns.Msg
	err := m.Unpack(raw)
	if m.Id != q.id || !m.Response || m.Opcode != dns.OpcodeQuery || !q.asked(m.Question) {
		return Answer{}, errNotOurs
	}
	if m.Truncated {
		return Answer{}, errTruncated
	}
	if err != nil || len(m.Answer) != int(answerCount(raw)) {
		return Answer{}, fmt.Errorf("%w: the answer is no DNS message", ErrInvalid)
	}
	switch m.Rcode {
	case dns.RcodeNameError:
		return Answer{}, ErrNone
	case dns.RcodeSuccess:
		return q.judge(&m)
	}
	return Answer{}, fmt.Errorf("dnstxt: the server answered %s", rcodeName(m.Rcode))
}

// answerCount reads ANCOUNT, octets 6 and 7 of the header. The library is
// content with fewer records than are announced.
func answerCount(raw []byte) uint16 { return binary.BigEndian.Uint16(raw[6:8]) }

func (q question) asked(questions []dns.Question) bool {
	return len(questions) == 1 &&
		strings.EqualFold(questions[0].Name, q.owner) &&
		questions[0].Qtype == dns.TypeTXT &&
		questions[0].Qclass == dns.ClassINET
}

// judge finds the one record in an answer without error. Nothing but TXT
// records, and signatures over them, at exactly the name asked for may be
// there.
func (q question) judge(m *dns.Msg) (Answer, error) {
	if len(m.Answer) > maxAnswers {
		return Answer{}, &ParseError{"", wantOneRecord}
	}
	var texts []string
	answer := Answer{Secure: m.AuthenticatedData}
	for _, rr := range m.Answer {
		text, err := q.textOf(rr)
		if err != nil {
			return Answer{}, err
		}
		if isRecord(text) {
			texts = append(texts, text)
			answer.TTL = time.Duration(rr.Header().Ttl) * time.Second
		}
	}
	switch {
	case len(m.Answer) == 0 && isReferral(m):
		return Answer{}, errors.New("dnstxt: the server referred to another one; ask a resolver")
	case len(texts) == 0:
		return Answer{}, ErrNone
	case len(texts) > 1:
		return Answer{}, &ParseError{"", wantOneRecord}
	}
	record, err := Parse(texts[0])
	if err != nil {
		return Answer{}, err
	}
	answer.Record = record
	return answer, nil
}

// textOf returns the joined strings of a TXT record, and nothing for a
// signature. The library hands strings out with escapes; a record with any is
// refused by the grammar, since backslashes are.
func (q question) textOf(rr dns.RR) (string, error) {
	h := rr.Header()
	if !strings.EqualFold(h.Name, q.owner) || h.Class != dns.ClassINET {
		return "", fmt.Errorf("%w: the answer holds a record of another name", ErrInvalid)
	}
	switch rr := rr.(type) {
	case *dns.TXT:
		return strings.Join(rr.Txt, ""), nil
	case *dns.RRSIG:
		if int(rr.Labels) < dns.CountLabel(q.owner) {
			return "", fmt.Errorf("%w: the record comes from a wildcard", ErrInvalid)
		}
		return "", nil
	}
	return "", fmt.Errorf("%w: the answer holds a record of type %s, want TXT", ErrInvalid, dns.Type(h.Rrtype))
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
