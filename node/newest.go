package node

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
)

// newestTime is how long a question may read what was copied of a log just now: mostly nothing is left to read.
const newestTime = time.Second

// errUnread says that a copy of a log was not read to its end yet, so that what is newest under a label is not known.
var errUnread = errors.New("node: the copy of the log is not read to its end yet")

// readNewest reads what is new in our copy of a log, and writes down what is newest under each label.
func (n *Node) readNewest(ctx context.Context, origin string) error {
	head, _, err := n.store.Mirror(ctx, origin)
	if err != nil {
		return notFoundIsNil(err)
	}
	read, err := n.store.NewestRead(ctx, origin)
	if err != nil || read >= head.Size {
		return notFoundIsNil(err)
	}
	err = witness.NewCopy(n.store, origin, nil).Leaves(ctx, head, read, func(first int64, leaves [][]byte) error {
		next := first + int64(len(leaves))
		return n.store.PutNewest(ctx, origin, first, next, newestIn(first, leaves))
	})
	if errors.Is(err, store.ErrOldSerial) {
		return nil // somebody else reads, or it was forgotten
	}
	return err
}

// newestIn is what is newest under each label in some leaves, of which the first has that number.
func newestIn(first int64, leaves [][]byte) (all []store.Newest) {
	at := make(map[keylog.Label]int)
	for i, raw := range leaves {
		leaf, err := keylog.ParseLeaf(raw)
		if err != nil || leaf.Kind != keylog.Card && leaf.Kind != keylog.Ended {
			continue // of a kind that we do not know, or that takes no card's place
		}
		one := store.Newest{Label: leaf.Label, Number: first + int64(i)}
		if j, had := at[leaf.Label]; had {
			all[j] = one
			continue
		}
		at[leaf.Label] = len(all)
		all = append(all, one)
	}
	return all
}

// checkNewest is keyserver.ErrOldCopy if our copy of a log has a later card, or the end of one, of the label of a leaf. If
// it is not read to its end, and cannot be soon, it is errUnread.
func (n *Node) checkNewest(ctx context.Context, head store.Head, number int64, label keylog.Label) error {
	read, err := n.store.NewestRead(ctx, head.Origin)
	if err == nil && read < head.Size {
		soon, cancel := context.WithTimeout(ctx, newestTime)
		err = n.readNewest(soon, head.Origin)
		cancel()
		if err != nil && ctx.Err() == nil {
			return errUnread
		}
		if err == nil {
			read, err = n.store.NewestRead(ctx, head.Origin)
		}
	}
	if err != nil {
		return err
	}
	newest, err := n.store.NewestOf(ctx, head.Origin, label)
	switch {
	case err != nil:
		return err
	case newest > number:
		return keyserver.ErrOldCopy
	case read < head.Size:
		return errUnread
	}
	return nil
}

// errFound ends a search.
var errFound = errors.New("node: found")

// checkNumber is checkNewest of a leaf of which only the number is known.
func (n *Node) checkNumber(ctx context.Context, log *witness.Copy, head store.Head, number int64) error {
	var label keylog.Label
	err := log.Leaves(ctx, head, number, func(_ int64, leaves [][]byte) error {
		leaf, err := keylog.ParseLeaf(leaves[0])
		label = leaf.Label
		return cmp.Or(err, errFound)
	})
	if !errors.Is(err, errFound) {
		return err
	}
	return n.checkNewest(ctx, head, number, label)
}
