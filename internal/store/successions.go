package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/p3do/p3do/internal/store/db"
)

// ReplaceOwn puts the own descriptor, signed by another authority than the one on record, in
// its place, in the key ring and at the key server, whatever its serial. One of the same
// authority is for [Store.AddSigned].
func (s *Store) ReplaceOwn(ctx context.Context, k SignedKey) error {
	if k.Kind != KeyDescriptor {
		return errors.New("store: the own descriptor is a descriptor")
	}
	if err := k.check(); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		old, err := q.Server(ctx, k.Subject)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			err = count(ctx, q, countServers, 1, MaxServers)
		case err == nil && fp32(old.CA) != k.Fingerprint:
			_, err = q.DropRingKey(ctx, db.DropRingKeyParams{Kind: string(KeyDescriptor), Subject: k.Subject, Fingerprint: old.CA})
		}
		if err != nil {
			return err
		}
		err = putServer(ctx, q, Server{
			Domain: k.Subject, CA: k.Fingerprint, Serial: k.Serial, Descriptor: k.Raw, NotAfter: k.NotAfter,
		}, Home)
		if err != nil {
			return err
		}
		return putSigned(ctx, q, k)
	})
}

// AddFormer keeps the certificate of the own domain's authority that gives way.
func (s *Store) AddFormer(ctx context.Context, domain string, fingerprint [32]byte, authority []byte) error {
	if len(domain) == 0 || len(domain) > MaxSubject || len(authority) == 0 || len(authority) > MaxRaw {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.AddFormer(ctx, db.AddFormerParams{Domain: domain, Fingerprint: fingerprint[:], CA: authority})
	})
}
