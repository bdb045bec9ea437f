package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/p3do/p3do/dnstxt"
)

// zoneTime is how long all name servers of a zone are waited for: they are asked at once.
const zoneTime = 15 * time.Second

// A holding is what one name server of our zone has.
type holding struct {
	server  dnstxt.NameServer
	at      netip.Addr // the first address where it is another record, or else where it is right
	right   bool
	differs error // nil: right, or it did not answer
	silent  error // that it did not, at no address
}

// holdings asks every name server that the zone of the record names what it has, each at the
// addresses that the resolver tells. None are known if the resolver does not tell.
func (e *examination) holdings(ctx context.Context, ask dnstxt.Resolver, want dnstxt.Record) (zone string, all []holding) {
	ctx, cancel := context.WithTimeout(ctx, zoneTime)
	defer cancel()
	zone, servers, err := ask.NameServers(ctx, e.cfg.Domain)
	if err != nil {
		return "", nil
	}
	all = make([]holding, len(servers))
	var asked sync.WaitGroup
	for i, s := range servers {
		asked.Go(func() { all[i] = e.holding(ctx, s, want) })
	}
	asked.Wait()
	return zone, all
}

// holding asks one at its addresses, in turn, until it has another record at one of them.
func (e *examination) holding(ctx context.Context, s dnstxt.NameServer, want dnstxt.Record) holding {
	h := holding{server: s, silent: errors.New("it has no address that could be asked")}
	for _, at := range s.Addresses {
		_, err := e.look(ctx, dnstxt.Resolver{Server: dnstxt.At(at), Dial: e.Dial}, want)
		var other *otherRecord
		switch {
		case err == nil:
			h.at, h.right = at, true
		case errors.As(err, &other), errors.Is(err, dnstxt.ErrNone), errors.Is(err, dnstxt.ErrInvalid):
			return holding{server: s, at: at, differs: err}
		case !h.right:
			h.silent = err
		}
	}
	return h
}

func anyRight(all []holding) bool {
	return slices.ContainsFunc(all, func(h holding) bool { return h.right })
}

// nameServers tells which name servers of the zone have another record than the others, or than the
// resolver. known: somebody has the right one; else the resolver's answer says all.
func (e *examination) nameServers(zone string, all []holding, known bool) {
	var right []string
	for _, h := range all {
		if h.right {
			right = append(right, h.server.Name)
		}
	}
	for _, h := range all {
		switch {
		case h.differs != nil && known:
			e.wrong("dns", fmt.Sprintf("dig +norecurse _p3do.%s TXT @%s   (if it stays so: have it fetch the zone %s anew from the primary, which must notify it, or take %s out of the NS records)",
				e.cfg.Domain, h.at, zone, h.server.Name), "%s (%s) still has %s", h.server.Name, h.at, still(h.differs))
		case h.differs == nil && !h.right:
			e.add("dns", Advised, "dig +tcp +norecurse _p3do."+e.cfg.Domain.String()+" TXT @"+h.server.Name+"   (from elsewhere: who asks it hears nothing, if it is the same there)",
				fmt.Sprintf("%s, which the zone %s names, was not heard here: %v", h.server.Name, zone, h.silent))
		}
	}
	if len(right) > 0 {
		e.add("dns", Right, "", fmt.Sprintf("the zone %s is right at %s (of %d name servers)", zone, strings.Join(right, ", "), len(all)))
	}
}

// still is what a server has that is not the right record.
func still(err error) string {
	if errors.Is(err, dnstxt.ErrNone) {
		return "no record of P3DO"
	}
	return "another record: " + err.Error()
}
