package dnstxt

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

// ZoneKeySize is the octets of the seed of a ZoneKey.
const ZoneKeySize = ed25519.SeedSize

// flagsKey says of a DNSKEY that it is of a zone, and that a DS may name it.
const flagsKey = dns.ZONE | dns.SEP

// A ZoneKey is the one key that a SignedZone is signed with: Ed25519, algorithm 15
// (RFC 8080), both for the keys and for the records of the zone. It is kept apart from
// the key of the domain: who has it can say what is in DNS, and no more.
type ZoneKey struct {
	private *ed25519.PrivateKey // a pointer, which prints as an address inside of other things
	_       [0]func()           // not to be compared
}

// NewZoneKey makes a key from ZoneKeySize octets of rand.
func NewZoneKey(rand io.Reader) (ZoneKey, error) {
	seed := make([]byte, ZoneKeySize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return ZoneKey{}, fmt.Errorf("dnstxt: making a zone key: %w", err)
	}
	return ParseZoneKey(seed)
}

// ParseZoneKey takes the ZoneKeySize octets that Seed returned.
func ParseZoneKey(seed []byte) (ZoneKey, error) {
	if len(seed) != ZoneKeySize {
		return ZoneKey{}, fmt.Errorf("dnstxt: a zone key has %d octets, not %d", len(seed), ZoneKeySize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	return ZoneKey{private: &private}, nil
}

// Seed is what to keep of the key, in secret: ZoneKeySize octets.
func (k ZoneKey) Seed() []byte { return k.private.Seed() }

// String shows nothing of the key.
func (ZoneKey) String() string { return "secret" }

// GoString shows nothing of the key.
func (ZoneKey) GoString() string { return "secret" }

// LogValue implements slog.LogValuer, and shows nothing of the key.
func (ZoneKey) LogValue() slog.Value { return slog.StringValue("secret") }

// dnskey is the record that publishes the key in a zone.
func (k ZoneKey) dnskey(apex string, ttl uint32) *dns.DNSKEY {
	key := &dns.DNSKEY{Hdr: header(apex, dns.TypeDNSKEY, ttl), Flags: flagsKey, Protocol: 3, Algorithm: dns.ED25519}
	key.PublicKey = base64.StdEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
	return key
}

// Delegation returns the lines that the zone above _p3do.DOMAIN needs so that resolvers
// find and believe a SignedZone: one NS for each name server, and the DS of the key
// (SHA-256, digest type 2). No address is among them: the names of the servers are not
// below _p3do.DOMAIN.
func Delegation(domain pki.Domain, servers []pki.Domain, key ZoneKey, ttl uint32) ([]string, error) {
	apex, err := apexOf(domain, servers)
	if err != nil {
		return nil, err
	}
	if key.private == nil {
		return nil, errNoKey
	}
	var lines []string
	for _, s := range servers {
		lines = append(lines, spaced(&dns.NS{Hdr: header(apex, dns.TypeNS, ttl), Ns: s.String() + "."}))
	}
	return append(lines, spaced(key.dnskey(apex, ttl).ToDS(dns.SHA256))), nil
}

// spaced is a record as a line, with spaces where miekg/dns has tabs.
func spaced(rr dns.RR) string { return strings.Join(strings.Fields(rr.String()), " ") }

var errNoKey = errors.New("dnstxt: the zone has no key")

// MaxNameservers is how many name servers a zone has at most.
const MaxNameservers = 4

// apexOf is the name of the zone of a domain, with the final dot. It refuses name
// servers whose address the zone would have to know, for it has none.
func apexOf(domain pki.Domain, servers []pki.Domain) (string, error) {
	owner, err := Owner(domain)
	if err != nil {
		return "", err
	}
	if len(servers) == 0 || len(servers) > MaxNameservers {
		return "", fmt.Errorf("dnstxt: a zone has 1 to %d name servers, not %d", MaxNameservers, len(servers))
	}
	for i, s := range servers {
		for _, earlier := range servers[:i] {
			if s == earlier {
				return "", fmt.Errorf("dnstxt: the name server %s is there twice", s)
			}
		}
		if s.IsZero() {
			return "", errors.New("dnstxt: a name server without a name")
		}
	}
	return owner + ".", nil
}
