package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Caps of what the operator decides about users.
const (
	MaxInvitations = 10_000  // that have not ended more than [InvitationKept] ago
	MaxQuotas      = 100_000 // names with a quota of their own
)

// InvitationKept is for how long an invitation is remembered after it has run out: whoever
// shows it then hears what became of it.
const InvitationKept = 90 * 24 * time.Hour

// An Invitation is what is kept of one: not its token, but the SHA-256 of that.
type Invitation struct {
	Hash    [32]byte
	Name    string // that it is for; empty: any
	Made    time.Time
	Expires time.Time
	Used    time.Time // zero: not yet
	Taker   [32]byte  // fingerprint of the key that took it
}

// AddInvitation keeps a new invitation, and forgets those that ran out long ago. The table
// takes [MaxInvitations], then [ErrFull].
func (s *Store) AddInvitation(ctx context.Context, i Invitation) error {
	if len(i.Name) > MaxSubject {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		gone, err := q.DropInvitations(ctx, i.Made.Add(-InvitationKept).Unix())
		if err == nil && gone > 0 {
			err = count(ctx, q, countInvitations, -gone, MaxInvitations)
		}
		if err != nil {
			return err
		}
		n, err := q.AddInvitation(ctx, db.AddInvitationParams{
			Hash: i.Hash[:], Name: i.Name, Made: i.Made.Unix(), Expires: i.Expires.Unix(), Taker: []byte{},
		})
		if err != nil || n == 0 {
			return err
		}
		return count(ctx, q, countInvitations, 1, MaxInvitations)
	})
}

// TakeInvitation uses an invitation up for a key under a name; taken says whether that key has
// it now. A key that took it before has it still. If it has not, the invitation says why: it
// was used by another key, has run out, or is for another name. [ErrNotFound]: there is none
// of that hash.
func (s *Store) TakeInvitation(ctx context.Context, hash [32]byte, name string, key [32]byte, now time.Time) (i Invitation, taken bool, err error) {
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		row, err := q.Invitation(ctx, hash[:])
		if err != nil {
			return notFound(err)
		}
		i, taken = invitationOf(row), false
		switch {
		case i.Name != "" && i.Name != name:
		case !i.Used.IsZero():
			taken = i.Taker == key
		case now.Before(i.Expires):
			taken = true
			_, err = q.UseInvitation(ctx, db.UseInvitationParams{Used: now.Unix(), Taker: key[:], Hash: hash[:]})
		}
		return err
	})
	return i, taken && err == nil, err
}

// Invitation returns the invitation of exactly that hash, or [ErrNotFound].
func (s *Store) Invitation(ctx context.Context, hash [32]byte) (Invitation, error) {
	row, err := s.read.Invitation(oneRow(ctx), hash[:])
	if err != nil {
		return Invitation{}, notFound(err)
	}
	return invitationOf(row), nil
}

// Invitations returns all that are remembered, the oldest first.
func (s *Store) Invitations(ctx context.Context) ([]Invitation, error) {
	rows, err := s.read.Invitations(ctx)
	all := make([]Invitation, len(rows))
	for i, row := range rows {
		all[i] = invitationOf(row)
	}
	return all, err
}

func invitationOf(row db.Invitation) Invitation {
	return Invitation{
		Hash: fp32(row.Hash), Name: row.Name, Made: time.Unix(row.Made, 0), Expires: time.Unix(row.Expires, 0),
		Used: timeOrZero(row.Used), Taker: fp32(row.Taker),
	}
}

// SetQuota lets a name send so many messages an hour. The table takes [MaxQuotas], then
// [ErrFull].
func (s *Store) SetQuota(ctx context.Context, name string, messages int64) error {
	if len(name) > MaxSubject {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.ReplaceQuota(ctx, db.ReplaceQuotaParams{Messages: messages, Name: name})
		if err != nil || n > 0 {
			return err
		}
		if _, err := q.PutQuota(ctx, db.PutQuotaParams{Name: name, Messages: messages}); err != nil {
			return err
		}
		return count(ctx, q, countQuotas, 1, MaxQuotas)
	})
}

// Quota returns what SetQuota set for the name; false if it did not.
func (s *Store) Quota(ctx context.Context, name string) (messages int64, ok bool, err error) {
	messages, err = s.read.Quota(oneRow(ctx), name)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return messages, err == nil, err
}

// An OwnUser is a name that this domain has signed for.
type OwnUser struct {
	Name        string
	Fingerprint [32]byte
	NotAfter    time.Time // of the newest certificate
}

// OwnUsers returns a page of at most [MaxPage] of the domain's own users, by name after the
// given one, out of the key ring. It is for the operator, who has the file anyway; what the key
// server serves cannot be listed.
func (s *Store) OwnUsers(ctx context.Context, after string) ([]OwnUser, error) {
	rows, err := s.read.OwnUsersAfter(ctx, db.OwnUsersAfterParams{Subject: after, Limit: MaxPage})
	users := make([]OwnUser, len(rows))
	for i, row := range rows {
		users[i] = OwnUser{row.Subject, fp32(row.Fingerprint), time.Unix(row.NotAfter, 0)}
	}
	return users, err
}
