package store

import (
	"context"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// Pin (the method) fixes the fingerprint of a subject at first sight. fresh: it was not
// pinned before and fp is the pin now; else existing is what was pinned, which
// the caller compares with fp. Kinds are the caller's words ("domain",
// "user"). The table takes [MaxPins], then [ErrFull].
func (s *Store) Pin(ctx context.Context, kind, subject string, fp [32]byte) (existing [32]byte, fresh bool, err error) {
	if len(kind) > MaxSubject || len(subject) > MaxSubject {
		return existing, false, ErrTooLarge
	}
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.PutPin(ctx, db.PutPinParams{Kind: kind, Subject: subject, Fingerprint: fp[:]})
		if err != nil {
			return err
		}
		if fresh = n == 1; fresh {
			existing = fp
			return count(ctx, q, countPins, 1, MaxPins)
		}
		b, err := q.Pin(ctx, db.PinParams{Kind: kind, Subject: subject})
		existing = fp32(b)
		return err
	})
	return existing, fresh && err == nil, err
}

// Pinned returns the pin of a subject, or [ErrNotFound].
func (s *Store) Pinned(ctx context.Context, kind, subject string) ([32]byte, error) {
	b, err := s.read.Pin(ctx, db.PinParams{Kind: kind, Subject: subject})
	return fp32(b), notFound(err)
}

// Peer is a federated domain (K3).
type Peer struct {
	Domain   string
	CA       []byte // the peer's exported CA certificate
	Given    []byte // the cross-certificate that we made for the peer
	Received []byte // the one that the peer made for us; empty while we wait for it
	Since    time.Time
	Context  string // the name of ours that it hears; empty: the first one
}

// PutPeer writes the whole row of a peer, over an older one if there is one.
// The table takes [MaxPeers], then [ErrFull].
func (s *Store) PutPeer(ctx context.Context, p Peer) error {
	if err := checkRecord(p.Domain+p.Context, 0, p.CA, p.Given, p.Received); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.AddPeer(ctx, db.AddPeerParams{
			Domain: p.Domain, CA: p.CA, Given: notNil(p.Given),
			Received: notNil(p.Received), Since: p.Since.Unix(), Context: p.Context,
		})
		if err != nil {
			return err
		}
		if n == 1 {
			return count(ctx, q, countPeers, 1, MaxPeers)
		}
		return q.ReplacePeer(ctx, db.ReplacePeerParams{
			CA: p.CA, Given: notNil(p.Given), Received: notNil(p.Received),
			Since: p.Since.Unix(), Context: p.Context, Domain: p.Domain,
		})
	})
}

// SetReceived keeps the cross-certificate that a peer made for us. No such peer
// is [ErrNotFound].
func (s *Store) SetReceived(ctx context.Context, domain string, cross []byte) error {
	if len(cross) > MaxRaw {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.SetReceived(ctx, db.SetReceivedParams{Received: notNil(cross), Domain: domain})
		if err == nil && n == 0 {
			return ErrNotFound
		}
		return err
	})
}

// Peer returns the row of one peer, or [ErrNotFound].
func (s *Store) Peer(ctx context.Context, domain string) (Peer, error) {
	p, err := s.read.Peer(ctx, domain)
	return peerOf(p), notFound(err)
}

// Peers returns all peers by domain.
func (s *Store) Peers(ctx context.Context) ([]Peer, error) {
	rows, err := s.read.Peers(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: listing peers: %w", err)
	}
	peers := make([]Peer, len(rows))
	for i, r := range rows {
		peers[i] = peerOf(r)
	}
	return peers, nil
}

func peerOf(p db.Peer) Peer {
	return Peer{Domain: p.Domain, CA: p.CA, Given: p.Given, Received: p.Received, Since: time.Unix(p.Since, 0), Context: p.Context}
}
