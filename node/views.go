package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// viewPace is the least time between two views of ours, and between two that are taken of one
// domain, outside of a lab.
const viewPace = 2 * time.Second

// maxPaced is of how many something was taken within their pace. Who is one more waits.
const maxPaced = store.MaxServers

// Paces say when something was taken last of each: of a domain, or of what a move leaves.
type paces[K comparable] struct {
	mu   sync.Mutex // guards last
	last map[K]time.Time
}

// take notes that it is now, unless that was less than pace ago; then it returns what is left.
func (p *paces[K]) take(of K, now time.Time, pace time.Duration) (left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = make(map[K]time.Time)
	}
	if since := now.Sub(p.last[of]); since >= 0 && since < pace {
		return pace - since
	}
	if len(p.last) >= maxPaced {
		maps.DeleteFunc(p.last, func(_ K, at time.Time) bool { return now.Sub(at) >= pace })
	}
	if _, known := p.last[of]; !known && len(p.last) >= maxPaced {
		return pace
	}
	p.last[of] = now
	return 0
}

// sayAnew has our view signed again, if what it says has changed.
func (n *Node) sayAnew() { offer(n.unsaid, struct{}{}) }

// stateViews signs our view when it has something new to say, and not more often than the
// configured pace: what changes in between is said together.
func (n *Node) stateViews(ctx context.Context) error {
	for {
		if err := n.stateView(ctx, time.Now()); err != nil && ctx.Err() == nil {
			n.log.Error("stating our view", "err", err)
		}
		wait(ctx, n.cfg.viewPace())
		select {
		case <-ctx.Done():
			return nil
		case <-n.unsaid:
		}
	}
}

// stateView signs what we say of others and hands it on, if that is something new or what we
// said last has lived half its life.
func (n *Node) stateView(ctx context.Context, now time.Time) error {
	sightings, err := n.sightings(ctx, now)
	if err != nil {
		return err
	}
	last, err := n.lastView(ctx)
	if err != nil {
		return err
	}
	if fmt.Sprint(last.Sightings) == fmt.Sprint(sightings) && now.Before(last.Issued.Add(pki.ViewLifetime/2)) {
		return nil
	}
	view, err := n.authority().SignView(pki.View{
		Serial: max(last.Serial+1, uint64(now.UnixMilli())), Issued: now, Expires: now.Add(pki.ViewLifetime), Sightings: sightings,
	})
	if err != nil {
		return err
	}
	fresh, err := n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementView), Issuer: n.cfg.Domain.String(), Serial: view.Serial, Ends: view.Expires, Raw: view.Raw(),
	}, store.Room{Each: 1})
	if fresh {
		n.tell()
	}
	return err
}

// lastView is what we said last; the zero View if that was nothing, or under another key.
func (n *Node) lastView(ctx context.Context) (pki.View, error) {
	row, err := n.store.Statement(ctx, uint8(pki.StatementView), n.cfg.Domain.String(), [32]byte{})
	if err != nil {
		return pki.View{}, notFoundIsNil(err)
	}
	last, err := n.authority().CA().VerifyView(row.Raw, row.Ends.Add(-time.Second))
	if err != nil {
		return pki.View{Serial: row.Serial}, nil
	}
	return last.View, nil
}

// sightings are what we say of others: of peers first, then of those that were pinned first,
// as many as there is room for.
func (n *Node) sightings(ctx context.Context, now time.Time) ([]pki.Sighting, error) {
	standings, err := n.standings(ctx, now)
	if err != nil {
		return nil, err
	}
	var all []pki.Sighting
	for _, domain := range n.directory.domains() {
		s := pki.Sighting{Domain: domain}
		seen := n.beliefs.sighting(domain)
		if s.DNS = seen.DNS; !s.DNS.IsZero() {
			s.Secure = seen.Secure
		}
		if p, ok := n.beliefs.pin(domain); ok {
			s.Key, s.Since, s.Standing = p.Key, sinceOf(p), standings[domain]
		}
		if !s.Key.IsZero() || !s.DNS.IsZero() {
			all = append(all, s)
		}
	}
	return fitting(all), nil
}

// sinceOf is since when a key is pinned; a view can say no year before 1970.
func sinceOf(p pinned) time.Time {
	return time.Unix(max(0, p.since.Unix()), 0).UTC()
}

// fitting leaves out what is over the bounds of a view.
func fitting(all []pki.Sighting) []pki.Sighting {
	slices.SortStableFunc(all, func(a, b pki.Sighting) int {
		unpinned := func(s pki.Sighting) int {
			if s.Key.IsZero() {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(b.Standing, a.Standing), cmp.Compare(unpinned(a), unpinned(b)),
			a.Since.Compare(b.Since), strings.Compare(a.Domain.String(), b.Domain.String()))
	})
	const head, each = 512, 1 + 32 + 8 + 1 + 32 + 1 // bytes, generously
	size := head
	for i, s := range all {
		if size += each + len(s.Domain.String()); i == pki.MaxSightings || size > pki.MaxViewSize {
			all = all[:i]
			break
		}
	}
	slices.SortFunc(all, func(a, b pki.Sighting) int { return strings.Compare(a.Domain.String(), b.Domain.String()) })
	return all
}

// standings say how far the countersignatures with our peers have come.
func (n *Node) standings(ctx context.Context, now time.Time) (map[pki.Domain]pki.Standing, error) {
	rows, err := n.store.Peers(ctx)
	if err != nil {
		return nil, err
	}
	linked, err := n.linked(ctx)
	if err != nil {
		return nil, err
	}
	standings := make(map[pki.Domain]pki.Standing, len(rows))
	for _, row := range rows {
		domain, err := pki.ParseDomain(row.Domain)
		if err != nil {
			return nil, err
		}
		standings[domain] = pki.Countersigned
		if n.countersigns(domain, row.Received, linked[domain], now) {
			standings[domain] = pki.Mutual
		}
	}
	return standings, nil
}

// countersigns reports whether a peer vouches for us: it has given us a certificate that has
// not run out, and, if it has no link with us, its view does not say that it withdrew that.
func (n *Node) countersigns(peer pki.Domain, received []byte, linked bool, now time.Time) bool {
	cross, err := pki.ParseCrossCert(received)
	if err != nil || now.After(cross.NotAfter()) {
		return false
	}
	if linked {
		return true
	}
	view, ok := n.beliefs.view(peer)
	if !ok {
		return true
	}
	s, _ := view.Of(n.cfg.Domain)
	return s.Standing != pki.Seen
}
