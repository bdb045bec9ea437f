package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Restore makes key ring and key server agree again, in one transaction (K5). signed
// judges a record: did the domain really sign it? Where the ring's is, the key server gets
// a copy of it, in place of whatever it has; what only the key server has, and is signed,
// goes back into the ring. It returns where they still differ: records that nobody signed,
// which are left as they are.
func (s *Store) Restore(ctx context.Context, signed func(SignedKey) bool) (left RingDiff, err error) {
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		for _, side := range []func(context.Context, *db.Queries, RingDiff, func(SignedKey) bool) error{serveRing, ringServed} {
			diff, err := compareRing(ctx, q)
			if err == nil {
				err = side(ctx, q, diff, signed)
			}
			if err != nil {
				return err
			}
		}
		left, err = compareRing(ctx, q)
		return err
	})
	return left, err
}

// serveRing copies what only the ring has to the key server.
func serveRing(ctx context.Context, q *db.Queries, diff RingDiff, signed func(SignedKey) bool) error {
	for _, ref := range diff.OnlyRing {
		k, err := ringKey(ctx, q, ref)
		if errors.Is(err, sql.ErrNoRows) { // a fingerprint that is none: nobody signed that
			continue
		}
		if err == nil && signed(k) {
			err = restoreServed(ctx, q, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ringServed copies what only the key server has to the ring.
func ringServed(ctx context.Context, q *db.Queries, diff RingDiff, signed func(SignedKey) bool) error {
	for _, ref := range diff.OnlyServer {
		k, err := servedKey(ctx, q, ref)
		if errors.Is(err, sql.ErrNoRows) { // a fingerprint that is none: nobody signed that
			continue
		}
		if err == nil && signed(k) {
			err = putRing(ctx, q, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func ringKey(ctx context.Context, q *db.Queries, ref KeyRef) (SignedKey, error) {
	r, err := q.RingKey(ctx, db.RingKeyParams{Kind: string(ref.Kind), Subject: ref.Subject, Fingerprint: ref.Fingerprint[:]})
	return SignedKey{
		Kind: ref.Kind, Subject: ref.Subject, Fingerprint: ref.Fingerprint,
		Raw: r.Raw, Card: r.Card, Serial: uint64(r.Serial), NotAfter: time.Unix(r.NotAfter, 0),
	}, err
}

func servedKey(ctx context.Context, q *db.Queries, ref KeyRef) (SignedKey, error) {
	k := SignedKey{Kind: ref.Kind, Subject: ref.Subject, Fingerprint: ref.Fingerprint}
	switch ref.Kind {
	case KeyUser:
		u, err := q.User(ctx, ref.Subject)
		k.Raw, k.Card, k.Serial, k.NotAfter = u.Certificate, u.Card, uint64(u.Serial), time.Unix(u.NotAfter, 0)
		return k, err
	case KeyDescriptor:
		v, err := q.Server(ctx, ref.Subject)
		k.Raw, k.Serial, k.NotAfter = v.Descriptor, uint64(v.Serial), time.Unix(v.NotAfter, 0)
		return k, err
	default:
		c, err := q.Certificate(ctx, db.CertificateParams{Kind: string(ref.Kind), Subject: ref.Subject, Fingerprint: ref.Fingerprint[:]})
		k.Raw, k.NotAfter = c.Raw, time.Unix(c.NotAfter, 0)
		return k, err
	}
}

// restoreServed writes the key server's copy whatever serial or key it has there. The
// counters stay: who took a row away by hand did not count it.
func restoreServed(ctx context.Context, q *db.Queries, k SignedKey) error {
	switch k.Kind {
	case KeyUser:
		old, err := q.User(ctx, k.Subject)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if Origin(old.Origin) == Cache {
			if err := count(ctx, q, countCached, -1, MaxCachedUsers); err != nil {
				return err
			}
		}
		return putUser(ctx, q, User{
			Name: k.Subject, Fingerprint: k.Fingerprint, Certificate: k.Raw,
			Card: k.Card, Serial: k.Serial, NotAfter: k.NotAfter, Origin: Home,
		})
	case KeyDescriptor:
		return q.PutServer(ctx, db.PutServerParams{
			Domain: k.Subject, CA: k.Fingerprint[:], Serial: int64(k.Serial), Descriptor: k.Raw,
			NotAfter: k.NotAfter.Unix(), Origin: string(Home),
		})
	default:
		_, err := putServed(ctx, q, k) // a certificate
		return err
	}
}
