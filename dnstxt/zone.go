package dnstxt

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/p3do/p3do/pki"
)

// MaxRecords is how many records a Responder holds; Set of one more is an
// error.
const MaxRecords = 4096

// A zone is the one owner of a responder's records.
type zone struct {
	apex string // lower case with the final dot, "test."

	mu      sync.RWMutex
	records map[string][]string // by owner, "_p3do.a.test.": the character-strings
	nodes   map[string]int      // every name that exists below the apex: how many records are at or below it
	serial  uint32              // of the SOA, one more at each change
}

// newZone takes the name of a zone, one label or more, in canonical spelling
// and without the final dot.
func newZone(name string) (*zone, error) {
	// A zone may be a single label, which a domain may not: check it as the
	// parent of one.
	if _, err := pki.ParseDomain("x." + name); err != nil {
		return nil, fmt.Errorf("dnstxt: zone %.80q: want a domain name in lower case without a final dot", name)
	}
	return &zone{apex: name + ".", records: map[string][]string{}, nodes: map[string]int{}, serial: 1}, nil
}

// holds reports whether a name, lower case with the final dot, is in the zone.
func (z *zone) holds(name string) bool {
	return name == z.apex || strings.HasSuffix(name, "."+z.apex)
}

func (z *zone) ownerOf(domain pki.Domain) (string, error) {
	owner, err := Owner(domain)
	if err != nil {
		return "", err
	}
	if owner += "."; !z.holds(owner) {
		return "", fmt.Errorf("dnstxt: %s is not in the zone %s", domain, z.apex)
	}
	return owner, nil
}

func (z *zone) set(domain pki.Domain, r Record) error {
	owner, err := z.ownerOf(domain)
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	_, replaces := z.records[owner]
	if !replaces && len(z.records) >= MaxRecords {
		return errors.New("dnstxt: the zone is full")
	}
	if !replaces {
		z.count(owner, 1)
	}
	z.records[owner] = r.Strings()
	z.serial++
	return nil
}

func (z *zone) remove(domain pki.Domain) error {
	owner, err := z.ownerOf(domain)
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if _, ok := z.records[owner]; !ok {
		return nil
	}
	z.count(owner, -1)
	delete(z.records, owner)
	z.serial++
	return nil
}

// count adds n at owner and at every name between it and the apex.
func (z *zone) count(owner string, n int) {
	for name := owner; name != z.apex; {
		z.nodes[name] += n
		if z.nodes[name] == 0 {
			delete(z.nodes, name)
		}
		_, name, _ = strings.Cut(name, ".")
	}
}

// look returns the strings of the record at a name, if there is one, whether
// the name exists at all (RFC 8020), and the serial at that moment.
func (z *zone) look(name string) (text []string, exists bool, serial uint32) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return z.records[name], name == z.apex || z.nodes[name] > 0, z.serial
}
