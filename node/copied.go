package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// openCopy opens a copy for who knows of whom it is, and verifies the card, its label, its place in our copy of
// her home's log, and that this log has nothing later of her.
func (n *Node) openCopy(ctx context.Context, c store.Copy, of keyserver.Subject) (found keyserver.Copied, err error) {
	domain, err := pki.ParseDomain(c.Domain)
	if err != nil {
		return found, err
	}
	opened, err := keyserver.SealedCopy(c.Sealed).Open(of)
	if err != nil {
		return found, err
	}
	d, err := n.directory.descriptor(ctx, domain)
	if err != nil {
		return found, err
	}
	found.Card, err = n.vouched(n.issuers(ctx, d.CA), opened.Card)
	if err != nil {
		return found, err
	}
	name, key := found.Card.Certificate.Name(), found.Card.Certificate.Key().Fingerprint()
	if name.Domain() != domain || !of.Name.IsZero() && name != of.Name || of.Name.IsZero() && key != of.Key {
		return found, keyserver.ErrCopy
	}
	found.Proof, err = n.proveCopy(ctx, d, c.Number, name, opened)
	return found, err
}

// proveCopy proves a card by our copy of its home's log and the newest checkpoint of that.
func (n *Node) proveCopy(ctx context.Context, d pki.SignedDescriptor, number int64, name pki.Name, opened keyserver.OpenedCopy) ([]byte, error) {
	log, ok := keylog.Of(d.Descriptor)
	if !ok {
		return nil, store.ErrNotFound
	}
	head, _, err := n.store.Mirror(ctx, keylog.Origin(d.Domain))
	if err != nil {
		return nil, err
	}
	if _, err := witness.HeadBy(d, head.Checkpoint); err != nil { // by a key that is no more
		return nil, err
	}
	label, err := keylog.VerifyLabel(log.Labels, name.String(), opened.Label)
	if err != nil {
		return nil, err
	}
	leaf := keylog.Leaf{Kind: keylog.Card, Time: time.Unix(int64(opened.Time), 0).UTC(), Label: label, Record: sha256.Sum256(opened.Card)}
	kept := witness.NewCopy(n.store, head.Origin, nil)
	if number >= head.Size {
		return nil, store.ErrNotFound
	}
	way, err := tlog.ProveRecord(head.Size, number, kept.Tree(ctx, head))
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(way, head.Size, head.Root, number, leaf.Hash()); err != nil {
		return nil, fmt.Errorf("node: a copy of a user that is not in the log: %w", err)
	}
	if err := n.newest.check(ctx, kept, head, number, label); err != nil {
		return nil, err
	}
	signed, err := keylog.Cosigned(head.Checkpoint) // a copy may have more cosignatures than a proof
	return keylog.Prove(leaf, opened.Label, number, way, signed), err
}

// maxNewest is of how many leaves it is remembered how far a log has nothing later of the same label. If
// there are more all are forgotten, and read again.
const maxNewest = 65_536

// newest remembers how far the copies of logs have been read for what is later of a label, so that a log is read
// once for one name, and not for each question.
type newest struct {
	reading chan struct{} // has room for one: logs are read one at a time

	mu   sync.Mutex // guards read; held for a map's access only
	read map[leafOf]int64
}

type leafOf struct {
	origin string
	label  keylog.Label
	number int64
}

func newNewest() *newest {
	return &newest{reading: make(chan struct{}, 1), read: make(map[leafOf]int64)}
}

// check is errOldCopy if a log has a later card, or the end of one, of the label of a leaf.
func (k *newest) check(ctx context.Context, log *witness.Copy, head store.Head, number int64, label keylog.Label) error {
	of := leafOf{head.Origin, label, number}
	from := max(number+1, k.upTo(of))
	if from >= head.Size {
		return nil
	}
	select {
	case k.reading <- struct{}{}:
		defer func() { <-k.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := log.Leaves(ctx, head, from, func(_ int64, leaves [][]byte) error {
		for _, raw := range leaves {
			if leaf, err := keylog.ParseLeaf(raw); err == nil && leaf.Label == label && (leaf.Kind == keylog.Card || leaf.Kind == keylog.Ended) {
				return errOldCopy
			}
		}
		return nil
	})
	if err == nil {
		k.keep(of, head.Size)
	}
	return err
}

func (k *newest) upTo(of leafOf) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read[of]
}

func (k *newest) keep(of leafOf, size int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.read) >= maxNewest {
		clear(k.read)
	}
	k.read[of] = size
}
