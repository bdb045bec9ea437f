package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/p3do/p3do/internal/store/db"
)

// Shared is a room that several issuers have together: those from First on and before Last, by the order of
// their bytes.
//
// When it is full, a statement of an issuer before Lesser takes the place of the oldest of those from Lesser on;
// if there are none, that of the oldest of the issuer which has most, if that has at least two more than the new
// one's. So it can be filled for others only by as many issuers as there is room for, and what gives way comes
// to an end. Else it is [ErrFull].
type Shared struct {
	First, Lesser, Last string
	Most                int
}

// makeRoom makes room in s for a statement of an issuer that has held of them already.
func (s Shared) makeRoom(ctx context.Context, q *db.Queries, v Statement, held int64) error {
	kind := int64(v.Kind)
	n, err := q.CountStatementsWithin(ctx, db.CountStatementsWithinParams{Kind: kind, First: s.First, Last: s.Last})
	if err != nil || n < int64(s.Most) {
		return err
	}
	if v.Issuer >= s.Lesser {
		return ErrFull
	}
	idle, err := q.OldestStatementWithin(ctx, db.OldestStatementWithinParams{Kind: kind, First: s.Lesser, Last: s.Last})
	if errors.Is(err, sql.ErrNoRows) {
		var most db.CrowdedIssuerRow
		most, err = q.CrowdedIssuer(ctx, db.CrowdedIssuerParams{Kind: kind, First: s.First, Last: s.Lesser})
		if err == nil && most.Held < held+2 {
			return ErrFull
		}
		if err == nil {
			idle, err = q.OldestStatementWithin(ctx, db.OldestStatementWithinParams{Kind: kind, First: most.Issuer, Last: most.Issuer + "\x00"})
		}
	}
	if err != nil {
		return err
	}
	return dropStatement(ctx, q, idle)
}
