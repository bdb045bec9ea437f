package node

import (
	"context"
	"sync"

	"github.com/p3do/p3do/pki"
)

// How many look-ups at other nodes are under way for our users at a time, in all and at one
// home: so a home that is slow holds up those who ask for its own users, and few others.
const (
	maxLookups     = 64
	maxLookupsEach = 8
)

// A turnstile lets a bounded number of look-ups go on at a time. The others wait.
type turnstile struct {
	all chan struct{} // has room for maxLookups

	mu    sync.Mutex // guards homes, and who is at them
	homes map[pki.Domain]*atHome
}

// atHome are the look-ups at one home, those that wait included.
type atHome struct {
	turns chan struct{} // has room for maxLookupsEach
	users int
}

func newTurnstile() *turnstile {
	return &turnstile{all: make(chan struct{}, maxLookups), homes: make(map[pki.Domain]*atHome)}
}

// enter waits for a turn at home; leave gives it back. An error says that ctx ended before.
func (t *turnstile) enter(ctx context.Context, home pki.Domain) (leave func(), err error) {
	at := t.arrive(home)
	select {
	case at.turns <- struct{}{}: // first, so that who waits for a slow home keeps nobody else waiting
	case <-ctx.Done():
		t.depart(home)
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		<-at.turns
		t.depart(home)
		return nil, ctx.Err()
	}
	return func() {
		<-t.all
		<-at.turns
		t.depart(home)
	}, nil
}

func (t *turnstile) arrive(home pki.Domain) *atHome {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.homes[home]
	if at == nil {
		at = &atHome{turns: make(chan struct{}, maxLookupsEach)}
		t.homes[home] = at
	}
	at.users++
	return at
}

func (t *turnstile) depart(home pki.Domain) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.homes[home]
	if at.users--; at.users == 0 {
		delete(t.homes, home)
	}
}
