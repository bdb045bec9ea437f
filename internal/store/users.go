package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Origin tells the domain's own records from copies.
type Origin string

const (
	Home  Origin = "home"  // signed by this domain; also in the key ring
	Cache Origin = "cache" // a verified copy of another domain's record
)

// User is the key server's record of one user name.
type User struct {
	Name        string
	Fingerprint [32]byte // of the identity key
	Certificate []byte
	Card        []byte    // empty: certified, and no card was published yet
	Serial      uint64    // of the card, below 2^63
	NotAfter    time.Time // end of the certificate, whole seconds
	Origin      Origin
	StoredAt    time.Time // of a cached copy: when it was fetched
}

// User returns the record of exactly that name, or [ErrNotFound].
func (s *Store) User(ctx context.Context, name string) (User, error) {
	u, err := s.read.User(oneRow(ctx), name)
	return userOf(u), notFound(err)
}

// UserByFingerprint returns the record of the user with that identity key, an
// own one before a cached one, or [ErrNotFound].
func (s *Store) UserByFingerprint(ctx context.Context, fp [32]byte) (User, error) {
	u, err := s.read.UserByFingerprint(oneRow(ctx), fp[:])
	return userOf(u), notFound(err)
}

// NewestCard returns the record of that identity key, under whatever name, whose card has the
// greatest serial, or [ErrNotFound].
func (s *Store) NewestCard(ctx context.Context, fp [32]byte) (User, error) {
	u, err := s.read.NewestCardOf(oneRow(ctx), fp[:])
	return userOf(u), notFound(err)
}

func userOf(u db.User) User {
	return User{
		Name: u.Name, Fingerprint: fp32(u.Fingerprint), Certificate: u.Certificate,
		Card: u.Card, Serial: uint64(u.Serial), NotAfter: time.Unix(u.NotAfter, 0),
		Origin: Origin(u.Origin), StoredAt: time.Unix(u.StoredAt, 0),
	}
}

func putUser(ctx context.Context, q *db.Queries, u User) error {
	return q.PutUser(ctx, db.PutUserParams{
		Name: u.Name, Fingerprint: u.Fingerprint[:], Certificate: notNil(u.Certificate),
		Card: notNil(u.Card), Serial: int64(u.Serial), NotAfter: u.NotAfter.Unix(),
		Origin: string(u.Origin), StoredAt: u.StoredAt.Unix(),
	})
}

// notNil: a nil slice would be NULL, which no column takes.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// putHomeUser writes an own user's record and returns what holds now. One name
// keeps one key.
func putHomeUser(ctx context.Context, q *db.Queries, k SignedKey) (SignedKey, error) {
	row, err := q.User(ctx, k.Subject)
	old := userOf(row)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return k, err
	case old.Origin == Cache:
		if err := count(ctx, q, countCached, -1, MaxCachedUsers); err != nil {
			return k, err
		}
	case old.Fingerprint != k.Fingerprint:
		return k, ErrOtherKey
	case len(k.Card) == 0:
		k.Card, k.Serial = old.Card, old.Serial
	case olderCard(old, k.Serial, k.Card):
		return k, ErrOldSerial
	}
	return k, putUser(ctx, q, User{
		Name: k.Subject, Fingerprint: k.Fingerprint, Certificate: k.Raw,
		Card: k.Card, Serial: k.Serial, NotAfter: k.NotAfter, Origin: Home,
	})
}

// olderCard reports whether a card of the same key must not replace that of old.
func olderCard(old User, serial uint64, card []byte) bool {
	same := serial == old.Serial && bytes.Equal(card, old.Card)
	return len(old.Card) > 0 && serial <= old.Serial && !same
}

// CachedUsersOf are some users of another domain of whose cards there are copies, by chance.
func (s *Store) CachedUsersOf(ctx context.Context, domain string, most int) ([]string, error) {
	return s.read.CachedUsersOf(ctx, db.CachedUsersOfParams{Pattern: "%@" + domain, Most: int32(most)})
}

// PutCachedUser keeps a copy of a foreign user's card, which the caller has
// verified; u.Origin is ignored. It replaces an older copy: of the same key
// only by a greater serial (the same card counts as fetched anew), else
// [ErrOldSerial]; a copy under another key always, for a copy is no pin. An own
// user's record is never touched: [ErrOwn]. Over [MaxCachedUsers] the copy that
// was fetched first goes.
func (s *Store) PutCachedUser(ctx context.Context, u User) error {
	return s.putCachedUser(ctx, u, MaxCachedUsers)
}

func (s *Store) putCachedUser(ctx context.Context, u User, limit int64) error {
	if err := checkRecord(u.Name, u.Serial, u.Card, u.Certificate); err != nil {
		return err
	}
	u.Origin = Cache
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		row, err := q.User(ctx, u.Name)
		old := userOf(row)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if err := makeRoom(ctx, q, limit); err != nil {
				return err
			}
		case err != nil:
			return err
		case old.Origin == Home:
			return ErrOwn
		case old.Fingerprint == u.Fingerprint && olderCard(old, u.Serial, u.Card):
			return ErrOldSerial
		}
		return putUser(ctx, q, u)
	})
}

// makeRoom counts one more cached user; when full, the oldest makes place.
func makeRoom(ctx context.Context, q *db.Queries, limit int64) error {
	err := count(ctx, q, countCached, 1, limit)
	if !errors.Is(err, ErrFull) {
		return err
	}
	_, err = q.DropOldestCachedUser(ctx)
	return err
}
