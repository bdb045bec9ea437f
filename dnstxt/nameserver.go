package dnstxt

import (
	"context"
	"time"
)

// A Nameserver is an authoritative DNS server for one SignedZone, over UDP and TCP on one
// port, for resolvers that anybody runs.
type Nameserver struct {
	sockets
	zone *SignedZone
	rate int // UDP answers a second to one prefix
}

// Serve opens a Nameserver on address, IP:port, for a zone. With port 0 it takes a port
// that is free for UDP and TCP. It answers as soon as Run runs.
func Serve(address string, zone *SignedZone) (*Nameserver, error) {
	s, err := listen(address)
	if err != nil {
		return nil, err
	}
	return &Nameserver{s, zone, gateRate}, nil
}

// Run answers until ctx ends, which is no error. It closes the sockets and returns when all its
// goroutines have.
func (s *Nameserver) Run(ctx context.Context) error {
	s.run(ctx, func(answer, query []byte, limit int) []byte {
		return s.zone.reply(answer, query, limit, time.Now())
	}, newGate(s.rate, time.Now), newCrowd())
	return nil
}
