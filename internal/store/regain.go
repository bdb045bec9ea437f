package store

import (
	"bytes"
	"context"
	"math"

	"github.com/p3do/p3do/internal/store/db"
)

// maxLogLevel is above the height of every tree.
const maxLogLevel = 62

// SignedSize is how many leaves the greatest checkpoint has that was kept: these never change.
func (s *Store) SignedSize(ctx context.Context) (int64, error) { return s.read.SignedSize(oneRow(ctx)) }

// RegainLog writes leaves of our own log from a place on, as somebody else has kept them; whoever
// calls has verified them. The log must reach as far as that place, and no checkpoint beyond it, else it is [ErrOldSerial].
// Other leaves that are there from that place on make room, and are logged behind the last ones that are regained,
// in the same transaction as these.
func (s *Store) RegainLog(ctx context.Context, from int64, leaves [][]byte, last bool) error {
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
		if err := regain(ctx, q, from, leaves); err != nil || !last {
			return err
		}
		if err := cutLog(ctx, q, from+int64(len(leaves))); err != nil {
			return err
		}
		return logAgain(ctx, q)
	})
}

// regain leaves alone what is there already: it was regained before somebody was interrupted.
func regain(ctx context.Context, q *db.Queries, from int64, leaves [][]byte) error {
	there, err := q.Leaves(ctx, db.LeavesParams{Number: from, Limit: int32(len(leaves))})
	if err != nil {
		return err
	}
	same := 0
	for same < len(there) && bytes.Equal(there[same], leaves[same]) {
		same++
	}
	if same == len(leaves) {
		return nil
	}
	if err := cutLog(ctx, q, from+int64(same)); err != nil {
		return err
	}
	for i, leaf := range leaves[same:] {
		if err := addLeaf(ctx, q, from+int64(same+i), leaf); err != nil {
			return err
		}
	}
	return nil
}

// cutLog takes away the leaves from a place on, and the hashes above them. The leaves wait to be
// logged again, and what is logged by them waits with them.
func cutLog(ctx context.Context, q *db.Queries, from int64) error {
	cut, err := q.Leaves(ctx, db.LeavesParams{Number: from, Limit: math.MaxInt32})
	if err != nil || len(cut) == 0 {
		return err
	}
	last, err := q.LastLogAgain(ctx)
	for i := 0; err == nil && i < len(cut); i++ {
		again := -(last + 1 + int64(i))
		if err = q.AddLogAgain(ctx, db.AddLogAgainParams{Number: again, Leaf: cut[i]}); err == nil {
			err = q.MoveLogged(ctx, db.MoveLoggedParams{Before: from + int64(i), After: again})
		}
	}
	if err == nil {
		err = q.CutLeaves(ctx, from)
	}
	for level := int64(0); err == nil && level <= maxLogLevel; level++ {
		err = q.CutLogHashes(ctx, db.CutLogHashesParams{Level: level, Number: from >> level})
	}
	return err
}

// logAgain puts the leaves that wait behind all others.
func logAgain(ctx context.Context, q *db.Queries) error {
	waiting, err := q.LogAgain(ctx)
	if err != nil || len(waiting) == 0 {
		return err
	}
	size, err := q.LogSize(ctx)
	for i := 0; err == nil && i < len(waiting); i++ {
		n := size + int64(i)
		if err = addLeaf(ctx, q, n, waiting[i].Leaf); err == nil {
			err = q.MoveLogged(ctx, db.MoveLoggedParams{Before: waiting[i].Number, After: n})
		}
	}
	if err == nil {
		err = q.DropLogAgain(ctx)
	}
	return err
}
