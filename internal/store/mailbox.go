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

// MailboxKind says who may know an address.
type MailboxKind string

const (
	Requests MailboxKind = "requests" // public: strangers write here
	Contact  MailboxKind = "contact"  // known to one contact, for one day
	Replies  MailboxKind = "replies"  // given along with a message

	Once MailboxKind = "invitation" // takes the letters of one id
)

// Address is a mailbox address that its owner claimed.
type Address struct {
	Mailbox  [32]byte
	Kind     MailboxKind
	UntilDay uint32 // last day on which it takes items, days since 1970-01-01 UTC
}

// Item is one delivery.
type Item struct {
	Mailbox [32]byte
	Kind    uint8    // what the delivery is; a word between router and agent
	ID      [16]byte // of the message: equal in all its copies
	Body    []byte   // sealed, at most MaxBody bytes
	At      time.Time
}

// Waiting is an item in its owner's queue. Seq grows and is never used twice.
type Waiting struct {
	Seq int64
	Item
}

// Day is the number of the UTC day of t, days since 1970-01-01.
func Day(t time.Time) uint32 {
	return uint32(min(max(t.Unix()/86400, 0), math.MaxUint32))
}

// Claim gives addresses to an owner, all or none. One that another owner has is
// refused with [ErrOwned]; one's own gets the new kind and day. An owner holds
// [MaxAddresses] at most, then [ErrFull]; more than [MaxClaim] at once are
// [ErrTooLarge].
func (s *Store) Claim(ctx context.Context, owner [32]byte, addresses []Address) error {
	return s.claim(ctx, owner, addresses, MaxAddresses, nil)
}

func (s *Store) claim(ctx context.Context, owner [32]byte, addresses []Address, limit int64,
	admit func(context.Context, *db.Queries) error) error {
	if len(addresses) > MaxClaim {
		return ErrTooLarge
	}
	for _, a := range addresses {
		if a.Kind != Requests && a.Kind != Contact && a.Kind != Replies && a.Kind != Once {
			return fmt.Errorf("store: mailbox kind %q is unknown", a.Kind)
		}
	}
	if len(addresses) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		if err := q.AddOwner(ctx, owner[:]); err != nil {
			return err
		}
		if admit != nil {
			if err := admit(ctx, q); err != nil {
				return err
			}
		}
		return claim(ctx, q, owner, addresses, limit)
	})
}

func claim(ctx context.Context, q *db.Queries, owner [32]byte, addresses []Address, limit int64) error {
	var added int64
	for _, a := range addresses {
		n, err := q.AddMailbox(ctx, db.AddMailboxParams{
			Address: a.Mailbox[:], Owner: owner[:], Kind: string(a.Kind), UntilDay: int64(a.UntilDay),
		})
		if err != nil {
			return err
		}
		if added += n; n == 1 {
			continue
		}
		n, err = q.ExtendMailbox(ctx, db.ExtendMailboxParams{
			Kind: string(a.Kind), UntilDay: int64(a.UntilDay), Address: a.Mailbox[:], Owner: owner[:],
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrOwned
		}
	}
	n, err := q.CountAddresses(ctx, db.CountAddressesParams{Add: added, Owner: owner[:], Room: limit - added})
	if err == nil && n == 0 {
		return ErrFull
	}
	return err
}

// Mailbox returns who claimed an address and for how long, or [ErrNoMailbox].
func (s *Store) Mailbox(ctx context.Context, address [32]byte) (owner [32]byte, a Address, err error) {
	m, err := s.read.Mailbox(oneRow(ctx), address[:])
	if errors.Is(err, sql.ErrNoRows) {
		return owner, a, ErrNoMailbox
	}
	if err != nil {
		return owner, a, fmt.Errorf("store: reading mailbox: %w", err)
	}
	return fp32(m.Owner), Address{address, MailboxKind(m.Kind), uint32(m.UntilDay)}, nil
}

// Deposit puts an item into the queue of its mailbox's owner; it is durable
// when Deposit returns. The same (Mailbox, Kind, ID) a second time stores
// nothing: fresh is false. [ErrNoMailbox]: nobody claimed the address for the
// day of it.At. [ErrUsed]: it is that of an invitation, and has taken an item of another
// ID. [ErrFull]: [MaxItems] wait for that owner already, and she has
// forgotten none of them: else the oldest that only a device of hers did not
// fetch makes room.
func (s *Store) Deposit(ctx context.Context, it Item) (fresh bool, err error) {
	return s.deposit(ctx, it, MaxItems)
}

func (s *Store) deposit(ctx context.Context, it Item, limit int64) (fresh bool, err error) {
	if len(it.Body) > MaxBody {
		return false, ErrTooLarge
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		fresh, err = deposit(ctx, q, it, limit)
		return err
	})
	return fresh && err == nil, err
}

func deposit(ctx context.Context, q *db.Queries, it Item, limit int64) (fresh bool, err error) {
	m, err := q.Mailbox(ctx, it.Mailbox[:])
	if errors.Is(err, sql.ErrNoRows) || (err == nil && m.UntilDay < int64(Day(it.At))) {
		return false, ErrNoMailbox
	}
	if err != nil {
		return false, err
	}
	if MailboxKind(m.Kind) == Once {
		if used, err := q.DeliveredOthers(ctx, db.DeliveredOthersParams{Mailbox: it.Mailbox[:], ID: it.ID[:]}); err != nil {
			return false, err
		} else if used > 0 {
			return false, ErrUsed
		}
	}
	n, err := q.AddDelivered(ctx, db.AddDeliveredParams{
		Mailbox: it.Mailbox[:], Kind: int64(it.Kind), ID: it.ID[:], Until: it.At.Add(ItemLife).Unix(),
	})
	if err != nil || n == 0 {
		return false, err
	}
	n, err = q.CountItems(ctx, db.CountItemsParams{Add: 1, Owner: m.Owner, Room: limit - 1})
	if err != nil {
		return false, err
	}
	if n == 0 { // unless only a device of hers has not fetched something
		if n, err = makePlace(ctx, q, m.Owner); err != nil {
			return false, err
		}
	}
	if n == 0 {
		return false, ErrFull
	}
	seq, err := q.NextItem(ctx)
	if err != nil {
		return false, err
	}
	return true, q.AddItem(ctx, db.AddItemParams{
		Owner: m.Owner, Seq: seq, Mailbox: it.Mailbox[:], Kind: int64(it.Kind),
		ID: it.ID[:], Body: notNil(it.Body), At: it.At.Unix(),
	})
}

// Items returns what waits for an owner, in order of arrival, from the first
// after the given Seq on: at most limit, and never more than [MaxPage].
func (s *Store) Items(ctx context.Context, owner [32]byte, after int64, limit int) ([]Waiting, error) {
	return s.ItemsFor(ctx, owner, owner, after, limit)
}

// ItemsFor is Items for one of those who read an owner's queue: the owner herself, or one of
// her devices. What that one has forgotten is left out.
func (s *Store) ItemsFor(ctx context.Context, owner, reader [32]byte, after int64, limit int) ([]Waiting, error) {
	rows, err := s.read.Items(ctx, db.ItemsParams{
		Owner: owner[:], Seq: after, Reader: reader[:], Limit: int32(min(max(limit, 0), MaxPage)),
	})
	if err != nil {
		return nil, fmt.Errorf("store: reading items: %w", err)
	}
	items := make([]Waiting, len(rows))
	for i, r := range rows {
		items[i] = Waiting{Seq: r.Seq, Item: Item{
			Mailbox: fp32(r.Mailbox), Kind: uint8(r.Kind), ID: id16(r.ID),
			Body: r.Body, At: time.Unix(r.At, 0),
		}}
	}
	return items, nil
}

// Forget is ForgetFor by the owner herself.
func (s *Store) Forget(ctx context.Context, owner [32]byte, seq ...int64) error {
	return s.ForgetFor(ctx, owner, owner, seq...)
}

// ForgetFor says that a reader has items safely: the owner herself, or one of her devices.
// What all of these have goes. Numbers that are not in the owner's queue are passed over.
func (s *Store) ForgetFor(ctx context.Context, owner, reader [32]byte, seq ...int64) error {
	if len(seq) == 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		devices, err := q.CountDevices(ctx, owner[:])
		if err != nil || devices == 0 && reader != owner {
			return err
		}
		forget := func(n int64) (int64, error) { return q.ForgetItem(ctx, db.ForgetItemParams{Owner: owner[:], Seq: n}) }
		if devices > 0 {
			forget = func(n int64) (int64, error) { return forgetBy(ctx, q, owner, reader, n) }
		}
		var gone int64
		for _, n := range seq {
			k, err := forget(n)
			if err != nil {
				return err
			}
			gone += k
		}
		return fewerItems(ctx, q, owner, gone)
	})
}

// fewerItems counts items of an owner that have gone.
func fewerItems(ctx context.Context, q *db.Queries, owner [32]byte, gone int64) error {
	_, err := q.CountItems(ctx, db.CountItemsParams{Add: -gone, Owner: owner[:], Room: math.MaxInt64})
	return err
}

// id16 reads a column that only this package writes, always with 16 bytes.
func id16(b []byte) (id [16]byte) {
	copy(id[:], b)
	return id
}
