package dnstxt

import (
	"context"

	"github.com/p3do/p3do/pki"
)

// A Responder is an authoritative DNS server for the records of one zone, over
// UDP and TCP on one port. It is made for stub resolvers and the lab: it has no
// NS records, no DNSSEC, no transfers and no limit of rate. Its methods may be
// called from several goroutines.
type Responder struct {
	sockets
	zone *zone
}

// Listen opens a Responder on address, IP:port, for zone: a name such as "test".
// With port 0 it takes a port that is free for UDP and TCP. It answers as soon
// as Run runs.
func Listen(address, zone string) (*Responder, error) {
	z, err := newZone(zone)
	if err != nil {
		return nil, err
	}
	s, err := listen(address)
	if err != nil {
		return nil, err
	}
	return &Responder{s, z}, nil
}

// Set publishes the record of a domain in the zone, in place of an older one.
// It refuses domains outside the zone, invalid records, and more than
// MaxRecords.
func (r *Responder) Set(domain pki.Domain, record Record) error { return r.zone.set(domain, record) }

// Remove takes the record of a domain away, if there is one.
func (r *Responder) Remove(domain pki.Domain) error { return r.zone.remove(domain) }

// Run answers until ctx ends, which is no error. It closes the sockets and returns when all its goroutines
// have.
func (r *Responder) Run(ctx context.Context) error {
	r.run(ctx, func(answer, query []byte, limit int) []byte {
		return append(answer, r.zone.reply(query, limit)...)
	}, nil, nil)
	return nil
}
