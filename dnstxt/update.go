package dnstxt

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

// Why a server does not change its zone.
var (
	ErrBadKey           = errors.New("dnstxt: the server does not know the TSIG key")
	ErrBadSecret        = errors.New("dnstxt: the server has another secret or algorithm for the TSIG key")
	ErrBadTime          = errors.New("dnstxt: the clocks are too far apart")
	ErrRefused          = errors.New("dnstxt: the server refuses")
	ErrNotAuthoritative = errors.New("dnstxt: the server is not authoritative for the zone")
	ErrNotInZone        = errors.New("dnstxt: the name is not in the zone")
	ErrUnsigned         = errors.New("dnstxt: the server's answer is not signed with the TSIG key")
	ErrOccupied         = errors.New("dnstxt: the name is not free for a TXT record")
	ErrRaced            = errors.New("dnstxt: somebody else changes the record again and again")
	ErrUnchanged        = errors.New("dnstxt: the server took the change, but does not show it")
)

const (
	fudge       = 300 // seconds that the clocks may be apart (RFC 8945, section 10)
	updateTries = 3   // when somebody else changes the record in between

	// DefaultUpdateTimeout bounds one exchange with a server that is updated.
	DefaultUpdateTimeout = 10 * time.Second
)

// An Updater puts records into the zones of other people's name servers: dynamic updates
// (RFC 2136), signed with TSIG (RFC 8945), over TCP.
type Updater struct {
	Server  string // IP:PORT of the primary server
	Zone    string // that holds the record, without the final dot; empty: the server is asked
	Key     TSIGKey
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Timeout time.Duration // of one exchange; 0: DefaultUpdateTimeout

	skew time.Duration // by which our clock is wrong, for tests
}

// Published is what an update did.
type Published struct {
	Zone    string // without the final dot
	Changed bool   // false: it was there already
	Removed int    // other P3DO records of the domain
	Kept    int    // TXT records that are somebody else's
	TTL     uint32 // of the record, in seconds
}

// Publish makes record the one P3DO record of a domain, with a TTL in seconds. TXT records of
// others at the name stay; then theirs is the TTL, since all records of a name and type have
// one. The change is made only if the zone is as it was seen, and is looked at afterwards.
// Errors: one of those above, or another one if the server cannot be asked.
func (u Updater) Publish(ctx context.Context, domain pki.Domain, record Record, ttl uint32) (Published, error) {
	owner, err := Owner(domain)
	if err == nil {
		err = record.Check()
	}
	if err != nil {
		return Published{}, err
	}
	owner += "."
	zone, err := u.zoneOf(ctx, owner)
	if err != nil {
		return Published{}, err
	}
	for range updateTries {
		var done Published
		done, err = u.replace(ctx, zone, owner, record, ttl)
		if !errors.Is(err, ErrRaced) {
			return done, err
		}
	}
	return Published{}, err
}

// zoneOf is the zone in which owner is, with the final dot.
func (u Updater) zoneOf(ctx context.Context, owner string) (string, error) {
	if u.Zone != "" {
		zone := dns.CanonicalName(u.Zone)
		if !dns.IsSubDomain(zone, owner) {
			return "", fmt.Errorf("%w: %s in %s", ErrNotInZone, owner, zone)
		}
		return zone, nil
	}
	m, err := u.exchange(ctx, new(dns.Msg).SetQuestion(owner, dns.TypeSOA))
	if err != nil {
		return "", err
	}
	if m.Rcode != dns.RcodeNameError {
		err = fault(m)
	}
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		if _, ok := rr.(*dns.SOA); ok && err == nil && m.Authoritative && dns.IsSubDomain(rr.Header().Name, owner) {
			return dns.CanonicalName(rr.Header().Name), nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w of %s", ErrNotAuthoritative, owner)
	}
	return "", err
}

// A held is what the server says is at the name: our records, and those of others. It may
// have made them, or the alias, of a wildcard.
type held struct {
	ours, others []dns.RR
	alias        bool
}

func (h held) all() []dns.RR { return slices.Concat(h.ours, h.others) }

// look asks the server itself what is at the name.
func (u Updater) look(ctx context.Context, owner string) (held, error) {
	var h held
	m, err := u.exchange(ctx, new(dns.Msg).SetQuestion(owner, dns.TypeTXT))
	if err != nil {
		return h, err
	}
	if m.Rcode != dns.RcodeNameError {
		err = fault(m)
	}
	switch {
	case err != nil:
		return h, err
	case !m.Authoritative:
		return h, fmt.Errorf("%w of %s", ErrNotAuthoritative, owner)
	case len(m.Answer) > maxAnswers:
		return h, fmt.Errorf("%w: more than %d TXT records are there", ErrOccupied, maxAnswers)
	}
	for _, rr := range m.Answer {
		txt, ok := rr.(*dns.TXT)
		switch {
		case rr.Header().Rrtype == dns.TypeDNAME:
			return h, fmt.Errorf("%w: %s is an alias of another name", ErrOccupied, rr.Header().Name)
		case rr.Header().Rrtype == dns.TypeCNAME:
			h.alias = true
		case !ok || !strings.EqualFold(txt.Hdr.Name, owner):
		case isRecord(strings.Join(txt.Txt, "")):
			h.ours = append(h.ours, txt)
		default:
			h.others = append(h.others, txt)
		}
	}
	return h, nil
}

// holds reports whether the record is the only one of ours, with that TTL.
func (h held) holds(record Record, ttl uint32) bool {
	if len(h.ours) != 1 || h.ours[0].Header().Ttl != ttl {
		return false
	}
	return strings.Join(h.ours[0].(*dns.TXT).Txt, "") == record.String()
}

func (u Updater) replace(ctx context.Context, zone, owner string, record Record, ttl uint32) (Published, error) {
	was, err := u.look(ctx, owner)
	if err != nil {
		return Published{}, err
	}
	done, err := u.apply(ctx, zone, owner, was, record, ttl)
	if errors.Is(err, ErrRaced) && len(was.all()) > 0 { // unless it is of a wildcard: then nothing is at the name itself
		done, err = u.apply(ctx, zone, owner, held{}, record, ttl)
	}
	if errors.Is(err, ErrRaced) && was.alias {
		err = fmt.Errorf("%w: %s is an alias of another name", ErrOccupied, owner)
	}
	return done, err
}

// apply makes the change if what is at the name is what was seen, and looks at it afterwards.
func (u Updater) apply(ctx context.Context, zone, owner string, was held, record Record, ttl uint32) (Published, error) {
	if len(was.others) > 0 {
		ttl = was.others[0].Header().Ttl
	}
	done := Published{Zone: strings.TrimSuffix(zone, "."), Kept: len(was.others), TTL: ttl}
	if was.holds(record, ttl) {
		return done, nil
	}
	done.Changed, done.Removed = true, len(was.ours)
	m, err := u.exchange(ctx, change(zone, owner, was, record, ttl))
	if err == nil {
		err = fault(m)
	}
	if errors.Is(err, ErrBadKey) { // it was known when we looked: this is how Knot says that it is not for this name
		err = ErrRefused
	}
	if errors.Is(err, ErrRefused) {
		err = fmt.Errorf("%w: the key %s may not change TXT at %s", ErrRefused, u.Key.Name(), strings.TrimSuffix(owner, "."))
	}
	if err != nil {
		return Published{}, err
	}
	is, err := u.look(ctx, owner)
	if err == nil && (!is.holds(record, ttl) || len(is.others) < len(was.others)) {
		err = ErrUnchanged
	}
	return done, err
}

// change is the update: if what is at the name is what was seen, our records go and the new
// one comes, at once (RFC 2136, sections 2.4 and 2.5).
func change(zone, owner string, was held, record Record, ttl uint32) *dns.Msg {
	m := new(dns.Msg).SetUpdate(zone)
	m.Id = randomID()
	entry := &dns.TXT{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttl}, Txt: record.Strings()}
	if all := was.all(); len(all) == 0 {
		alias := &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}}
		m.RRsetNotUsed([]dns.RR{entry, alias})
	} else {
		m.Used(copies(all))
	}
	m.Remove(copies(was.ours))
	m.Insert([]dns.RR{entry})
	return m
}

func copies(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
	}
	return out
}

// fault is what an answer's code means.
func fault(m *dns.Msg) error {
	switch m.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeRefused:
		return ErrRefused
	case dns.RcodeNotAuth:
		return ErrNotAuthoritative
	case dns.RcodeNotZone:
		return ErrNotInZone
	case dns.RcodeNXRrset, dns.RcodeYXRrset, dns.RcodeYXDomain, dns.RcodeNameError:
		return ErrRaced
	}
	return fmt.Errorf("dnstxt: the server answered %s", rcodeName(m.Rcode))
}

// exchange signs m, sends it, and returns the answer, which is signed.
func (u Updater) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	timeout := u.Timeout
	if timeout <= 0 {
		timeout = DefaultUpdateTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m.SetTsig(u.Key.name, u.Key.algorithm, fudge, time.Now().Add(u.skew).Unix())
	query, mac, err := dns.TsigGenerate(m, u.Key.secret, "", false)
	if err != nil {
		return nil, errors.New("dnstxt: signing the message failed")
	}
	conn, err := u.Dial(ctx, "tcp", u.Server)
	if err != nil {
		return nil, fmt.Errorf("dnstxt: reaching the server: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(framed(query)); err != nil {
		return nil, fmt.Errorf("dnstxt: asking the server: %w", err)
	}
	raw, err := readFramed(conn)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("dnstxt: waiting for the server's answer: %w", err)
	}
	return u.open(m, mac, raw)
}

// open reads the answer to m, whose signature is mac in hexadecimal.
func (u Updater) open(m *dns.Msg, mac string, raw []byte) (*dns.Msg, error) {
	var a dns.Msg
	if err := a.Unpack(raw); err != nil || a.Id != m.Id || !a.Response || a.Opcode != m.Opcode || a.Truncated {
		return nil, errors.New("dnstxt: the server's answer is none to what it was asked")
	}
	tsig := a.IsTsig()
	if tsig == nil || a.Rcode == dns.RcodeNotAuth {
		return nil, u.undone(&a, tsig)
	}
	if dns.CanonicalName(tsig.Hdr.Name) != u.Key.name || dns.CanonicalName(tsig.Algorithm) != u.Key.algorithm {
		return nil, ErrUnsigned
	}
	err := dns.TsigVerify(raw, u.Key.secret, mac, false)
	if errors.Is(err, dns.ErrTime) {
		return nil, fmt.Errorf("%w: the server's answer is dated %s", ErrBadTime, clock(int64(tsig.TimeSigned)))
	}
	if err != nil {
		return nil, ErrUnsigned
	}
	return &a, nil
}

// undone is why a server did nothing, by an answer that is not signed, or is about the
// signature: somebody on the way can say so as well. It is never nil.
func (u Updater) undone(a *dns.Msg, tsig *dns.TSIG) error {
	if tsig != nil {
		switch tsig.Error {
		case dns.RcodeBadKey:
			return fmt.Errorf("%w: %s", ErrBadKey, u.Key.Name())
		case dns.RcodeBadSig, dns.RcodeBadTrunc:
			return fmt.Errorf("%w: %s", ErrBadSecret, u.Key.Name())
		case dns.RcodeBadTime:
			return fmt.Errorf("%w: %s", ErrBadTime, u.apart(tsig))
		}
	}
	if err := fault(a); err != nil {
		return err
	}
	return ErrUnsigned
}

// apart says what the two clocks say. The server's is in the six octets of other data.
func (u Updater) apart(tsig *dns.TSIG) string {
	ours := clock(time.Now().Add(u.skew).Unix())
	raw, err := hex.DecodeString(tsig.OtherData)
	if err != nil || len(raw) != 6 {
		return "ours says " + ours
	}
	seconds, err := strconv.ParseInt(tsig.OtherData, 16, 64)
	if err != nil {
		return "ours says " + ours
	}
	return "the server's says " + clock(seconds) + ", ours " + ours
}

func clock(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05") + " UTC"
}
