package node

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// How many look-ups at other nodes are under way for our users at a time, in all, and at one
// home or for one user. So a home that is slow holds up those who ask for its own users, and
// whoever asks for users of many slow homes holds up herself: it takes eight such users to
// hold up others. A turn at a home lasts for [lookUpTime] at most, waiting for it included. Then
// peers are asked for a copy, in a turn of another turnstile, for [copyTime].
//
// Users of other homes can make up keys, and homes that vouch for these. So they have turns of
// their own, and what they have us ask is counted by where they come from, too.
const (
	maxLookups       = 64
	maxLookupsEach   = 8
	maxLookupsClient = 4
)

// An asker is for whom something is looked up.
type asker struct {
	user   pki.Fingerprint
	guest  bool         // of another home
	client netip.Prefix // of a guest: an IPv4 address or an IPv6 /64; zero: that does not count
}

// guest is an asker whose home is elsewhere. Those who come from this machine are not told apart
// by that: it may be a lab, or an onion service through which all come.
func guest(user pki.Fingerprint, from net.Addr) asker {
	client := keyserver.ClientOf(from.String())
	if client.Addr().IsLoopback() {
		client = netip.Prefix{}
	}
	return asker{user, true, client}
}

// A turnstile lets a bounded number of look-ups go on at a time. The others wait.
type turnstile struct {
	turns        // of our own users
	guests turns // of others
}

type turns struct {
	all chan struct{} // has room for maxLookups

	users   *gates[pki.Fingerprint]
	clients *gates[netip.Prefix]
	homes   *gates[pki.Domain]
}

func newTurnstile() *turnstile { return &turnstile{newTurns(), newTurns()} }

func newTurns() turns {
	return turns{
		all:     make(chan struct{}, maxLookups),
		users:   &gates[pki.Fingerprint]{most: maxLookupsEach, open: make(map[pki.Fingerprint]*gate)},
		clients: &gates[netip.Prefix]{most: maxLookupsClient, open: make(map[netip.Prefix]*gate)},
		homes:   &gates[pki.Domain]{most: maxLookupsEach, open: make(map[pki.Domain]*gate)},
	}
}

// enter waits for a turn of the asker's at home; leave gives it back. An error says that ctx ended
// before. Who waits for her own turns, or for a slow home's, keeps nobody else waiting, but for
// guests who come from the same place: so these come first. A place has half of a home's turns at most,
// since it waits for its own before those of a home.
func (t *turnstile) enter(ctx context.Context, who asker, home pki.Domain) (leave func(), err error) {
	if who.guest {
		return t.guests.enter(ctx, who, home)
	}
	return t.turns.enter(ctx, who, home)
}

func (t *turns) enter(ctx context.Context, who asker, home pki.Domain) (leave func(), err error) {
	var passed []func()
	leave = func() {
		for i := range passed {
			passed[len(passed)-1-i]()
		}
	}
	for _, gate := range []func() (func(), error){
		func() (func(), error) { return t.users.enter(ctx, who.user) },
		func() (func(), error) { return t.enterClient(ctx, who.client) },
		func() (func(), error) { return t.homes.enter(ctx, home) },
		func() (func(), error) { return t.enterAll(ctx) },
	} {
		back, err := gate()
		if err != nil {
			leave()
			return nil, err
		}
		passed = append(passed, back)
	}
	return leave, nil
}

func (t *turns) enterClient(ctx context.Context, client netip.Prefix) (leave func(), err error) {
	if !client.IsValid() {
		return func() {}, nil
	}
	return t.clients.enter(ctx, client)
}

func (t *turns) enterAll(ctx context.Context) (leave func(), err error) {
	select {
	case t.all <- struct{}{}:
		return func() { <-t.all }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// gates lets a number of each key through at a time.
type gates[K comparable] struct {
	most int

	mu   sync.Mutex // guards open, and who is at them
	open map[K]*gate
}

// A gate is there while somebody is in it or waits for it.
type gate struct {
	turns chan struct{} // has room for as many as are let through
	there int
}

func (g *gates[K]) enter(ctx context.Context, key K) (leave func(), err error) {
	at := g.arrive(key)
	select {
	case at.turns <- struct{}{}:
		return func() { <-at.turns; g.depart(key) }, nil
	case <-ctx.Done():
		g.depart(key)
		return nil, ctx.Err()
	}
}

func (g *gates[K]) arrive(key K) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.open[key]
	if at == nil {
		at = &gate{turns: make(chan struct{}, g.most)}
		g.open[key] = at
	}
	at.there++
	return at
}

func (g *gates[K]) depart(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.open[key]
	if at.there--; at.there == 0 {
		delete(g.open, key)
	}
}
