package store

import (
	"context"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// A LogKey is the newest key of a domain in the copy of its log.
type LogKey struct {
	Read  int64     // leaves that were looked through
	Key   [32]byte  // fingerprint; zero: none
	Since time.Time // from when on enough had cosigned it, as was seen here; whole seconds, UTC; zero: never
	Seen  time.Time // when that was seen last; the same
}

// LogKeys are those of all copies, by the name of the log.
func (s *Store) LogKeys(ctx context.Context) (map[string]LogKey, error) {
	rows, err := s.read.LogKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: listing the keys in logs: %w", err)
	}
	all := make(map[string]LogKey, len(rows))
	for _, r := range rows {
		all[r.Origin] = LogKey{Read: r.KeyRead, Key: fp32(r.Key), Since: logTime(r.KeySince), Seen: logTime(r.KeySeen)}
	}
	return all, nil
}

// SetLogKey keeps that of a log of which there is a copy, or is [ErrNotFound].
func (s *Store) SetLogKey(ctx context.Context, origin string, k LogKey) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.SetLogKey(ctx, db.SetLogKeyParams{
			KeyRead: k.Read, Key: k.Key[:], KeySince: logSeconds(k.Since), KeySeen: logSeconds(k.Seen), Origin: origin,
		})
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
}

func logTime(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func logSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
