package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store/db"
)

const (
	maxLeaf       = 1 << 10 // bytes of a leaf, and of the proof of a label
	maxCheckpoint = 64 << 10
	maxTileRead   = 256 // hashes or leaves in one call

	// LoggedCard is the kind of an entry for a user's card. It goes when the card does.
	LoggedCard = 1

	// LoggedEnded is the kind of an entry for a card that went. It has no row: nothing is to say
	// whose the card was.
	LoggedEnded = 5
)

// Entry is what the key log is told of one record.
type Entry struct {
	Kind    uint8
	Subject string   // by which it is found again: a name, a domain or the hash of the record; at most MaxSubject bytes
	Record  [32]byte // hash of the record
	Leaf    []byte   // what commits to it
	Proof   []byte   // of the label in the leaf
}

func (e Entry) check() error {
	if len(e.Subject) == 0 || len(e.Leaf) == 0 {
		return errors.New("store: an entry of nobody, or without a leaf")
	}
	if len(e.Subject) > MaxSubject || len(e.Leaf) > maxLeaf || len(e.Proof) > maxLeaf {
		return ErrTooLarge
	}
	return nil
}

// Logged is the newest entry of a subject.
type Logged struct {
	Number int64 // of its leaf, from 0
	Record [32]byte
	Proof  []byte
}

// AppendLog puts entries into the log, each if the newest of its kind and subject is not of the
// same record and label; all or none. It returns how many were new. Entries for what the domain signs come
// with [SignedKey].
func (s *Store) AppendLog(ctx context.Context, entries ...Entry) (fresh int, err error) {
	for _, e := range entries {
		if err := e.check(); err != nil {
			return 0, err
		}
	}
	if len(entries) == 0 {
		return 0, nil
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		fresh = 0
		for _, e := range entries {
			added, err := appendLog(ctx, q, e)
			if err != nil {
				return err
			}
			if added {
				fresh++
			}
		}
		return nil
	})
	return fresh, err
}

// appendLog writes leaf, hashes and what is newest in the transaction of the record itself.
func appendLog(ctx context.Context, q *db.Queries, e Entry) (fresh bool, err error) {
	old, err := q.Logged(ctx, db.LoggedParams{Kind: int64(e.Kind), Subject: e.Subject})
	if err == nil && bytes.Equal(old.Record, e.Record[:]) && bytes.Equal(old.LabelProof, e.Proof) {
		return false, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	size, err := q.LogSize(ctx)
	if err == nil {
		err = addLeaf(ctx, q, size, e.Leaf)
	}
	if err != nil || e.Kind == LoggedEnded {
		return err == nil, err
	}
	return true, q.PutLogged(ctx, db.PutLoggedParams{
		Kind: int64(e.Kind), Subject: e.Subject, Number: size, Record: e.Record[:], LabelProof: notNil(e.Proof),
	})
}

// addLeaf writes a leaf, and the hashes that it makes.
func addLeaf(ctx context.Context, q *db.Queries, n int64, leaf []byte) error {
	if err := addHashes(ctx, q, n, leaf); err != nil {
		return err
	}
	return q.AddLeaf(ctx, db.AddLeafParams{Number: n, Leaf: leaf})
}

// addHashes writes the hashes of the subtrees that leaf number n makes full.
func addHashes(ctx context.Context, q *db.Queries, n int64, leaf []byte) error {
	hashes, err := tlog.StoredHashes(n, leaf, hashReader(ctx, q))
	if err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, n)
	for i, hash := range hashes {
		level, number := tlog.SplitStoredHashIndex(first + int64(i))
		if err := q.AddLogHash(ctx, db.AddLogHashParams{Level: int64(level), Number: number, Hash: hash[:]}); err != nil {
			return err
		}
	}
	return nil
}

func hashReader(ctx context.Context, q *db.Queries) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, number := tlog.SplitStoredHashIndex(index)
			hash, err := q.LogHash(ctx, db.LogHashParams{Level: int64(level), Number: number})
			if err != nil {
				return nil, fmt.Errorf("store: hash %d of height %d of the log: %w", number, level, notFound(err))
			}
			hashes[i] = fp32(hash)
		}
		return hashes, nil
	})
}

// LogSize is how many leaves the log has. All of them are on the disk, and will be the same.
func (s *Store) LogSize(ctx context.Context) (int64, error) { return s.read.LogSize(oneRow(ctx)) }

// LogHashes reads hashes of the log's tree by their number, as package tlog counts them.
func (s *Store) LogHashes(ctx context.Context) tlog.HashReader {
	return hashReader(oneRow(ctx), s.read)
}

// LogTile returns hashes of subtrees of height level one after the other: width of them from the
// first, 256 at most. Those that are not there yet are missing at the end.
func (s *Store) LogTile(ctx context.Context, level int, first int64, width int) ([]byte, error) {
	rows, err := s.read.LogHashes(ctx, db.LogHashesParams{Level: int64(level), Number: first, Limit: int32(min(max(width, 0), maxTileRead))})
	if err != nil {
		return nil, fmt.Errorf("store: reading hashes of the log: %w", err)
	}
	return bytes.Join(rows, nil), nil
}

// Leaves returns leaves of the log: n of them from the first, 256 at most.
func (s *Store) Leaves(ctx context.Context, first int64, n int) ([][]byte, error) {
	rows, err := s.read.Leaves(ctx, db.LeavesParams{Number: first, Limit: int32(min(max(n, 0), maxTileRead))})
	if err != nil {
		return nil, fmt.Errorf("store: reading leaves of the log: %w", err)
	}
	return rows, nil
}

// Logged returns the newest entry of exactly that subject, or [ErrNotFound].
func (s *Store) Logged(ctx context.Context, kind uint8, subject string) (Logged, error) {
	v, err := s.read.Logged(oneRow(ctx), db.LoggedParams{Kind: int64(kind), Subject: subject})
	return Logged{v.Number, fp32(v.Record), v.LabelProof}, notFound(err)
}

// LogHead returns a checkpoint that was kept under that name, or [ErrNotFound].
func (s *Store) LogHead(ctx context.Context, name string) (checkpoint []byte, err error) {
	v, err := s.read.LogHead(oneRow(ctx), name)
	return v.Checkpoint, notFound(err)
}

// PutLogHead keeps a checkpoint of size leaves under each of the names. One of fewer leaves than
// that which is there, or of more than there are, is [ErrOldSerial], and nothing is written.
func (s *Store) PutLogHead(ctx context.Context, size int64, checkpoint []byte, names ...string) error {
	if len(checkpoint) == 0 || len(checkpoint) > maxCheckpoint {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		has, err := q.LogSize(ctx)
		if err == nil && size > has {
			err = ErrOldSerial
		}
		for _, name := range names {
			if err == nil {
				err = putLogHead(ctx, q, name, size, checkpoint)
			}
		}
		return err
	})
}

func putLogHead(ctx context.Context, q *db.Queries, name string, size int64, checkpoint []byte) error {
	old, err := q.LogHead(ctx, name)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	case size < old.Size:
		return ErrOldSerial
	}
	return q.PutLogHead(ctx, db.PutLogHeadParams{Name: name, Size: size, Checkpoint: checkpoint})
}
