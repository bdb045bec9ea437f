package store

import (
	"context"

	"github.com/p3do/p3do/internal/store/db"
)

// DropKey takes a user's key from the key server, and from the key ring, under one name or,
// if name is empty, under every name: our own users' and copies of foreign ones'. It returns
// how many records went. What the ring does not have, no repair brings back. Of each own user
// whose card goes, ended says what the log is told in the same transaction; nil: nothing.
func (s *Store) DropKey(ctx context.Context, name string, fingerprint [32]byte, ended func(User) *Entry) (dropped int, err error) {
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		dropped, err = dropKey(ctx, q, name, fingerprint, ended)
		return err
	})
	return dropped, err
}

func dropKey(ctx context.Context, q *db.Queries, name string, fp [32]byte, ended func(User) *Entry) (dropped int, err error) {
	rows, err := q.UsersOfKey(ctx, fp[:])
	if err != nil {
		return 0, err
	}
	for _, u := range rows {
		if name != "" && u.Name != name {
			continue
		}
		if _, err := q.DropUser(ctx, db.DropUserParams{Name: u.Name, Fingerprint: fp[:]}); err != nil {
			return 0, err
		}
		if Origin(u.Origin) == Cache {
			err = count(ctx, q, countCached, -1, MaxCachedUsers)
		} else {
			err = dropOwn(ctx, q, userOf(u), ended)
		}
		if err != nil {
			return 0, err
		}
		dropped++
	}
	return dropped, nil
}

// dropOwn takes an own user's key from the ring. Her leaves stay in the log, and nothing here says
// any more that they were hers.
func dropOwn(ctx context.Context, q *db.Queries, u User, ended func(User) *Entry) error {
	if _, err := q.DropRingKey(ctx, db.DropRingKeyParams{Kind: string(KeyUser), Subject: u.Name, Fingerprint: u.Fingerprint[:]}); err != nil {
		return err
	}
	if err := q.DropLogged(ctx, db.DropLoggedParams{Kind: LoggedCard, Subject: u.Name}); err != nil {
		return err
	}
	return addEnded(ctx, q, u, ended)
}

func addEnded(ctx context.Context, q *db.Queries, u User, ended func(User) *Entry) error {
	if ended == nil || len(u.Card) == 0 {
		return nil
	}
	e := ended(u)
	if e == nil {
		return nil
	}
	if err := e.check(); err != nil {
		return err
	}
	_, err := appendLog(ctx, q, *e)
	return err
}

// CloseMailboxes takes from an owner all addresses, and deletes what waits: of nobody who could
// fetch it. It returns how many items went.
func (s *Store) CloseMailboxes(ctx context.Context, owner [32]byte) (dropped int, err error) {
	err = s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.DropItemsOf(ctx, owner[:])
		if err != nil {
			return err
		}
		dropped = int(n)
		if err := q.DropMailboxesOf(ctx, owner[:]); err != nil {
			return err
		}
		if err := q.DropOwner(ctx, owner[:]); err != nil {
			return err
		}
		if err := dropReadersOf(ctx, q, owner); err != nil {
			return err
		}
		return q.DropVisitors(ctx)
	})
	return dropped, err
}

// DropPeer ends a federation: the peer's row goes, and with it, from the key server and from
// the key ring, every cross-certificate that was made for it. No such peer is [ErrNotFound].
func (s *Store) DropPeer(ctx context.Context, domain string) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		n, err := q.DropPeer(ctx, domain)
		switch {
		case err != nil:
			return err
		case n == 0:
			return ErrNotFound
		}
		if err := count(ctx, q, countPeers, -1, MaxPeers); err != nil {
			return err
		}
		if err := dropCopiesOf(ctx, q, domain); err != nil {
			return err
		}
		if _, err := q.DropCertificates(ctx, db.DropCertificatesParams{Kind: string(KeyCross), Subject: domain}); err != nil {
			return err
		}
		if _, err = q.DropRing(ctx, db.DropRingParams{Kind: string(KeyCross), Subject: domain}); err != nil {
			return err
		}
		_, err = q.NextNumber(ctx, countDrops)
		return err
	})
}

// Drops returns how many peers were dropped, and up to which drop the keys that they knew have been replaced.
func (s *Store) Drops(ctx context.Context) (all, answered int64, err error) {
	if answered, err = s.read.Number(ctx, countAnswered); err != nil {
		return 0, 0, err
	}
	all, err = s.read.Number(ctx, countDrops) // after the other: one more than there were then is no harm
	return all, answered, err
}

// AnswerDrops says that the keys have been replaced that those knew who were dropped so far, as [Store.Drops] had it then.
func (s *Store) AnswerDrops(ctx context.Context, all int64) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		answered, err := q.Number(ctx, countAnswered)
		for ; err == nil && answered < all; answered++ {
			_, err = q.NextNumber(ctx, countAnswered)
		}
		return err
	})
}
