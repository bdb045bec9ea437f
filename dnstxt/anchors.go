package dnstxt

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	maxAnchors     = 64             // records in a file of anchors
	maxAnchorsText = 64 << 10       // its octets
	maxKeysKept    = 24 * time.Hour // how long verified keys are kept, whatever their time to live
	maxZonesKept   = 4096           // zones whose keys are kept
	maxKeysSize    = 8 << 10        // octets of the keys of one zone, as text, that are kept
)

// rootAnchors are the keys of the root of DNS, as IANA publishes them: of 2017 and 2024.
const rootAnchors = `
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
`

// Anchors are keys of zones that are believed without proof, in general of the root. The
// zero Anchors are none.
type Anchors struct{ zones map[string][]*dns.DS }

// RootAnchors returns the keys of the root of DNS.
func RootAnchors() Anchors {
	anchors, err := ParseAnchors(rootAnchors)
	if err != nil {
		return Anchors{} // a test parses them
	}
	return anchors
}

// ParseAnchors reads DS and DNSKEY records as in a zone file, of any zones: at least one,
// at most 64, each of an algorithm and a digest that are verified here.
func ParseAnchors(text string) (Anchors, error) {
	if len(text) > maxAnchorsText {
		return Anchors{}, fmt.Errorf("dnstxt: trust anchors: more than %d octets", maxAnchorsText)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "$") {
			return Anchors{}, errors.New("dnstxt: trust anchors: want DS and DNSKEY records only, and no line that begins with $")
		}
	}
	zones := make(map[string][]*dns.DS)
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	parser.SetDefaultTTL(0)
	count := 0
	for rr, more := parser.Next(); more; rr, more = parser.Next() {
		ds, err := anchorOf(rr)
		if err != nil {
			return Anchors{}, err
		}
		if count++; count > maxAnchors {
			return Anchors{}, fmt.Errorf("dnstxt: trust anchors: more than %d", maxAnchors)
		}
		zone := dns.CanonicalName(ds.Hdr.Name)
		zones[zone] = append(zones[zone], ds)
	}
	if err := parser.Err(); err != nil {
		return Anchors{}, fmt.Errorf("dnstxt: trust anchors: %w", err)
	}
	if count == 0 {
		return Anchors{}, errors.New("dnstxt: trust anchors: there is no DS or DNSKEY record")
	}
	return Anchors{zones}, nil
}

func anchorOf(rr dns.RR) (*dns.DS, error) {
	var ds *dns.DS
	switch rr := rr.(type) {
	case *dns.DS:
		ds = rr
	case *dns.DNSKEY:
		if isKnown(rr.Algorithm) && rr.Flags&dns.ZONE != 0 && rr.Flags&dns.REVOKE == 0 {
			ds = rr.ToDS(dns.SHA256)
		}
	}
	if ds == nil || !canEntrust(ds) || !hasDigest(ds) || ds.Hdr.Class != dns.ClassINET {
		return nil, fmt.Errorf("dnstxt: trust anchors: the %s record of %s: want a DS record with digest 2 or 4, or a DNSKEY record, of algorithm 8, 13, 14 or 15",
			dns.Type(rr.Header().Rrtype), rr.Header().Name)
	}
	return ds, nil
}

// hasDigest tells whether a digest is as long as its type makes it.
func hasDigest(ds *dns.DS) bool {
	digest, err := hex.DecodeString(ds.Digest)
	return err == nil && len(digest) == map[uint8]int{dns.SHA256: 32, dns.SHA384: 48}[ds.DigestType]
}

// of returns the anchors of a zone.
func (a Anchors) of(zone string) []*dns.DS { return a.zones[zone] }

// enclose reports whether a zone above one has an anchor.
func (a Anchors) enclose(zone string) bool {
	for above := range a.zones {
		if dns.IsSubDomain(above, zone) {
			return true
		}
	}
	return false
}

// A KeyCache keeps verified keys of zones, so that who looks many domains up asks for the
// keys of what is above them once: of at most 4 096 zones, as long as the records
// and signatures let it, at most a day. When it is full and nothing in it is
// over, some zone goes. More than 8 KiB of keys are not kept. It may be used by several
// goroutines, and a nil one keeps nothing.
type KeyCache struct {
	mu    sync.Mutex // guards zones
	zones map[string]zoneKeys
}

// NewKeyCache returns an empty one.
func NewKeyCache() *KeyCache { return &KeyCache{zones: make(map[string]zoneKeys)} }

func (c *KeyCache) get(zone string, now time.Time) (zoneKeys, bool) {
	if c == nil {
		return zoneKeys{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	keys, ok := c.zones[zone]
	return keys, ok && now.Before(keys.until)
}

func (c *KeyCache) put(keys zoneKeys, now time.Time) {
	if c == nil || !now.Before(keys.until) || keys.size() > maxKeysSize {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.zones) >= maxZonesKept {
		maps.DeleteFunc(c.zones, func(_ string, held zoneKeys) bool { return !now.Before(held.until) })
	}
	for zone := range c.zones {
		if len(c.zones) < maxZonesKept {
			break
		}
		delete(c.zones, zone)
	}
	c.zones[keys.zone] = keys
}

func (k zoneKeys) size() (octets int) {
	for _, key := range k.keys {
		octets += len(key.PublicKey)
	}
	return octets
}

func (c *KeyCache) drop(zone string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.zones, zone)
}
