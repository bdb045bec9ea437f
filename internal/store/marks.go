package store

import (
	"context"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Mark is something that happened once and must not happen again before Until
// (whole seconds).
type Mark struct {
	ID    [16]byte
	Kind  uint8
	Until time.Time
}

// Remember makes marks durable, all or none, before it returns. A mark that is
// known already stays as it is. Over [MaxMarks] it refuses with [ErrFull]: what
// cannot be remembered must not be done.
func (s *Store) Remember(ctx context.Context, marks []Mark) error {
	if len(marks) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		var added int64
		for i := range marks {
			m := &marks[i]
			n, err := q.AddMark(ctx, db.AddMarkParams{Kind: int64(m.Kind), ID: m.ID[:], Until: m.Until.Unix()})
			if err != nil {
				return err
			}
			added += n
		}
		return count(ctx, q, countMarks, added, MaxMarks)
	})
}

// Marks returns the marks that have not ended at now, those that end first
// first.
func (s *Store) Marks(ctx context.Context, now time.Time) ([]Mark, error) {
	rows, err := s.read.Marks(ctx, now.Unix())
	if err != nil {
		return nil, fmt.Errorf("store: reading marks: %w", err)
	}
	marks := make([]Mark, len(rows))
	for i, r := range rows {
		marks[i] = Mark{ID: id16(r.ID), Kind: uint8(r.Kind), Until: time.Unix(r.Until, 0)}
	}
	return marks, nil
}

// Dropped counts what DropExpired removed.
type Dropped struct {
	Marks, Items, Delivered, Mailboxes, Owners, Statements int64
}

// DropExpired removes what has ended at now: marks, items older than
// [ItemLife] whether fetched or not, the memory of deliveries, and addresses
// whose last day is over, and statements whose end has come.
func (s *Store) DropExpired(ctx context.Context, now time.Time) (d Dropped, err error) {
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		d, err = dropExpired(ctx, q, now)
		return err
	})
	return d, err
}

func dropExpired(ctx context.Context, q *db.Queries, now time.Time) (d Dropped, err error) {
	if d.Marks, err = q.DropMarks(ctx, now.Unix()); err != nil {
		return d, err
	}
	if err = count(ctx, q, countMarks, -d.Marks, MaxMarks); err != nil {
		return d, err
	}
	if d.Items, err = q.DropItems(ctx, now.Add(-ItemLife).Unix()); err != nil {
		return d, err
	}
	if d.Delivered, err = q.DropDelivered(ctx, now.Unix()); err != nil {
		return d, err
	}
	if d.Mailboxes, err = q.DropMailboxes(ctx, int64(Day(now))); err != nil {
		return d, err
	}
	if err = q.RecountOwners(ctx); err != nil {
		return d, err
	}
	if d.Owners, err = q.DropEmptyOwners(ctx); err != nil {
		return d, err
	}
	if err = q.DropVisitors(ctx); err != nil {
		return d, err
	}
	if err = dropReaders(ctx, q); err != nil {
		return d, err
	}
	d.Statements, err = dropEndedStatements(ctx, q, now)
	return d, err
}
