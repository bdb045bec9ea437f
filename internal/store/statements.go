package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Statement is something signed about keys that travels from node to node.
type Statement struct {
	Kind   uint8
	Issuer string   // the domain on whose account it is kept
	ID     [32]byte // tells it from others of that kind and issuer; zero: there is one only
	Serial uint64   // of two with that kind, issuer and ID the greater stays; below 2^63
	Ends   time.Time
	Raw    []byte // as signed, 1 to MaxRaw bytes
	Seq    int64  // given out here: rising, and never used twice
}

func (v Statement) check() error {
	if err := checkRecord(v.Issuer, v.Serial, v.Raw); err != nil {
		return err
	}
	if v.Ends.Unix() < 0 && !v.Ends.IsZero() {
		return errors.New("store: a statement that ended before 1970")
	}
	return nil
}

// AddStatement keeps a verified statement and numbers it; v.Seq is ignored. fresh is false,
// and nothing is done, if one of that kind, issuer and ID is known and its serial is not less.
// An issuer may have most of a kind, then [ErrFull]. A statement without an end is kept for
// ever.
func (s *Store) AddStatement(ctx context.Context, v Statement, most int) (fresh bool, err error) {
	if err := v.check(); err != nil {
		return false, err
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		fresh, err = addStatement(ctx, q, v, most)
		return err
	})
	return fresh && err == nil, err
}

func addStatement(ctx context.Context, q *db.Queries, v Statement, most int) (fresh bool, err error) {
	id, kind := v.ID[:], int64(v.Kind)
	old, err := q.Statement(ctx, db.StatementParams{Kind: kind, Issuer: v.Issuer, ID: id})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		n, err := q.CountStatements(ctx, db.CountStatementsParams{Kind: kind, Issuer: v.Issuer})
		if err == nil && n >= int64(most) {
			err = ErrFull
		}
		if err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	case uint64(old.Serial) >= v.Serial:
		return false, nil
	default:
		if _, err := q.DropStatement(ctx, db.DropStatementParams{Kind: kind, Issuer: v.Issuer, ID: id}); err != nil {
			return false, err
		}
	}
	seq, err := q.NextNumber(ctx, countStatements)
	if err != nil {
		return false, err
	}
	return true, q.AddStatement(ctx, db.AddStatementParams{
		Seq: seq, Kind: kind, Issuer: v.Issuer, ID: id, Serial: int64(v.Serial), Ends: unixOrZero(v.Ends), Raw: v.Raw,
	})
}

// Statement returns the statement of exactly that kind, issuer and ID, or [ErrNotFound].
func (s *Store) Statement(ctx context.Context, kind uint8, issuer string, id [32]byte) (Statement, error) {
	v, err := s.read.Statement(oneRow(ctx), db.StatementParams{Kind: int64(kind), Issuer: issuer, ID: id[:]})
	return statementOf(v), notFound(err)
}

// StatementsAfter returns at most limit statements that came after that number, in the order
// in which they came.
func (s *Store) StatementsAfter(ctx context.Context, seq int64, limit int) ([]Statement, error) {
	rows, err := s.read.StatementsAfter(ctx, db.StatementsAfterParams{Seq: seq, Limit: int32(min(max(limit, 0), math.MaxInt32))})
	return statementsOf(rows, err)
}

// LastStatement is the number that was given out last, 0 if there was none.
func (s *Store) LastStatement(ctx context.Context) (int64, error) {
	return s.read.Number(oneRow(ctx), countStatements)
}

// Statements returns all statements of a kind, in the order in which they came.
func (s *Store) Statements(ctx context.Context, kind uint8) ([]Statement, error) {
	rows, err := s.read.StatementsOf(ctx, db.StatementsOfParams{Kind: int64(kind), First: "", Last: lastSubject})
	return statementsOf(rows, err)
}

// StatementsOf returns those of one issuer.
func (s *Store) StatementsOf(ctx context.Context, kind uint8, issuer string) ([]Statement, error) {
	rows, err := s.read.StatementsOf(ctx, db.StatementsOfParams{Kind: int64(kind), First: issuer, Last: issuer})
	return statementsOf(rows, err)
}

// lastSubject sorts after every name and domain.
const lastSubject = "\x7f"

// DropStatement forgets one statement, if it is there.
func (s *Store) DropStatement(ctx context.Context, kind uint8, issuer string, id [32]byte) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		_, err := q.DropStatement(ctx, db.DropStatementParams{Kind: int64(kind), Issuer: issuer, ID: id[:]})
		return err
	})
}

func statementsOf(rows []db.Statement, err error) ([]Statement, error) {
	if err != nil {
		return nil, fmt.Errorf("store: reading statements: %w", err)
	}
	all := make([]Statement, len(rows))
	for i, r := range rows {
		all[i] = statementOf(r)
	}
	return all, nil
}

func statementOf(v db.Statement) Statement {
	return Statement{
		Kind: uint8(v.Kind), Issuer: v.Issuer, ID: fp32(v.ID), Serial: uint64(v.Serial),
		Ends: timeOrZero(v.Ends), Raw: v.Raw, Seq: v.Seq,
	}
}

func unixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func timeOrZero(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}
