package node

import (
	"context"
	"sync"

	"github.com/p3do/p3do/pki"
)

// How many look-ups at other nodes are under way for our users at a time, in all, and at one
// home or for one user. So a home that is slow holds up those who ask for its own users, and
// whoever asks for users of many slow homes holds up herself: it takes eight such users to
// hold up others. A turn at a home lasts for [lookUpTime] at most, waiting for it included. Then
// peers are asked for a copy, in a turn of another turnstile, for [copyTime].
const (
	maxLookups     = 64
	maxLookupsEach = 8
)

// A turnstile lets a bounded number of look-ups go on at a time. The others wait.
type turnstile struct {
	all chan struct{} // has room for maxLookups

	users gates[pki.Fingerprint]
	homes gates[pki.Domain]
}

func newTurnstile() *turnstile {
	return &turnstile{
		all:   make(chan struct{}, maxLookups),
		users: gates[pki.Fingerprint]{open: make(map[pki.Fingerprint]*gate)},
		homes: gates[pki.Domain]{open: make(map[pki.Domain]*gate)},
	}
}

// enter waits for a turn of user's at home; leave gives it back. An error says that ctx ended
// before. Who waits for her own turns, or for a slow home's, keeps nobody else waiting: so
// these come first.
func (t *turnstile) enter(ctx context.Context, user pki.Fingerprint, home pki.Domain) (leave func(), err error) {
	ofUser, err := t.users.enter(ctx, user)
	if err != nil {
		return nil, err
	}
	atHome, err := t.homes.enter(ctx, home)
	if err != nil {
		ofUser()
		return nil, err
	}
	select {
	case t.all <- struct{}{}:
		return func() { <-t.all; atHome(); ofUser() }, nil
	case <-ctx.Done():
		atHome()
		ofUser()
		return nil, ctx.Err()
	}
}

// gates lets maxLookupsEach of each key through at a time.
type gates[K comparable] struct {
	mu   sync.Mutex // guards open, and who is at them
	open map[K]*gate
}

// A gate is there while somebody is in it or waits for it.
type gate struct {
	turns chan struct{} // has room for maxLookupsEach
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
		at = &gate{turns: make(chan struct{}, maxLookupsEach)}
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
