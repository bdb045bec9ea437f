package node

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

// How many messages a user sends in an hour: what she hands in, be it a first copy, a further
// one, or an acknowledgement.
const (
	defaultQuota = 10_000
	maxQuota     = 1_000_000
	quotaTime    = time.Hour
	// maxMetered is for how many users is counted at a time; while it is so many, whoever is
	// not among them waits.
	maxMetered = 20_000
)

// A meter counts what users hand in, in memory only.
type meter struct {
	mu    sync.Mutex // guards users
	users map[pki.Fingerprint]reading
}

// A reading is how much somebody has used of an hour.
type reading struct {
	began time.Time
	used  int64
}

// take counts one more, unless that is more than quota; then left is what is left of the hour.
func (m *meter) take(key pki.Fingerprint, now time.Time, quota int64) (left time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.users[key]
	if !known || now.Sub(r.began) >= quotaTime {
		if !known && !m.room(now) {
			return quotaTime, false
		}
		r = reading{began: now}
	}
	if r.used >= quota {
		return r.began.Add(quotaTime).Sub(now), false
	}
	r.used++
	m.users[key] = r
	return 0, true
}

// room makes some for one more, if there is any.
func (m *meter) room(now time.Time) bool {
	if m.users == nil {
		m.users = make(map[pki.Fingerprint]reading)
	}
	if len(m.users) < maxMetered {
		return true
	}
	for key, r := range m.users {
		if now.Sub(r.began) >= quotaTime {
			delete(m.users, key)
		}
	}
	return len(m.users) < maxMetered
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
	left, ok := n.metered.take(user.Key().Fingerprint(), time.Now(), quota)
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
