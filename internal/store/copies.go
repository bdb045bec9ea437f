package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/p3do/p3do/internal/store/db"
)

// A Copy is the card of a peer's user, sealed by what it is asked for by: nothing in it says whose it is.
type Copy struct {
	Domain string
	Number int64    // of its leaf in the domain's key log
	NameID [32]byte // made of the name
	KeyID  [32]byte // made of the identity key
	Sealed []byte   // at most MaxRaw bytes
}

// LoggedUser is a user of ours with the newest leaf of her card.
type LoggedUser struct {
	Logged
	Name        string
	Fingerprint [32]byte
	Card        []byte
	Leaf        []byte
}

// CardNumbers returns the numbers of the leaves of our users' cards, ascending from a number on: at most MaxPage.
func (s *Store) CardNumbers(ctx context.Context, from int64, most int) ([]int64, error) {
	return s.read.CardNumbers(ctx, db.CardNumbersParams{Number: from, Limit: int32(min(max(most, 0), MaxCopiesEach))})
}

// CardsLogged returns these cards, at most MaxPage of them.
func (s *Store) CardsLogged(ctx context.Context, from int64, most int) ([]LoggedUser, error) {
	rows, err := s.read.CardsLogged(ctx, db.CardsLoggedParams{Number: from, Limit: int32(min(max(most, 0), MaxPage))})
	if err != nil {
		return nil, fmt.Errorf("store: reading logged cards: %w", err)
	}
	all := make([]LoggedUser, len(rows))
	for i, r := range rows {
		all[i] = LoggedUser{Logged{r.Number, fp32(r.Record), r.LabelProof}, r.Name, fp32(r.Fingerprint), r.Card, r.Leaf}
	}
	return all, nil
}

// CopyOfName returns the newest copy that a domain has given of a name, or [ErrNotFound].
func (s *Store) CopyOfName(ctx context.Context, domain string, id [32]byte) (Copy, error) {
	c, err := s.read.CopyOfName(oneRow(ctx), db.CopyOfNameParams{NameID: id[:], Domain: domain})
	return copyOf(c), notFound(err)
}

// CopiesOfKey returns the newest copy of each domain, of some, that has given one of an identity key.
func (s *Store) CopiesOfKey(ctx context.Context, id [32]byte) ([]Copy, error) {
	rows, err := s.read.CopiesOfKey(ctx, id[:])
	if err != nil {
		return nil, fmt.Errorf("store: reading copies: %w", err)
	}
	all := make([]Copy, len(rows))
	for i, r := range rows {
		all[i] = copyOf(r)
	}
	return all, nil
}

func copyOf(c db.Copy) Copy {
	return Copy{c.Domain, c.Number, fp32(c.NameID), fp32(c.KeyID), c.Sealed}
}

// CopiesBeside returns the numbers of the copies that a domain gave that are not among some, ascending.
func (s *Store) CopiesBeside(ctx context.Context, domain string, numbers []int64) (others []int64, err error) {
	rows, err := s.read.CopyNumbers(ctx, domain)
	if err != nil {
		return nil, fmt.Errorf("store: reading copies: %w", err)
	}
	return beside(rows, numbers), nil
}

// beside are those of some numbers in order that are not among others.
func beside(numbers, others []int64) (rest []int64) {
	others = slices.Sorted(slices.Values(others))
	for _, n := range numbers {
		if _, ok := slices.BinarySearch(others, n); !ok {
			rest = append(rest, n)
		}
	}
	return rest
}

// KeepCopies drops the copies that a domain gave and whose numbers are not among those, and returns
// those of which there is none, ascending.
func (s *Store) KeepCopies(ctx context.Context, domain string, numbers []int64) (missing []int64, err error) {
	held, err := s.read.CopyNumbers(ctx, domain) // not where others wait to write
	if err != nil {
		return nil, fmt.Errorf("store: reading copies: %w", err)
	}
	missing = beside(slices.Sorted(slices.Values(numbers)), held)
	gone := beside(held, numbers)
	if len(gone) == 0 {
		return missing, nil
	}
	return missing, s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		for _, number := range gone {
			if err := dropCopy(ctx, q, domain, number); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropCopy drops a copy, if it is there.
func dropCopy(ctx context.Context, q *db.Queries, domain string, number int64) error {
	size, err := q.DropCopy(ctx, db.DropCopyParams{Domain: domain, Number: number})
	if err != nil {
		return noRowsIsNil(err)
	}
	return countCopies(ctx, q, domain, -1, -size)
}

// countCopies counts what a domain has given more, and all domains together.
func countCopies(ctx context.Context, q *db.Queries, domain string, copies, bytes int64) error {
	if err := q.CountGiven(ctx, db.CountGivenParams{Domain: domain, Copies: copies, Bytes: bytes}); err != nil {
		return err
	}
	return count(ctx, q, countCopyBytes, bytes, MaxCopyBytes)
}

// dropCopiesOf drops all that a domain gave.
func dropCopiesOf(ctx context.Context, q *db.Queries, domain string) error {
	has, err := q.Given(ctx, domain)
	if err != nil {
		return noRowsIsNil(err)
	}
	if err = q.DropCopiesOf(ctx, domain); err == nil {
		err = q.DropGiven(ctx, domain)
	}
	if err == nil {
		err = count(ctx, q, countCopyBytes, -has.Bytes, MaxCopyBytes)
	}
	return err
}

// DropCopies drops the copies of an identity key, under one name or, if name is nil, under all.
func (s *Store) DropCopies(ctx context.Context, key [32]byte, name *[32]byte) error {
	under := db.CopiesToDropParams{KeyID: key[:], NameID: []byte{}, Every: 1}
	if name != nil {
		under.NameID, under.Every = name[:], 0
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.CopiesToDrop(ctx, under)
		for i := 0; err == nil && i < len(rows); i++ {
			err = dropCopy(ctx, q, rows[i].Domain, rows[i].Number)
		}
		return err
	})
}

// PutCopies keeps copies that a domain gave, each if there is none of its number. A domain has room for
// [MaxCopiesEach] of [MaxCopyBytesEach] together, all domains for [MaxCopyBytes]: then it is [ErrFull], and none
// of these is kept; nor of a domain that is no peer (any more), [ErrNotFound].
func (s *Store) PutCopies(ctx context.Context, domain string, copies []Copy) error {
	return s.putCopies(ctx, domain, copies, MaxCopiesEach, MaxCopyBytesEach)
}

func (s *Store) putCopies(ctx context.Context, domain string, copies []Copy, most int, mostBytes int64) error {
	if len(domain) == 0 || len(domain) > MaxSubject {
		return ErrTooLarge
	}
	for _, c := range copies {
		if len(c.Sealed) == 0 || len(c.Sealed) > MaxRaw || c.Number < 0 {
			return ErrTooLarge
		}
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		if _, err := q.Peer(ctx, domain); err != nil {
			return notFound(err)
		}
		has, err := q.Given(ctx, domain)
		if noRowsIsNil(err) != nil {
			return err
		}
		for _, c := range copies {
			n, err := q.PutCopy(ctx, db.PutCopyParams{Domain: domain, Number: c.Number, NameID: c.NameID[:], KeyID: c.KeyID[:], Sealed: c.Sealed})
			if err == nil && n > 0 {
				has.Copies, has.Bytes = has.Copies+1, has.Bytes+int64(len(c.Sealed))
				err = countCopies(ctx, q, domain, 1, int64(len(c.Sealed)))
			}
			if err == nil && (has.Copies > int64(most) || has.Bytes > mostBytes) {
				err = ErrFull
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// CosignMirror puts a checkpoint with more cosignatures in the place of the one of a log's copy, if the copy has
// come as far as that and no further.
func (s *Store) CosignMirror(ctx context.Context, h Head) error {
	if err := h.check(); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		_, err := q.CosignMirror(ctx, db.CosignMirrorParams{Checkpoint: h.Checkpoint, Origin: h.Origin, Size: h.Size, Root: h.Root[:]})
		return err
	})
}
