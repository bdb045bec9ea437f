package node

import (
	"context"
	"math"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// logPagesAnHour is how many parts of a key log one user is given in an hour: of more than four million
// entries, and often enough for who logs in every few seconds. Each is read from the disk, and up to
// session.MaxEntries long.
const logPagesAnHour = 1024

// leafPage is how many leaves the store reads at a time, and a tile holds.
const leafPage = keylog.TileWidth

// entries is a part of the log of a user's home: our own, or our copy of a peer's. The user reads all, so
// nobody is told which she looks for.
func (n *Node) entries(ctx context.Context, user pki.UserCert, first int64) (p session.LogPart, err error) {
	home := user.Name().Domain()
	if err := n.readingLog(user, time.Now()); err != nil {
		return session.LogPart{}, err
	}
	var size int64
	leaves := func(from int64) ([][]byte, error) { return n.store.Leaves(ctx, from, leafPage) }
	if home == n.cfg.Domain {
		if n.ledger != nil {
			newest, cosigned, _ := n.ledger.Published()
			if p.Checkpoint = cosigned; cosigned == nil {
				p.Checkpoint = newest
			}
			size = n.ownHead(p.Checkpoint).Size
			proof := n.ledger.LabelProof(user.Name().String())
			p.Label = proof[:]
		}
	} else {
		var head store.Head
		head, _, err = n.store.Mirror(ctx, keylog.Origin(home))
		p.Checkpoint, size = head.Checkpoint, head.Size
		leaves = func(from int64) ([][]byte, error) { return n.mirroredLeaves(ctx, home, from) }
	}
	if notFoundIsNil(err) != nil {
		return session.LogPart{}, err
	}
	if size == 0 {
		return session.LogPart{}, session.Errorf(session.NotFound, "%s has no key log of %s", n.cfg.Domain, home)
	}
	for at := first; at < size && len(p.Entries) < session.MaxEntries*session.EntrySize; {
		some, err := leaves(at)
		if err != nil {
			return session.LogPart{}, err
		}
		some = some[:min(int64(len(some)), size-at, session.MaxEntries-(at-first))]
		if len(some) == 0 {
			break
		}
		for _, leaf := range some {
			p.Entries = append(p.Entries, leaf...)
		}
		at += int64(len(some))
	}
	return p, nil
}

// logReaders count the parts of key logs that users read: ours, and others.
type logReaders struct{ own, guests *meter }

func newLogReaders() logReaders {
	return logReaders{newMeter(maxMetered, maxMetered), newMeter(maxMeteredVisitors, maxMeteredVisitorsOf)}
}

// readingLog counts one part that a user is given, or refuses it.
func (n *Node) readingLog(user pki.UserCert, now time.Time) error {
	home, readers := user.Name().Domain(), n.readers.own
	if home != n.cfg.Domain {
		readers = n.readers.guests
	}
	if left, ok := readers.take(user.Key().Fingerprint(), home, now, logPagesAnHour); !ok {
		return session.Errorf(session.Full, "you have read %d parts of the key log within this hour at %s; wait %d min", logPagesAnHour, n.cfg.Domain, int(math.Ceil(left.Minutes())))
	}
	return nil
}

// mirroredLeaves are those of our copy of a log from one on, as far as the tile goes that it is in.
func (n *Node) mirroredLeaves(ctx context.Context, home pki.Domain, from int64) ([][]byte, error) {
	tile, err := n.store.MirrorTile(ctx, keylog.Origin(home), -1, from/leafPage)
	if err != nil {
		return nil, notFoundIsNil(err)
	}
	all, err := keylog.SplitEntries(tile.Data)
	if err != nil {
		return nil, err
	}
	return all[min(int64(len(all)), from%leafPage):], nil
}
