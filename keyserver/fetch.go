package keyserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// fetch gets a foreign user's card from her home and keeps the copy. The card
// is served although it could not be kept (a full disk).
func (s *Server) fetch(ctx context.Context, name pki.Name) ([]byte, error) {
	raw, err, _ := s.fetching.Do(name.String(), func() (any, error) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			return nil, errBusy
		}
		// Others may wait for this look-up too: it outlives who came first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FetchTimeout)
		defer cancel()
		return s.fetchOne(ctx, name)
	})
	if err != nil {
		return nil, err
	}
	return raw.([]byte), nil
}

func (s *Server) fetchOne(ctx context.Context, name pki.Name) ([]byte, error) {
	card, err := s.config.Fetch(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMiss, err)
	}
	if card.Certificate.Name() != name || len(card.Raw()) == 0 {
		return nil, errMiss
	}
	err = s.config.Store.PutCachedUser(ctx, store.User{
		Name: name.String(), Fingerprint: card.Certificate.Key().Fingerprint(),
		Certificate: card.Certificate.DER(), Card: card.Raw(), Serial: card.Serial,
		NotAfter: card.Certificate.NotAfter(), StoredAt: s.config.Now(),
	})
	if errors.Is(err, store.ErrOldSerial) {
		return nil, errMiss // the home went back: the copy on hand is newer
	}
	return card.Raw(), nil
}
