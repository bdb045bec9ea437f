package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Server is the key server's record of one domain.
type Server struct {
	Domain     string
	CA         [32]byte // fingerprint of the domain CA's key
	Serial     uint64   // below 2^63
	Descriptor []byte   // as signed
	NotAfter   time.Time
	Origin     Origin
}

// PutServer keeps a verified copy of another domain's descriptor. It replaces
// one on record only by a greater serial and only under the same CA: else
// fresh is false, and err is nil for the very same bytes, [ErrOldSerial] or
// [ErrOtherKey]. The own domain's record is never touched: [ErrOwn]. The table
// takes [MaxServers], then [ErrFull].
func (s *Store) PutServer(ctx context.Context, v Server) (fresh bool, err error) {
	return s.putServer(ctx, v, MaxServers)
}

func (s *Store) putServer(ctx context.Context, v Server, limit int64) (fresh bool, err error) {
	v.Origin = Cache
	if err := checkRecord(v.Domain, v.Serial, v.Descriptor); err != nil {
		return false, err
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		fresh, err = replaceServer(ctx, q, v, limit)
		return err
	})
	return fresh && err == nil, err
}

// ReplaceServer keeps a copy of another domain's descriptor in place of whatever there is of
// it, under another CA and with a lesser serial too: for a domain whose key has changed with
// the caller's consent. The own domain's record is never touched: [ErrOwn].
func (s *Store) ReplaceServer(ctx context.Context, v Server) error {
	if err := checkRecord(v.Domain, v.Serial, v.Descriptor); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		old, err := q.Server(ctx, v.Domain)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if err := count(ctx, q, countServers, 1, MaxServers); err != nil {
				return err
			}
		case err != nil:
			return err
		case Origin(old.Origin) == Home:
			return ErrOwn
		}
		return putServer(ctx, q, v, Cache)
	})
}

func replaceServer(ctx context.Context, q *db.Queries, v Server, limit int64) (fresh bool, err error) {
	old, err := q.Server(ctx, v.Domain)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = count(ctx, q, countServers, 1, limit)
	case err == nil:
		err = mayReplace(serverOf(old), v)
	}
	if errors.Is(err, errSame) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, putServer(ctx, q, v, v.Origin)
}

func putServer(ctx context.Context, q *db.Queries, v Server, origin Origin) error {
	return q.PutServer(ctx, db.PutServerParams{
		Domain: v.Domain, CA: v.CA[:], Serial: int64(v.Serial), Descriptor: v.Descriptor,
		NotAfter: v.NotAfter.Unix(), Origin: string(origin),
	})
}

var errSame = errors.New("store: same record")

func mayReplace(old, v Server) error {
	switch {
	case old.Origin == Home && v.Origin != Home:
		return ErrOwn
	case old.CA != v.CA:
		return ErrOtherKey
	case old.Serial == v.Serial && bytes.Equal(old.Descriptor, v.Descriptor):
		return errSame
	case v.Serial <= old.Serial:
		return ErrOldSerial
	}
	return nil
}

// Server returns the record of exactly that domain, or [ErrNotFound].
func (s *Store) Server(ctx context.Context, domain string) (Server, error) {
	v, err := s.read.Server(oneRow(ctx), domain)
	return serverOf(v), notFound(err)
}

// Servers returns every domain's record, by domain.
func (s *Store) Servers(ctx context.Context) ([]Server, error) {
	return s.ServersAfter(ctx, "", MaxServers)
}

// ServersAfter returns at most limit records of the domains that sort after the
// given one, by domain.
func (s *Store) ServersAfter(ctx context.Context, domain string, limit int) ([]Server, error) {
	rows, err := s.read.ServersAfter(ctx, db.ServersAfterParams{
		Domain: domain, Limit: int32(min(max(limit, 0), MaxServers)),
	})
	if err != nil {
		return nil, fmt.Errorf("store: listing servers: %w", err)
	}
	servers := make([]Server, len(rows))
	for i, r := range rows {
		servers[i] = serverOf(r)
	}
	return servers, nil
}

func serverOf(v db.Server) Server {
	return Server{
		Domain: v.Domain, CA: fp32(v.CA), Serial: uint64(v.Serial), Descriptor: v.Descriptor,
		NotAfter: time.Unix(v.NotAfter, 0), Origin: Origin(v.Origin),
	}
}
