package keyserver

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// HeldCard is the card of a name as it is held here, signed and unjudged; nobody else is asked. Of
// another domain's user that is a copy that the domain gave ("Given copies" in the specification: it has given all), or one
// that is here by her own will: her card names this domain as a spool. Which others somebody has had fetched would
// tell who was asked for here. Errors: ErrNotFound, for everything that is not there.
func (s *Server) HeldCard(ctx context.Context, name pki.Name) ([]byte, error) {
	u, err := s.config.Store.User(ctx, name.String())
	return s.heldCard(ctx, Subject{Name: name}, u, err)
}

// HeldCardOf is HeldCard by an identity key.
func (s *Server) HeldCardOf(ctx context.Context, key pki.Fingerprint) ([]byte, error) {
	u, err := s.config.Store.UserByFingerprint(ctx, key)
	return s.heldCard(ctx, Subject{Key: key}, u, err)
}

func (s *Server) heldCard(ctx context.Context, of Subject, u store.User, err error) ([]byte, error) {
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if u.Origin == store.Cache && !namesSpool(u.Card, s.ca().Domain()) {
		u = store.User{}
	}
	a, err := s.newer(ctx, of, u)
	if err != nil {
		return nil, ErrNotFound
	}
	return a.body, nil
}

// namesSpool tells whether a card says that its owner can be reached at a domain.
func namesSpool(card []byte, at pki.Domain) bool {
	c, err := pki.ParseCard(card)
	return err == nil && slices.Contains(c.Spools(), at)
}

// HeldProof is the proof that a card of [Server.HeldCard] or [Server.HeldCardOf], for the same name
// or key (the other is zero), is in our key log, with as many of its cosignatures as leave it no
// longer than most bytes. Nil: there is none now, or it is longer without any. Whatever it is, it
// costs two look-ups in the store.
func (s *Server) HeldProof(ctx context.Context, name pki.Name, key pki.Fingerprint, card []byte, most int) []byte {
	a, err := s.proven(ctx, Subject{Name: name, Key: key}.query())
	if err != nil {
		return nil
	}
	record, proof, err := splitProven(a.body, pki.MaxCardSize)
	if err != nil || !bytes.Equal(record, card) { // replaced in between
		return nil
	}
	return keylog.Shorten(proof, most)
}
