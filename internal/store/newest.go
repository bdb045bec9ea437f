package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/store/db"
)

// MaxNewest is how many labels may be written down in one go.
const MaxNewest = 4096

// A Newest is the number of the newest card, or end of one, under a label of a log.
type Newest struct {
	Label  [32]byte
	Number int64
}

// NewestRead returns how many leaves of a copy were read for what is newest under their labels, or [ErrNotFound].
func (s *Store) NewestRead(ctx context.Context, origin string) (int64, error) {
	read, err := s.read.NewestRead(oneRow(ctx), origin)
	return read, notFound(err)
}

// PutNewest keeps what is newest in the leaves of a copy from was on and before next, at most [MaxNewest] labels. If it was not read as far as was,
// or farther, or there is no copy, it is [ErrOldSerial], and nothing is written.
func (s *Store) PutNewest(ctx context.Context, origin string, was, next int64, all []Newest) error {
	if len(all) > MaxNewest {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.SetNewestRead(ctx, db.SetNewestReadParams{Next: next, Origin: origin, Was: was})
		if err == nil && n == 0 {
			err = ErrOldSerial
		}
		for _, one := range all {
			if err == nil {
				err = q.PutNewest(ctx, db.PutNewestParams{Origin: origin, Label: one.Label[:], Number: one.Number})
			}
		}
		return err
	})
}

// NewestOf returns the number of the newest card, or end of one, under a label among the leaves of a log that were read; -1
// if there is none.
func (s *Store) NewestOf(ctx context.Context, origin string, label [32]byte) (int64, error) {
	number, err := s.read.Newest(oneRow(ctx), db.NewestParams{Origin: origin, Label: label[:]})
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("store: looking for what is newest: %w", err)
	}
	return number, nil
}
