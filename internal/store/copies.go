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

// KeepCopies drops the copies that a domain gave and whose numbers are not among those, and returns
// those of which there is none, ascending.
func (s *Store) KeepCopies(ctx context.Context, domain string, numbers []int64) (missing []int64, err error) {
	wanted := make(map[int64]bool, len(numbers))
	for _, n := range numbers {
		wanted[n] = true
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.CopyNumbers(ctx, domain)
		has := make(map[int64]bool, len(rows))
		for i := 0; err == nil && i < len(rows); i++ {
			if has[rows[i].Number] = wanted[rows[i].Number]; !wanted[rows[i].Number] {
				err = dropCopy(ctx, q, domain, rows[i].Number, rows[i].Size)
			}
		}
		missing = slices.DeleteFunc(slices.Sorted(slices.Values(numbers)), func(n int64) bool { return has[n] })
		return err
	})
	return missing, err
}

func dropCopy(ctx context.Context, q *db.Queries, domain string, number, size int64) error {
	if err := q.DropCopy(ctx, db.DropCopyParams{Domain: domain, Number: number}); err != nil {
		return err
	}
	return count(ctx, q, countCopyBytes, -size, MaxCopyBytes)
}

// dropCopiesOf drops all that a domain gave.
func dropCopiesOf(ctx context.Context, q *db.Queries, domain string) error {
	rows, err := q.CopyNumbers(ctx, domain)
	for i := 0; err == nil && i < len(rows); i++ {
		err = dropCopy(ctx, q, domain, rows[i].Number, rows[i].Size)
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
			err = dropCopy(ctx, q, rows[i].Domain, rows[i].Number, rows[i].Size)
		}
		return err
	})
}

// PutCopies keeps copies that a domain gave, each if there is none of its number. A domain has room for
// [MaxCopiesEach] of [MaxCopyBytesEach] together, all domains for [MaxCopyBytes]: then it is [ErrFull], and none
// of these is kept.
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
		rows, err := q.CopyNumbers(ctx, domain)
		if err != nil {
			return err
		}
		bytes, n := int64(0), len(rows)
		has := make(map[int64]bool, n)
		for _, r := range rows {
			bytes, has[r.Number] = bytes+r.Size, true
		}
		for _, c := range copies {
			if has[c.Number] {
				continue
			}
			bytes += int64(len(c.Sealed))
			if n++; n > most || bytes > mostBytes {
				return ErrFull
			}
			if err := putCopy(ctx, q, domain, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func putCopy(ctx context.Context, q *db.Queries, domain string, c Copy) error {
	n, err := q.PutCopy(ctx, db.PutCopyParams{Domain: domain, Number: c.Number, NameID: c.NameID[:], KeyID: c.KeyID[:], Sealed: c.Sealed})
	if err != nil || n == 0 {
		return err
	}
	return count(ctx, q, countCopyBytes, int64(len(c.Sealed)), MaxCopyBytes)
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
