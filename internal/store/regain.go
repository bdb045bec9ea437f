package store

import (
	"context"

	"github.com/p3do/p3do/internal/store/db"
)

// maxLogLevel is above the height of every tree.
const maxLogLevel = 62

// SignedSize is how many leaves the greatest checkpoint has that was kept: these never change.
func (s *Store) SignedSize(ctx context.Context) (int64, error) { return s.read.SignedSize(oneRow(ctx)) }

// RegainLog writes the leaves of our own log from a place on, as somebody else has kept them. What
// is there from that place on goes: no checkpoint has it, or it is [ErrOldSerial]. The log must
// reach as far as that place, else it is [ErrOldSerial], too. Whoever calls has verified the leaves.
func (s *Store) RegainLog(ctx context.Context, from int64, leaves [][]byte) error {
	for _, leaf := range leaves {
		if len(leaf) == 0 || len(leaf) > maxLeaf {
			return ErrTooLarge
		}
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		signed, err := q.SignedSize(ctx)
		if err != nil {
			return err
		}
		size, err := q.LogSize(ctx)
		if err != nil {
			return err
		}
		if from < signed || from > size {
			return ErrOldSerial
		}
		if err := cutLog(ctx, q, from); err != nil {
			return err
		}
		for i, leaf := range leaves {
			if err := addLeaf(ctx, q, from+int64(i), leaf); err != nil {
				return err
			}
		}
		return nil
	})
}

// cutLog takes away the leaves from a place on, and the hashes above them.
func cutLog(ctx context.Context, q *db.Queries, from int64) error {
	err := q.CutLeaves(ctx, from)
	for level := int64(0); err == nil && level <= maxLogLevel; level++ {
		err = q.CutLogHashes(ctx, db.CutLogHashesParams{Level: level, Number: from >> level})
	}
	if err == nil {
		err = q.CutLogged(ctx, from)
	}
	return err
}
