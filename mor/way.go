package mor

import (
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Specification constants of routes (row M5). Hops count relays that are neither in the
// entry's nor in the mailbox server's domain.
const (
	MinHops     = 2
	MaxHops     = 3
	DefaultHops = 2

	// LongStanding is for how long another domain has to have stood by a server before it is
	// not young any more: whoever wants to be in many routes has to wait for it.
	LongStanding = 7 * 24 * time.Hour
)

// A Server is what a user needs of a server to put it into a route.
type Server struct {
	Domain pki.Domain
	Key    onion.ServerKey // of the period in which the packet travels
	Young  bool            // no other domain has stood by it for [LongStanding] yet

	EndOnly bool // it may not relay: no other domain stands by it at all
}

// A Route is the way of one packet, as its user chose it: the entry and the mailbox
// server at its ends, relays of distinct domains between.
type Route []pki.Domain

// String joins the domains with arrows.
func (r Route) String() string {
	names := make([]string, len(r))
	for i, d := range r {
		names[i] = d.String()
	}
	return strings.Join(names, " -> ")
}

// A RouteError says why no route was made. Nothing shorter is ever taken instead.
type RouteError struct{ Reason string }

func (e *RouteError) Error() string { return e.Reason }

func routeErrorf(format string, args ...any) error {
	return &RouteError{fmt.Sprintf(format, args...)}
}

// ends are the two domains that no relay may be in.
type ends struct{ entry, mailbox pki.Domain }

// A preference says which relays are better left alone for one packet. None of it rules a
// relay out.
type preference struct {
	avoid  Route              // of the packet before, or of the other way
	doubts map[pki.Domain]int // copies over a relay that nothing came of, since something did
}

// What being in the route to avoid, and being young, weighs in doublings of doubts.
const (
	avoided = 2
	young   = 1
)

// cost grows with the number of digits of the doubts, so that a relay must have failed
// some times more often than others before it is passed over for them.
func (p preference) cost(s Server) int {
	cost := bits.Len(uint(p.doubts[s.Domain]))
	if slices.Contains(p.avoid, s.Domain) {
		cost += avoided
	}
	if s.Young {
		cost += young
	}
	return cost
}

// cheapest returns the n servers of the least cost, the first of equals. If no more than n are
// left by what is to be avoided, and one of the cheapest is doubted, nothing is avoided: where
// there are so few relays and one of them is dead, who avoids the others takes it for every
// copy, there or back, and never finds out. Where there are more, that one is doubted does not
// undo avoiding: a spool that withholds its receipts has all relays doubted, as much as it likes.
func (p preference) cheapest(servers []Server, n int) []Server {
	cheap := func(p preference) []Server {
		return slices.SortedStableFunc(slices.Values(servers), func(a, b Server) int { return p.cost(a) - p.cost(b) })[:n]
	}
	chosen := cheap(p)
	if p.left(servers) <= n && slices.ContainsFunc(chosen, func(s Server) bool { return p.doubts[s.Domain] > 0 }) {
		return cheap(preference{doubts: p.doubts})
	}
	return chosen
}

// left is how many of servers are not to be avoided.
func (p preference) left(servers []Server) (n int) {
	for _, s := range servers {
		if !slices.Contains(p.avoid, s.Domain) {
			n++
		}
	}
	return n
}

// choose picks the relays of the least cost for hops, at random among equals, or takes via
// as given.
func choose(rand io.Reader, servers []Server, e ends, hops int, via []pki.Domain, p preference) ([]Server, error) {
	switch {
	case hops < MinHops || hops > MaxHops:
		return nil, routeErrorf("%d hops are not allowed: %d or %d", hops, MinHops, MaxHops)
	case len(via) > 0:
		return given(servers, e, via)
	}
	chosen := candidates(servers, e)
	if len(chosen) < hops {
		return nil, routeErrorf("%d relays outside %s and %s are needed, %d known", hops, e.entry, e.mailbox, len(chosen))
	}
	if err := shuffle(rand, chosen); err != nil {
		return nil, err
	}
	chosen = p.cheapest(chosen, hops)
	if err := shuffle(rand, chosen); err != nil {
		return nil, err
	}
	if slices.Equal(routeOf(e, chosen), p.avoid) {
		slices.Reverse(chosen) // there is no other relay, but another order
	}
	return chosen, nil
}

// given resolves the relays that a user named, in her order.
func given(servers []Server, e ends, via []pki.Domain) ([]Server, error) {
	if len(via) < MinHops || len(via) > MaxHops {
		return nil, routeErrorf("%d relays named, %d or %d are allowed", len(via), MinHops, MaxHops)
	}
	var chosen []Server
	for i, domain := range via {
		at := slices.IndexFunc(servers, func(s Server) bool { return s.Domain == domain })
		switch {
		case at < 0:
			return nil, routeErrorf("no server of %s is known", domain)
		case servers[at].EndOnly:
			return nil, routeErrorf("no other domain stands by %s, and so it cannot be a relay", domain)
		case domain == e.entry || domain == e.mailbox:
			return nil, routeErrorf("%s is at an end of the route and cannot be a relay of it", domain)
		case slices.Contains(via[:i], domain):
			return nil, routeErrorf("%s is named twice", domain)
		}
		chosen = append(chosen, servers[at])
	}
	return chosen, nil
}

// candidates lists one server of each domain that may relay.
func candidates(servers []Server, e ends) []Server {
	taken := []pki.Domain{e.entry, e.mailbox}
	var relays []Server
	for _, s := range servers {
		if !s.EndOnly && !slices.Contains(taken, s.Domain) {
			taken, relays = append(taken, s.Domain), append(relays, s)
		}
	}
	return relays
}

// shuffle is Fisher and Yates's, without bias.
func shuffle(rand io.Reader, servers []Server) error {
	for i := len(servers) - 1; i > 0; i-- {
		j, err := below(rand, int64(i+1))
		if err != nil {
			return err
		}
		servers[i], servers[j] = servers[j], servers[i]
	}
	return nil
}

// below returns a number in [0, n): 16 random bytes modulo n, a bias under 2^-100.
func below(rand io.Reader, n int64) (int64, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, fmt.Errorf("mor: drawing lots: %w", err)
	}
	wide := new(big.Int).SetBytes(b[:])
	return wide.Mod(wide, big.NewInt(n)).Int64(), nil
}
