package node

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// How many messages a user sends in an hour: what she hands in, be it a first copy, a further
// one, or an acknowledgement.
const (
	defaultQuota = 10_000
	maxQuota     = 1_000_000
	quotaTime    = time.Hour
	// maxMetered is for how many of our own users is counted at a time; while it is so many,
	// whoever is not among them waits. Users of other homes have a table of their own, as
	// great as that of their mailboxes, and a share of it by home: they and their homes can be
	// made up, and take nothing from ours.
	maxMetered           = 20_000
	maxMeteredVisitors   = store.MaxVisitors
	maxMeteredVisitorsOf = store.MaxVisitorsOf
)

// A meter counts what users hand in, in memory only.
type meter struct {
	most, mostOf int // users, and users of one home

	mu    sync.Mutex // guards what follows
	users map[pki.Fingerprint]reading
	homes map[pki.Domain]int // how many of the users are of it
}

func newMeter(most, mostOf int) *meter {
	return &meter{most: most, mostOf: mostOf, users: make(map[pki.Fingerprint]reading), homes: make(map[pki.Domain]int)}
}

// A reading is how much somebody has used of an hour.
type reading struct {
	home  pki.Domain
	began time.Time
	used  int64
}

// take counts one more of a user, unless that is more than quota; then left is what is left of
// the hour.
func (m *meter) take(key pki.Fingerprint, home pki.Domain, now time.Time, quota int64) (left time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.users[key]
	switch {
	case !known && !m.room(home, now):
		return quotaTime, false
	case !known:
		r = reading{home, now, 0}
		m.homes[home]++
	case now.Sub(r.began) >= quotaTime:
		r.began, r.used = now, 0
	}
	if ok = r.used < quota; ok {
		r.used++
	} else {
		left = r.began.Add(quotaTime).Sub(now)
	}
	m.users[key] = r
	return left, ok
}

// room makes some for one more of home, if there is any.
func (m *meter) room(home pki.Domain, now time.Time) bool {
	free := func() bool { return len(m.users) < m.most && m.homes[home] < m.mostOf }
	if free() {
		return true
	}
	for key, r := range m.users {
		if now.Sub(r.began) < quotaTime {
			continue
		}
		delete(m.users, key)
		if m.homes[r.home]--; m.homes[r.home] == 0 {
			delete(m.homes, r.home)
		}
	}
	return free()
}

// quota is how many messages an hour a name may send.
func (n *Node) quota(ctx context.Context, name pki.Name) (int64, error) {
	messages, ok, err := n.store.Quota(ctx, name.String())
	if !ok {
		messages = defaultQuota
	}
	return messages, err
}

// meter counts one message of a user, or refuses it.
func (n *Node) meter(ctx context.Context, user pki.UserCert) error {
	quota, err := n.quota(ctx, user.Name())
	if err != nil {
		return err
	}
	metered := n.metered
	if user.Name().Domain() != n.cfg.Domain {
		metered = n.visitors
	}
	left, ok := metered.take(user.Key().Fingerprint(), user.Name().Domain(), time.Now(), quota)
	if ok {
		return nil
	}
	return session.Errorf(session.Full, "%s", quotaText(quota, n.cfg.Domain, left))
}

// quotaText is what a user reads; "; wait" divides what happened from what to do.
func quotaText(quota int64, domain pki.Domain, left time.Duration) string {
	return fmt.Sprintf("you have used %d of %d messages for this hour at %s; wait %d min",
		quota, quota, domain, int(math.Ceil(left.Minutes())))
}
