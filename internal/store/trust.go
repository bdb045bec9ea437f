package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Pin is the key that is known for a subject, and why.
type Pin struct {
	Kind    string // the caller's words: "domain", "user"
	Subject string
	Key     [32]byte
	Trust   uint8 // the caller's degrees; 1 for what [Store.Pin] fixed
	Since   time.Time
	Former  [][32]byte // keys that handed over to it, the last one last; MaxFormer at most
	Next    [32]byte   // the key that it committed to; zero: none
	Root    [32]byte   // of its subject's offline root; zero: none
}

// Pins returns all pins of a kind by subject. It is for domains: users are never listed.
func (s *Store) Pins(ctx context.Context, kind string) ([]Pin, error) {
	rows, err := s.read.Pins(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("store: listing pins: %w", err)
	}
	pins := make([]Pin, len(rows))
	for i, r := range rows {
		pins[i] = Pin{
			Kind: r.Kind, Subject: r.Subject, Key: fp32(r.Fingerprint), Trust: uint8(r.Trust),
			Since: timeOrZero(r.Since), Former: splitKeys(r.Former), Next: fp32(r.Successor), Root: fp32(r.Root),
		}
	}
	return pins, nil
}

// SetPin pins a subject for the first time, or moves the pin from a key to another one (or to
// the same, to change what is known of it); from is zero, or the key that is pinned now: else
// [ErrOtherKey]. The table takes [MaxPins], then
// [ErrFull].
func (s *Store) SetPin(ctx context.Context, from [32]byte, p Pin) error {
	return s.MovePin(ctx, from, p, nil)
}

// MovePin is SetPin that keeps, in the same transaction, the certificate of the authority that
// gave way.
func (s *Store) MovePin(ctx context.Context, from [32]byte, p Pin, authority []byte) error {
	if err := p.check(authority); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		if from == ([32]byte{}) {
			return firstPin(ctx, q, p)
		}
		n, err := q.MovePin(ctx, db.MovePinParams{
			Fingerprint: p.Key[:], Trust: int64(p.Trust), Since: unixOrZero(p.Since), Former: joinKeys(p.Former),
			Successor: p.Next[:], Root: p.Root[:], Kind: p.Kind, Subject: p.Subject, GivenUp: from[:],
		})
		if err == nil && n == 0 {
			err = ErrOtherKey
		}
		if err != nil || len(authority) == 0 {
			return err
		}
		return q.AddFormer(ctx, db.AddFormerParams{Domain: p.Subject, Fingerprint: from[:], CA: authority})
	})
}

func (p Pin) check(authority []byte) error {
	switch {
	case len(p.Subject) == 0 || p.Key == [32]byte{}:
		return errors.New("store: a pin of nothing")
	case len(p.Kind) > MaxSubject || len(p.Subject) > MaxSubject || len(p.Former) > MaxFormer || len(authority) > MaxRaw:
		return ErrTooLarge
	}
	return nil
}

func firstPin(ctx context.Context, q *db.Queries, p Pin) error {
	n, err := q.PutFullPin(ctx, db.PutFullPinParams{
		Kind: p.Kind, Subject: p.Subject, Fingerprint: p.Key[:],
		Trust: int64(p.Trust), Since: unixOrZero(p.Since), Former: joinKeys(p.Former),
		Successor: p.Next[:], Root: p.Root[:],
	})
	switch {
	case err != nil:
		return err
	case n == 0:
		return ErrOtherKey
	}
	return count(ctx, q, countPins, 1, MaxPins)
}

// FormerAuthorities returns the certificates of a domain's authorities that gave way.
func (s *Store) FormerAuthorities(ctx context.Context, domain string) ([][]byte, error) {
	rows, err := s.read.FormerOf(ctx, domain)
	if err != nil {
		return nil, fmt.Errorf("store: reading former authorities: %w", err)
	}
	all := make([][]byte, len(rows))
	for i, r := range rows {
		all[i] = r.CA
	}
	return all, nil
}

// Sighting is what this node saw of a domain with its own eyes.
type Sighting struct {
	Domain string
	DNS    [32]byte // the key that its record in DNS named last; zero: none
	Secure bool     // DNSSEC vouched for that
	DNSAt  time.Time
	Home   [32]byte // the key that its own servers showed last; zero: none
	HomeAt time.Time
}

// PutSighting replaces what is known of a domain.
func (s *Store) PutSighting(ctx context.Context, v Sighting) error {
	if len(v.Domain) == 0 || len(v.Domain) > MaxSubject {
		return ErrTooLarge
	}
	secure := int64(0)
	if v.Secure {
		secure = 1
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.PutSighting(ctx, db.PutSightingParams{
			Domain: v.Domain, Dns: v.DNS[:], Secure: secure, DnsAt: unixOrZero(v.DNSAt),
			Home: v.Home[:], HomeAt: unixOrZero(v.HomeAt),
		})
	})
}

// Sightings returns what is known of all domains, by domain.
func (s *Store) Sightings(ctx context.Context) ([]Sighting, error) {
	rows, err := s.read.Sightings(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: listing sightings: %w", err)
	}
	all := make([]Sighting, len(rows))
	for i, r := range rows {
		all[i] = Sighting{
			Domain: r.Domain, DNS: fp32(r.Dns), Secure: r.Secure == 1, DNSAt: timeOrZero(r.DnsAt),
			Home: fp32(r.Home), HomeAt: timeOrZero(r.HomeAt),
		}
	}
	return all, nil
}

// Event is something that happened to a key.
type Event struct {
	Seq    int64
	At     time.Time // whole seconds
	Domain string
	Kind   string
	Words  string // for people, at most MaxWords bytes
}

// AddEvent writes an event down and gives it a number; v.Seq is ignored. Of more than
// [MaxEvents], and of more than [MaxEventsEach] of one domain, the oldest goes.
func (s *Store) AddEvent(ctx context.Context, v Event) error {
	if len(v.Domain) > MaxSubject || len(v.Kind) > MaxSubject || len(v.Words) > MaxWords {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		seq, err := q.NextNumber(ctx, countEvents)
		if err != nil {
			return err
		}
		if _, err := q.DropEvents(ctx, seq-MaxEvents); err != nil {
			return err
		}
		old, err := q.OldEvent(ctx, db.OldEventParams{Domain: v.Domain, Offset: MaxEventsEach - 1})
		if err == nil {
			_, err = q.DropEventsOf(ctx, db.DropEventsOfParams{Domain: v.Domain, Seq: old})
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return q.AddEvent(ctx, db.AddEventParams{Seq: seq, At: v.At.Unix(), Domain: v.Domain, Kind: v.Kind, Words: v.Words})
	})
}

// Events returns what happened since a time, in its order.
func (s *Store) Events(ctx context.Context, since time.Time) ([]Event, error) {
	rows, err := s.read.EventsSince(ctx, since.Unix())
	if err != nil {
		return nil, fmt.Errorf("store: reading events: %w", err)
	}
	all := make([]Event, len(rows))
	for i, r := range rows {
		all[i] = Event{Seq: r.Seq, At: time.Unix(r.At, 0), Domain: r.Domain, Kind: r.Kind, Words: r.Words}
	}
	return all, nil
}

func joinKeys(keys [][32]byte) []byte {
	joined := make([]byte, 0, 32*len(keys))
	for i := range keys {
		joined = append(joined, keys[i][:]...)
	}
	return joined
}

// splitKeys reads what joinKeys wrote.
func splitKeys(joined []byte) (keys [][32]byte) {
	for ; len(joined) >= 32; joined = joined[32:] {
		keys = append(keys, [32]byte(joined))
	}
	return keys
}
