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

	// Once says that there is one of that kind and ID in all. A newer one takes its place on
	// the account that the older one is on, and needs no room but that.
	Once bool

	// Entry goes into the domain's log in the same transaction. Nil: nothing is logged.
	Entry *Entry
}

func (v Statement) check() error {
	if err := checkRecord(v.Issuer, v.Serial, v.Raw); err != nil {
		return err
	}
	if v.Entry != nil {
		if err := v.Entry.check(); err != nil {
			return err
		}
	}
	if v.Ends.Unix() < 0 && !v.Ends.IsZero() {
		return errors.New("store: a statement that ended before 1970")
	}
	return nil
}

// Room is how much there may be of the statements of one kind.
type Room struct {
	Each int   // of one issuer
	All  int64 // bytes of all issuers together; 0: that does not count for this one

	Shared *Shared // with other issuers; nil: nothing
}

// AddStatement keeps a verified statement and numbers it; v.Seq is ignored. fresh is false,
// and nothing is done or written, if one of that kind, issuer and ID is known and its serial is
// not less. Where there is no room it is [ErrFull]. A statement without an end is kept for ever.
func (s *Store) AddStatement(ctx context.Context, v Statement, room Room) (fresh bool, err error) {
	if err := v.check(); err != nil {
		return false, err
	}
	old, err := s.heldFor(ctx, v)
	if err == nil && old.Serial >= v.Serial || err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		fresh, err = addStatement(ctx, q, v, room)
		return err
	})
	return fresh && err == nil, err
}

// heldFor is the statement whose place v would take.
func (s *Store) heldFor(ctx context.Context, v Statement) (Statement, error) {
	if v.Once {
		return s.StatementByID(ctx, v.Kind, v.ID)
	}
	return s.Statement(ctx, v.Kind, v.Issuer, v.ID)
}

func heldFor(ctx context.Context, q *db.Queries, v Statement) (db.Statement, error) {
	if v.Once {
		return q.StatementByID(ctx, db.StatementByIDParams{Kind: int64(v.Kind), ID: v.ID[:]})
	}
	return q.Statement(ctx, db.StatementParams{Kind: int64(v.Kind), Issuer: v.Issuer, ID: v.ID[:]})
}

func addStatement(ctx context.Context, q *db.Queries, v Statement, room Room) (fresh bool, err error) {
	id, kind := v.ID[:], int64(v.Kind)
	old, err := heldFor(ctx, q, v)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		n, err := q.CountStatements(ctx, db.CountStatementsParams{Kind: kind, Issuer: v.Issuer})
		if err == nil && n >= int64(room.Each) {
			err = ErrFull
		}
		if err == nil && room.Shared != nil {
			err = room.Shared.makeRoom(ctx, q, v, n)
		}
		if err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	case uint64(old.Serial) >= v.Serial:
		return false, nil
	default:
		if err := dropStatement(ctx, q, old); err != nil {
			return false, err
		}
		if v.Once {
			v.Issuer, room.All = old.Issuer, 0
		}
	}
	if err := countBytes(ctx, q, kind, int64(len(v.Raw)), room.All); err != nil {
		return false, err
	}
	seq, err := q.NextNumber(ctx, countStatements)
	if err != nil {
		return false, err
	}
	err = q.AddStatement(ctx, db.AddStatementParams{
		Seq: seq, Kind: kind, Issuer: v.Issuer, ID: id, Serial: int64(v.Serial), Ends: unixOrZero(v.Ends), Raw: v.Raw,
	})
	if err == nil && v.Entry != nil {
		_, err = appendLog(ctx, q, *v.Entry)
	}
	return true, err
}

// countBytes counts what the statements of a kind have together, up to most; 0 is no bound.
func countBytes(ctx context.Context, q *db.Queries, kind, add, most int64) error {
	if most == 0 {
		most = math.MaxInt64 / 2 // and some room to take away from
	}
	name := fmt.Sprintf("statement bytes %d", kind)
	if err := q.BeginCount(ctx, name); err != nil {
		return err
	}
	return count(ctx, q, name, add, most)
}

func dropStatement(ctx context.Context, q *db.Queries, v db.Statement) error {
	if _, err := q.DropStatement(ctx, db.DropStatementParams{Kind: v.Kind, Issuer: v.Issuer, ID: v.ID}); err != nil {
		return err
	}
	return countBytes(ctx, q, v.Kind, -int64(len(v.Raw)), 0)
}

func dropEndedStatements(ctx context.Context, q *db.Queries, now time.Time) (dropped int64, err error) {
	ended, err := q.EndedStatements(ctx, now.Unix())
	if err != nil {
		return 0, err
	}
	for _, e := range ended {
		if err := countBytes(ctx, q, e.Kind, -e.Size, 0); err != nil {
			return 0, err
		}
	}
	return q.DropStatements(ctx, now.Unix())
}

// Statement returns the statement of exactly that kind, issuer and ID, or [ErrNotFound].
func (s *Store) Statement(ctx context.Context, kind uint8, issuer string, id [32]byte) (Statement, error) {
	v, err := s.read.Statement(oneRow(ctx), db.StatementParams{Kind: int64(kind), Issuer: issuer, ID: id[:]})
	return statementOf(v), notFound(err)
}

// StatementByID returns the statement of that kind and ID, whoever's it is, the one of the greatest
// serial; or [ErrNotFound].
func (s *Store) StatementByID(ctx context.Context, kind uint8, id [32]byte) (Statement, error) {
	v, err := s.read.StatementByID(oneRow(ctx), db.StatementByIDParams{Kind: int64(kind), ID: id[:]})
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

// StatementsFrom returns at most so many of a kind, in the order of issuer and ID, that come after those of
// another one; from the zero one on all.
func (s *Store) StatementsFrom(ctx context.Context, kind uint8, after Statement, most int) ([]Statement, error) {
	rows, err := s.read.StatementsFrom(ctx, db.StatementsFromParams{
		Kind: int64(kind), Issuer: after.Issuer, ID: after.ID[:], Most: int32(min(max(most, 0), MaxPage)),
	})
	return statementsOf(rows, err)
}

// lastSubject sorts after every name and domain.
const lastSubject = "\x7f"

// DropStatement forgets one statement, if it is there.
func (s *Store) DropStatement(ctx context.Context, kind uint8, issuer string, id [32]byte) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		v, err := q.Statement(ctx, db.StatementParams{Kind: int64(kind), Issuer: issuer, ID: id[:]})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return dropStatement(ctx, q, v)
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
