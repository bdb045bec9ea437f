package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Beliefs are what this node holds of the keys of others, as the store has it and in memory:
// the pins of domains, what it saw of them with its own eyes, what its peers say of them, who
// handed over to whom, and what was revoked. [Node.evidence] makes of it what [pki.Judge]
// reads. The store is written first, always.
type beliefs struct {
	seeing  sync.Mutex // held by who changes a sighting, in the store too
	handing sync.Mutex // the same of hand-overs
	forking sync.Mutex // the same of forks: of a domain one is told, though two may come at once

	mu    sync.Mutex // guards what follows; held for an access only
	pins  map[pki.Domain]pinned
	seen  map[pki.Domain]store.Sighting
	views map[pki.Domain]pki.View // of peers, the newest
	lines map[pki.Domain][]pki.SignedSuccession
	keys  map[pki.Fingerprint]bool // identity keys that were revoked
	names map[revokedName]bool
	forks map[pki.Domain]witness.Fork // that a log has two histories

	logKeys map[pki.Domain]store.LogKey // the newest keys in our copies of logs

	ended map[pki.Domain]endings // how many of these are of each domain, by the revocations of it
}

// Endings are how many keys and how many names were revoked.
type endings struct{ keys, names int }

// A revokedName is a name that was ended for a key.
type revokedName struct {
	name pki.Name
	key  pki.Fingerprint
}

// A pinned is a pin and what is known beside it.
type pinned struct {
	pki.Pin
	since time.Time
	next  pki.Fingerprint // the key that it committed to
	root  pki.Fingerprint // of the domain's offline root
}

// openBeliefs reads what the store has; the views of peers are added when these are known.
func openBeliefs(ctx context.Context, s *store.Store) (*beliefs, error) {
	b := &beliefs{
		pins: make(map[pki.Domain]pinned), seen: make(map[pki.Domain]store.Sighting),
		views: make(map[pki.Domain]pki.View), lines: make(map[pki.Domain][]pki.SignedSuccession),
		keys: make(map[pki.Fingerprint]bool), names: make(map[revokedName]bool), ended: make(map[pki.Domain]endings),
		forks: make(map[pki.Domain]witness.Fork), logKeys: make(map[pki.Domain]store.LogKey),
	}
	for _, load := range []func(context.Context, *store.Store) error{b.loadPins, b.loadSightings, b.loadRevocations, b.loadSuccessions, b.loadForks, b.loadLogKeys} {
		if err := load(ctx, s); err != nil {
			return nil, fmt.Errorf("node: reading what is known of keys: %w", err)
		}
	}
	return b, nil
}

func (b *beliefs) loadPins(ctx context.Context, s *store.Store) error {
	rows, err := s.Pins(ctx, pinDomain)
	if err != nil {
		return err
	}
	for _, row := range rows {
		domain, err := pki.ParseDomain(row.Subject)
		if err != nil {
			return err
		}
		p := pinned{Pin: pki.Pin{Subject: row.Subject, Key: row.Key, Trust: pki.Trust(row.Trust)}, since: row.Since, next: row.Next, root: row.Root}
		for _, key := range row.Former {
			p.Former = append(p.Former, key)
		}
		b.pins[domain] = p
	}
	return nil
}

func (b *beliefs) loadSightings(ctx context.Context, s *store.Store) error {
	rows, err := s.Sightings(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		domain, err := pki.ParseDomain(row.Domain)
		if err != nil {
			return err
		}
		b.seen[domain] = row
	}
	return nil
}

func (b *beliefs) loadRevocations(ctx context.Context, s *store.Store) error {
	rows, err := s.Statements(ctx, uint8(pki.StatementRevocation))
	if err != nil {
		return err
	}
	for _, row := range rows {
		r, err := pki.ParseRevocation(row.Raw)
		if err != nil {
			return err
		}
		b.revoke(r)
	}
	return nil
}

func (b *beliefs) loadSuccessions(ctx context.Context, s *store.Store) error {
	rows, err := s.Statements(ctx, uint8(pki.StatementSuccession))
	if err != nil {
		return err
	}
	for _, row := range rows {
		succession, err := pki.ParseSuccession(row.Raw)
		if err != nil {
			return err
		}
		b.succeed(succession)
	}
	return nil
}

// loadView takes the view of a peer from the store, if there is one that has not run out.
func (n *Node) loadView(ctx context.Context, peer pki.Domain) error {
	row, err := n.store.Statement(ctx, uint8(pki.StatementView), peer.String(), [32]byte{})
	if err != nil {
		return notFoundIsNil(err)
	}
	ca, ok := n.directory.authority(peer)
	if !ok {
		return nil
	}
	if view, err := ca.VerifyView(row.Raw, time.Now()); err == nil { // else it has run out, or its key has
		n.beliefs.look(view.View)
	}
	return nil
}

// revoke takes a revocation that the store keeps, once.
func (b *beliefs) revoke(r pki.Revocation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.ended[r.Domain()]
	if r.Scope == pki.KeyRevoked {
		b.keys[r.Key().Fingerprint()] = true
		of.keys++
	} else {
		b.names[revokedName{r.Name(), r.Key().Fingerprint()}] = true
		of.names++
	}
	b.ended[r.Domain()] = of
}

// ends tells how many keys and names of a domain were revoked.
func (b *beliefs) ends(of pki.Domain) (keys, names int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended[of].keys, b.ended[of].names
}

// revoked reports whether a key is of no use any more: under this name, or under any.
func (b *beliefs) revoked(name pki.Name, key pki.Fingerprint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys[key] || b.names[revokedName{name, key}]
}

// keyRevoked reports whether a key is of no use any more under any name.
func (b *beliefs) keyRevoked(key pki.Fingerprint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys[key]
}

// succeed takes a hand-over, once.
func (b *beliefs) succeed(s pki.SignedSuccession) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, known := range b.lines[s.Domain] {
		if known.Says() == s.Says() { // as in the store
			return
		}
	}
	b.lines[s.Domain] = append(slices.Clip(b.lines[s.Domain]), s) // others may be reading the old one
}

// succeeded reports whether a hand-over is known.
func (b *beliefs) succeeded(s pki.SignedSuccession) bool {
	return slices.ContainsFunc(b.line(s.Domain), func(known pki.SignedSuccession) bool { return known.Says() == s.Says() })
}

// unsucceed forgets a hand-over.
func (b *beliefs) unsucceed(s pki.SignedSuccession) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines[s.Domain] = slices.DeleteFunc(slices.Clone(b.lines[s.Domain]), func(known pki.SignedSuccession) bool { return known.Says() == s.Says() })
}

func (b *beliefs) line(domain pki.Domain) []pki.SignedSuccession {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[domain]
}

// look takes the view of a peer, unless there is a newer one.
func (b *beliefs) look(view pki.View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.views[view.Domain]; !ok || old.Serial <= view.Serial {
		b.views[view.Domain] = view
	}
}

// unlook forgets the view of who is no peer any more.
func (b *beliefs) unlook(peer pki.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.views, peer)
}

func (b *beliefs) view(peer pki.Domain) (pki.View, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	view, ok := b.views[peer]
	return view, ok
}

// vouches are what peers say of a domain, in views that have not run out.
func (b *beliefs) vouches(of pki.Domain, now time.Time) (vouches []pki.Vouch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, view := range b.views {
		if vouch, ok := view.Vouch(of); ok && now.Before(view.Expires) {
			vouches = append(vouches, vouch)
		}
	}
	return vouches
}

func (b *beliefs) pin(domain pki.Domain) (pinned, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.pins[domain]
	return p, ok
}

func (b *beliefs) setPin(domain pki.Domain, p pinned) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pins[domain] = p
}

// allPins is a copy.
func (b *beliefs) allPins() map[pki.Domain]pinned {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.pins)
}

// unsee forgets what was seen of a domain that did not become known.
func (b *beliefs) unsee(domain pki.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seen, domain)
}

func (b *beliefs) sighting(domain pki.Domain) store.Sighting {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.seen[domain]
	s.Domain = domain.String()
	return s
}

// see changes what was seen of a domain, in the store and then here, unless change says that
// nothing has changed; without a store, here alone. One caller does so at a time.
func (b *beliefs) see(ctx context.Context, s *store.Store, domain pki.Domain, change func(*store.Sighting) bool) (changed bool, err error) {
	b.seeing.Lock()
	defer b.seeing.Unlock()
	sighting := b.sighting(domain)
	if !change(&sighting) {
		return false, nil
	}
	if s != nil {
		if err := s.PutSighting(ctx, sighting); err != nil {
			return false, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[domain] = sighting
	return true, nil
}

// countForks is how many domains are frozen.
func (b *beliefs) countForks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.forks)
}
