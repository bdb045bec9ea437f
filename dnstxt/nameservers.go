package dnstxt

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/pki"
)

const (
	// MaxAsked is how many name servers of a zone [Resolver.NameServers] returns, and maxAddresses how
	// many addresses of each kind; the others are passed over.
	MaxAsked     = 8
	maxAddresses = 2

	maxClimb = 8 // names that are asked for their zone, from the record's up
)

// A NameServer is one that a zone names.
type NameServer struct {
	Name      string       // without the final dot
	Addresses []netip.Addr // 0 to 4; none that is this machine itself, or many at once
}

// NameServers asks which name servers the zone names that the record of a domain is in: the first
// name from that of the record up that has any. Nothing of it is verified. [ErrNone]: no name has.
func (r Resolver) NameServers(ctx context.Context, domain pki.Domain) (zone string, all []NameServer, err error) {
	owner, err := Owner(domain)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	w := r.newWalk()
	defer w.line.close()
	w.queries = maxClimb + 2*MaxAsked
	zone = owner + "."
	for range maxClimb {
		set, err := w.fetch(ctx, question{name: zone, qtype: dns.TypeNS})
		if err != nil {
			return "", nil, fmt.Errorf("dnstxt: the name servers of %s: %w", zone, err)
		}
		if len(set.records) > 0 {
			all, err = w.named(ctx, set)
			return strings.TrimSuffix(zone, "."), all, err
		}
		if _, zone, _ = strings.Cut(zone, "."); zone == "" {
			break
		}
	}
	return "", nil, ErrNone
}

// named are the name servers in a set, with their addresses.
func (w *walk) named(ctx context.Context, set rrset) (all []NameServer, err error) {
	for _, rr := range set.records[:min(len(set.records), MaxAsked)] {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		s := NameServer{Name: strings.TrimSuffix(ns.Ns, ".")}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			set, err := w.fetch(ctx, question{name: dns.CanonicalName(ns.Ns), qtype: kind})
			if err != nil {
				return nil, fmt.Errorf("dnstxt: the addresses of %s: %w", s.Name, err)
			}
			s.Addresses = append(s.Addresses, addresses(set)...)
		}
		all = append(all, s)
	}
	return all, nil
}

// addresses are the first of a set.
func addresses(set rrset) (all []netip.Addr) {
	for _, rr := range set.records {
		var octets []byte
		switch rr := rr.(type) {
		case *dns.A:
			octets = rr.A
		case *dns.AAAA:
			octets = rr.AAAA
		}
		at, ok := netip.AddrFromSlice(octets)
		if at = at.Unmap(); ok && at.IsGlobalUnicast() && len(all) < maxAddresses {
			all = append(all, at)
		}
	}
	return all
}

// At is a server of the zone itself, which is asked in clear.
func At(a netip.Addr) Server { return Server{over: overTCP, at: netip.AddrPortFrom(a, 53)} }
