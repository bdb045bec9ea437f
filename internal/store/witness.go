package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/store/db"
)

// A Head is how far a log has come, as its owner signed it.
type Head struct {
	Origin     string   // the log's name, 1 to MaxSubject bytes
	Size       int64    // leaves
	Root       [32]byte // of the tree of these leaves
	Checkpoint []byte   // the signed note, 1 to MaxRaw bytes
	Descriptor []byte   // that named the key which signed it, at most MaxRaw bytes; empty: the newest
}

func (h Head) check() error {
	if len(h.Origin) == 0 || len(h.Origin) > MaxSubject || len(h.Checkpoint) == 0 || len(h.Checkpoint) > MaxRaw || len(h.Descriptor) > MaxRaw {
		return ErrTooLarge
	}
	if h.Size < 0 {
		return errors.New("store: a head of less than no leaves")
	}
	return nil
}

// Witnessed returns the newest head of a log that was cosigned here, or [ErrNotFound].
func (s *Store) Witnessed(ctx context.Context, origin string) (Head, error) {
	v, err := s.read.Witnessed(oneRow(ctx), origin)
	return headOf(v), notFound(err)
}

// AllWitnessed returns them of all logs, by origin.
func (s *Store) AllWitnessed(ctx context.Context) ([]Head, error) {
	rows, err := s.read.AllWitnessed(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: listing what was witnessed: %w", err)
	}
	all := make([]Head, len(rows))
	for i, r := range rows {
		all[i] = headOf(r)
	}
	return all, nil
}

// AdvanceWitnessed puts next in the place of old, which the caller has found next to continue:
// the zero Head where none was cosigned. If another stands there by now it is [ErrOldSerial],
// and nothing is written. The table takes [MaxWitnessed] logs, then [ErrFull].
func (s *Store) AdvanceWitnessed(ctx context.Context, old, next Head) error {
	if err := next.check(); err != nil {
		return err
	}
	if next.Size < old.Size || old.Origin != "" && old.Origin != next.Origin {
		return ErrOldSerial
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := advance(ctx, q, old, next)
		if err == nil && n == 0 {
			err = ErrOldSerial
		}
		return err
	})
}

func advance(ctx context.Context, q *db.Queries, old, next Head) (int64, error) {
	if old.Origin != "" {
		return q.AdvanceWitnessed(ctx, db.AdvanceWitnessedParams{
			Size: next.Size, Root: next.Root[:], Checkpoint: next.Checkpoint, Descriptor: blob(next.Descriptor),
			Origin: next.Origin, OldSize: old.Size, OldRoot: old.Root[:],
		})
	}
	n, err := q.AddWitnessed(ctx, db.AddWitnessedParams{
		Origin: next.Origin, Size: next.Size, Root: next.Root[:], Checkpoint: next.Checkpoint, Descriptor: blob(next.Descriptor),
	})
	if err == nil && n == 1 {
		err = count(ctx, q, countWitnessed, 1, MaxWitnessed)
	}
	return n, err
}

func headOf(v db.Witnessed) Head {
	return Head{Origin: v.Origin, Size: v.Size, Root: fp32(v.Root), Checkpoint: v.Checkpoint, Descriptor: v.Descriptor}
}

// blob is never nil, which would be NULL.
func blob(raw []byte) []byte { return append([]byte{}, raw...) }

// ForgetLog forgets what was cosigned of a domain's log, the copy of it, and the copies of cards that the domain gave,
// whose numbers are of that log.
func (s *Store) ForgetLog(ctx context.Context, origin, domain string) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.DropWitnessed(ctx, origin)
		if err == nil {
			err = count(ctx, q, countWitnessed, -n, MaxWitnessed)
		}
		if err == nil {
			err = dropCopiesOf(ctx, q, domain)
		}
		if err == nil {
			err = dropMirror(ctx, q, origin)
		}
		return err
	})
}

func dropMirror(ctx context.Context, q *db.Queries, origin string) error {
	v, err := q.Mirror(ctx, origin)
	if err != nil {
		return noRowsIsNil(err)
	}
	if _, err = q.DropMirror(ctx, origin); err == nil {
		err = q.DropMirrorTiles(ctx, origin)
	}
	if err == nil {
		err = q.DropNewest(ctx, origin)
	}
	if err == nil {
		err = count(ctx, q, countMirrors, -1, MaxWitnessed)
	}
	if err == nil {
		err = count(ctx, q, countMirrorBytes, -v.Bytes, MaxMirrorBytes)
	}
	return err
}

func noRowsIsNil(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// A Tile is a piece of a log as C2SP tlog-tiles cuts it: Width hashes, or leaves on level -1.
type Tile struct {
	Level  int
	Number int64
	Width  int
	Data   []byte // 1 to MaxTile bytes
}

// Mirror returns how far a log was copied, or [ErrNotFound], and the bytes of its tiles.
func (s *Store) Mirror(ctx context.Context, origin string) (Head, int64, error) {
	v, err := s.read.Mirror(oneRow(ctx), origin)
	if err == nil && len(v.Checkpoint) == 0 {
		err = sql.ErrNoRows // begun, and no further
	}
	return Head{Origin: v.Origin, Size: v.Size, Root: fp32(v.Root), Checkpoint: v.Checkpoint, Descriptor: v.Descriptor}, v.Bytes, notFound(err)
}

// SetMirror says that a log was copied as far as that. Its tiles were kept before.
func (s *Store) SetMirror(ctx context.Context, h Head) error {
	if err := h.check(); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		if err := beginMirror(ctx, q, h.Origin); err != nil {
			return err
		}
		return q.SetMirror(ctx, db.SetMirrorParams{Size: h.Size, Root: h.Root[:], Checkpoint: h.Checkpoint, Descriptor: blob(h.Descriptor), Origin: h.Origin})
	})
}

// PutTiles keeps verified tiles of a log, each in the place of a narrower one. A log takes each
// bytes, and all together [MaxMirrorBytes]; then it is [ErrFull], and nothing is kept.
func (s *Store) PutTiles(ctx context.Context, origin string, tiles []Tile, each int64) error {
	if len(origin) == 0 || len(origin) > MaxSubject {
		return ErrTooLarge
	}
	for _, t := range tiles {
		if len(t.Data) == 0 || len(t.Data) > MaxTile {
			return ErrTooLarge
		}
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		if err := beginMirror(ctx, q, origin); err != nil {
			return err
		}
		for _, t := range tiles {
			if err := putTile(ctx, q, origin, t, each); err != nil {
				return err
			}
		}
		return nil
	})
}

func beginMirror(ctx context.Context, q *db.Queries, origin string) error {
	n, err := q.BeginMirror(ctx, origin)
	if err == nil && n == 1 {
		err = count(ctx, q, countMirrors, 1, MaxWitnessed)
	}
	return err
}

func putTile(ctx context.Context, q *db.Queries, origin string, t Tile, each int64) error {
	at := db.MirrorTileParams{Origin: origin, Level: int64(t.Level), Number: t.Number}
	old, err := q.MirrorTile(ctx, at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) || err == nil && old.Width >= int64(t.Width) {
		return err
	}
	add := int64(len(t.Data) - len(old.Data))
	n, err := q.GrowMirror(ctx, db.GrowMirrorParams{Add: add, Origin: origin, Room: each - add})
	if err == nil && n == 0 {
		err = ErrFull
	}
	if err == nil {
		err = count(ctx, q, countMirrorBytes, add, MaxMirrorBytes)
	}
	if err != nil {
		return err
	}
	return q.PutMirrorTile(ctx, db.PutMirrorTileParams{
		Origin: origin, Level: at.Level, Number: t.Number, Width: int64(t.Width), Data: t.Data,
	})
}

// MirrorTile returns the widest tile of a place, or [ErrNotFound].
func (s *Store) MirrorTile(ctx context.Context, origin string, level int, number int64) (Tile, error) {
	v, err := s.read.MirrorTile(oneRow(ctx), db.MirrorTileParams{Origin: origin, Level: int64(level), Number: number})
	return Tile{Level: level, Number: number, Width: int(v.Width), Data: v.Data}, notFound(err)
}
