package node

import (
	"context"
	"crypto/sha256"
	"fmt"
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
	leaf := keylog.Leaf{Kind: keylog.Card, Time: time.Unix(int64(opened.Time), 0).UTC(), Label: label, Record: sha256.Sum256(opened.Card), Labels: log.Labels}
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
	if err := n.checkNewest(ctx, head, number, label); err != nil {
		return nil, err
	}
	signed, err := keylog.Cosigned(head.Checkpoint) // a copy may have more cosignatures than a proof
	return keylog.Prove(leaf, opened.Label, number, way, signed), err
}
