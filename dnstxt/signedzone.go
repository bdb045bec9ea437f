package dnstxt

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

const (
	signedFor   = 7 * 24 * time.Hour // how long signatures are good
	signedSince = time.Hour          // how long before they are made, for clocks that are late
	signAgain   = 24 * time.Hour     // after which they are made anew
	denialTTL   = 300                // seconds that the absence of something may be cached
	maxTTL      = 7 * 24 * 3600      // seconds
	maxText     = 900                // octets of the record, so that its answer fits into UDP
)

// A ZoneConfig says what a SignedZone is.
type ZoneConfig struct {
	Domain      pki.Domain   // the zone is _p3do.DOMAIN
	Nameservers []pki.Domain // 1 to MaxNameservers, different
	Key         ZoneKey
	TTL         uint32 // of the record, seconds, 1 to a week
}

// A SignedZone is the zone _p3do.DOMAIN, of one name, signed by DNSSEC. All that there is
// at that name is packed and signed ahead. Names below it, of which there are none, are
// denied one by one, each signed as it is asked for (RFC 9824), within a bound. Its methods
// may be called from several goroutines.
type SignedZone struct {
	cfg   ZoneConfig
	apex  string // with the final dot
	wire  []byte // the same, as octets
	pages atomic.Pointer[pages]

	mu     sync.Mutex
	record Record
	serial uint32
	denied budget
}

// pages are all answers there are about the name of the zone.
type pages struct {
	since, again, until int64 // unix seconds; signatures are good from since to until
	of                  map[uint16]page
	nothing             page // what there is not: authority, not answer
	soa                 page
}

// A page is records of the name of the zone: count of them, each owner a pointer to the
// question; without and with signatures.
type page struct{ plain, signed sheet }

type sheet struct {
	count  uint16
	octets []byte
	owners []int // where the owners are in octets: pointers of 2 octets
}

// NewSignedZone makes the zone of a domain, and signs it.
func NewSignedZone(cfg ZoneConfig, record Record, now time.Time) (*SignedZone, error) {
	apex, err := apexOf(cfg.Domain, cfg.Nameservers)
	if err != nil {
		return nil, err
	}
	if cfg.Key.private == nil {
		return nil, errNoKey
	}
	if cfg.TTL == 0 || cfg.TTL > maxTTL {
		return nil, fmt.Errorf("dnstxt: a TTL of %d, not 1 to %d", cfg.TTL, maxTTL)
	}
	z := &SignedZone{cfg: cfg, apex: apex}
	if z.wire, err = wire(apex); err != nil {
		return nil, fmt.Errorf("dnstxt: %s: %w", apex, err)
	}
	return z, z.Set(record, now)
}

// Set puts a record in place of the one there is, and signs the zone anew. It refuses
// invalid records, and those of more than 900 octets; then the one there is stays.
func (z *SignedZone) Set(record Record, now time.Time) error {
	if err := record.Check(); err != nil {
		return err
	}
	if n := len(record.String()); n > maxText {
		return fmt.Errorf("dnstxt: a record of %d octets, at most %d", n, maxText)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.sign(record, now.Unix())
}

// mailbox is to whom mail about the zone goes: hostmaster (RFC 2142) of the domain, or, where that is too long to be a
// name, nobody (".", as RFC 7505 has it of mail).
func mailbox(domain pki.Domain) string {
	name := "hostmaster." + domain.String() + "."
	if octets, err := wire(name); err != nil || len(octets) > maxName {
		return "."
	}
	return name
}

// at are the pages that may be shown now. Those whose signatures are old, or not good yet
// because the clock was put back, are made anew first: what has expired is never shown.
func (z *SignedZone) at(now int64) (*pages, error) {
	if p := z.pages.Load(); p.since <= now && now < p.again {
		return p, nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if p := z.pages.Load(); p.since <= now && now < p.again {
		return p, nil // somebody else was first
	}
	err := z.sign(z.record, now)
	return z.pages.Load(), err
}

// sign packs and signs everything. The zone is locked.
func (z *SignedZone) sign(record Record, now int64) error {
	p := &pages{
		since: now - int64(signedSince/time.Second), until: now + int64(signedFor/time.Second),
		again: now + int64(signAgain/time.Second), of: make(map[uint16]page),
	}
	serial := max(z.serial+1, uint32(now))
	var failed error
	for _, set := range z.sets(record, serial) {
		made, err := z.page(p, set...)
		failed = errors.Join(failed, err)
		p.of[set[0].Header().Rrtype] = made
	}
	if failed != nil {
		return fmt.Errorf("dnstxt: signing %s: %w", z.apex, failed)
	}
	txt := p.of[dns.TypeTXT]
	p.soa = p.of[dns.TypeSOA]
	p.nothing = page{p.soa.plain, p.soa.signed.and(p.of[dns.TypeNSEC].signed)}
	p.of[dns.TypeANY] = txt // one set is enough (RFC 8482, section 4.1)
	signature := txt.signed.from(int(txt.plain.count))
	p.of[dns.TypeRRSIG] = page{signature, signature}
	z.record, z.serial = record, serial
	z.pages.Store(p)
	return nil
}

// sets are all records of the zone, by type.
func (z *SignedZone) sets(record Record, serial uint32) [][]dns.RR {
	head := func(kind uint16) dns.RR_Header { return header(z.apex, kind, z.cfg.TTL) }
	var servers []dns.RR
	for _, s := range z.cfg.Nameservers {
		servers = append(servers, &dns.NS{Hdr: head(dns.TypeNS), Ns: s.String() + "."})
	}
	key := z.cfg.Key.dnskey(z.apex, z.cfg.TTL)
	soa := &dns.SOA{
		Hdr: header(z.apex, dns.TypeSOA, denialTTL), Ns: z.cfg.Nameservers[0].String() + ".",
		Mbox: mailbox(z.cfg.Domain), Serial: serial,
		Refresh: 3600, Retry: 600, Expire: 7 * 86400, Minttl: denialTTL,
	}
	cds := key.ToDS(dns.SHA256).ToCDS()
	cds.Hdr = head(dns.TypeCDS)
	cdnskey := key.ToCDNSKEY()
	cdnskey.Hdr = head(dns.TypeCDNSKEY)
	sets := [][]dns.RR{
		servers, {soa}, {&dns.TXT{Hdr: head(dns.TypeTXT), Txt: record.Strings()}}, {key}, {cds}, {cdnskey},
	}
	kinds := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	for _, set := range sets {
		kinds = append(kinds, set[0].Header().Rrtype)
	}
	slices.Sort(kinds)
	return append(sets, []dns.RR{z.nsec(z.apex, kinds)})
}

// page packs a set, and its signature.
func (z *SignedZone) page(p *pages, set ...dns.RR) (page, error) {
	signature, err := z.signature(p, set)
	if err != nil {
		return page{}, err
	}
	plain, err := pack(len(z.wire), set...)
	if err != nil {
		return page{}, err
	}
	signed, err := pack(len(z.wire), append(set, signature)...)
	return page{plain, signed}, err
}

// signature signs a set.
func (z *SignedZone) signature(p *pages, set []dns.RR) (*dns.RRSIG, error) {
	key := z.cfg.Key.dnskey(z.apex, 0)
	s := &dns.RRSIG{
		Algorithm: key.Algorithm, KeyTag: key.KeyTag(), SignerName: z.apex,
		Inception: uint32(p.since), Expiration: uint32(p.until),
	}
	return s, s.Sign(*z.cfg.Key.private, set)
}

// pointer is the compressed name that stands for the question's (RFC 1035, section 4.1.4).
const pointer = 0xc000 | headerOctets

// pack packs records whose owner, of so many octets, is the question's.
func pack(owner int, set ...dns.RR) (sheet, error) {
	var s sheet
	for _, rr := range set {
		b := make([]byte, dns.Len(rr)+1)
		n, err := dns.PackRR(rr, b, 0, nil, false)
		if err != nil {
			return s, err
		}
		s.count++
		s.owners = append(s.owners, len(s.octets))
		s.octets = append(append(s.octets, pointer>>8, pointer&0xff), b[owner:n]...)
	}
	return s, nil
}

// and is s with what is in t behind it.
func (s sheet) and(t sheet) sheet {
	both := sheet{s.count + t.count, slices.Concat(s.octets, t.octets), slices.Clone(s.owners)}
	for _, at := range t.owners {
		both.owners = append(both.owners, len(s.octets)+at)
	}
	return both
}

// from is s without its first n records.
func (s sheet) from(n int) sheet {
	first := s.owners[n]
	rest := sheet{count: s.count - uint16(n), octets: s.octets[first:]}
	for _, at := range s.owners[n:] {
		rest.owners = append(rest.owners, at-first)
	}
	return rest
}
