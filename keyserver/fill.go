package keyserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// fillBatch is how many records of an older file get their leaves in one transaction.
const fillBatch = 256

// Fill gives leaves to what was published before there was a log, or was restored without its
// leaf, or has its label by a key that was lost: the cards of the domain's users, the revocations
// of their keys and names, and the key of the domain. It is called before the domain publishes anything else.
func (l *Log) Fill(ctx context.Context) error {
	own, relabel, err := l.authority(ctx)
	if err == nil {
		err = l.fillCards(ctx, relabel)
	}
	if err == nil {
		err = l.fillRevocations(ctx, relabel)
	}
	if err == nil { // last: by its label the next start sees that this is done
		_, err = l.config.Store.AppendLog(ctx, own...)
	}
	if err != nil {
		return fmt.Errorf("keyserver: filling the log: %w", err)
	}
	l.kick()
	return nil
}

// authority is the entry of the domain's key, if a descriptor was published; and whether the one in
// the log has another label, so that all have.
func (l *Log) authority(ctx context.Context) (own []store.Entry, relabel bool, err error) {
	domain := l.config.Domain.String()
	v, err := l.config.Store.Server(ctx, domain)
	if errors.Is(err, store.ErrNotFound) || err == nil && v.Origin != store.Home {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	e := l.entry(keylog.Authority, domain, v.CA)
	has, err := l.config.Store.Logged(ctx, e.Kind, domain)
	if errors.Is(err, store.ErrNotFound) {
		return []store.Entry{*e}, false, nil
	}
	if relabel = !bytes.Equal(has.Proof, e.Proof); err == nil && (relabel || has.Record != e.Record) {
		own = []store.Entry{*e}
	}
	return own, relabel, err
}

func (l *Log) fillCards(ctx context.Context, relabel bool) error {
	for after := ""; ; {
		users, err := l.config.Store.OwnUsers(ctx, after)
		if err != nil || len(users) == 0 {
			return err
		}
		after = users[len(users)-1].Name
		for some := range slices.Chunk(users, fillBatch) {
			var batch []store.Entry
			for _, u := range some {
				if batch, err = l.missing(ctx, batch, u.Name, relabel); err != nil {
					return err
				}
			}
			if len(batch) == 0 {
				continue
			}
			if _, err := l.config.Store.AppendLog(ctx, batch...); err != nil {
				return err
			}
		}
	}
}

// missing adds the entry of a user whose card is not the newest that was logged.
func (l *Log) missing(ctx context.Context, batch []store.Entry, name string, relabel bool) ([]store.Entry, error) {
	u, err := l.config.Store.User(ctx, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && (len(u.Card) == 0 || u.Origin != store.Home) {
		return batch, nil
	}
	if err != nil {
		return batch, err
	}
	has, err := l.config.Store.Logged(ctx, uint8(keylog.Card), name)
	sum := sha256.Sum256(u.Card)
	if errors.Is(err, store.ErrNotFound) || err == nil && (relabel || has.Record != sum) {
		return append(batch, *l.entry(keylog.Card, name, sum)), nil
	}
	return batch, err
}

// fillRevocations logs those of the domain's own users that were taken before.
func (l *Log) fillRevocations(ctx context.Context, relabel bool) error {
	rows, err := l.config.Store.StatementsOf(ctx, uint8(pki.StatementRevocation), l.config.Domain.String())
	if err != nil {
		return err
	}
	for some := range slices.Chunk(rows, fillBatch) {
		var batch []store.Entry
		for _, row := range some {
			r, err := pki.ParseRevocation(row.Raw)
			if err != nil {
				return err
			}
			_, missing := l.config.Store.Logged(ctx, uint8(keylog.Revocation), saidKey(sha256.Sum256(row.Raw)))
			if missing != nil && !errors.Is(missing, store.ErrNotFound) {
				return missing
			}
			if relabel || missing != nil {
				batch = append(batch, *l.Said(keylog.Revocation, r.Name(), row.Raw))
			}
		}
		if _, err := l.config.Store.AppendLog(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}
