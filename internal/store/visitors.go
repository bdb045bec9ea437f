package store

import (
	"context"

	"github.com/p3do/p3do/internal/store/db"
)

// What users of other homes may have here, so that they leave room for the domain's own.
const (
	MaxVisitors   = 1_000 // users of other homes who have mailboxes
	MaxVisitorsOf = 100   // of one home
)

// ClaimAsVisitor is Claim for a user of another home. A visitor counts until her last address
// and her last item are gone; one more than [MaxVisitors], or than [MaxVisitorsOf] of one
// home, is [ErrFull].
func (s *Store) ClaimAsVisitor(ctx context.Context, owner [32]byte, home string, addresses []Address) error {
	return s.claimAsVisitor(ctx, owner, home, addresses, MaxVisitors, MaxVisitorsOf)
}

func (s *Store) claimAsVisitor(ctx context.Context, owner [32]byte, home string, addresses []Address, most, mostOf int64) error {
	if len(home) > MaxSubject {
		return ErrTooLarge
	}
	return s.claim(ctx, owner, addresses, MaxAddresses, func(ctx context.Context, q *db.Queries) error {
		return addVisitor(ctx, q, owner, home, most, mostOf)
	})
}

func addVisitor(ctx context.Context, q *db.Queries, owner [32]byte, home string, most, mostOf int64) error {
	fresh, err := q.AddVisitor(ctx, db.AddVisitorParams{Owner: owner[:], Home: home})
	if err != nil || fresh == 0 {
		return err
	}
	all, err := q.CountVisitors(ctx)
	if err != nil {
		return err
	}
	same, err := q.CountVisitorsOf(ctx, home)
	if err == nil && (all > most || same > mostOf) {
		err = ErrFull
	}
	return err
}
