package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Heads of key logs travel like views: whoever sees one signed hands it on, so that a domain
// which shows two people two histories is found out as soon as these have one way to each other.

// witnessDoor is what our key server shows as a witness of the logs of our peers.
func (n *Node) witnessDoor() (witness.Door, error) {
	signer, err := witness.Signer(n.cfg.Domain, n.logging.witness)
	if err != nil {
		return witness.Door{}, fmt.Errorf("node: %w", err)
	}
	w := witness.New(witness.Config{Store: n.store, Signer: signer, Log: n.logOfPeer, Seen: n.sawHead})
	return witness.Door{Witness: w, Store: n.store}, nil
}

// logOfPeer finds who names the key of a log that we cosign: a peer, whose key is not frozen.
func (n *Node) logOfPeer(ctx context.Context, origin string) (d pki.SignedDescriptor, ok bool) {
	domain, err := witness.DomainOf(origin)
	if err != nil {
		return d, false
	}
	if _, peer := n.peers.crossOf(domain); !peer || n.frozen(domain) {
		return d, false
	}
	d, err = n.directory.descriptor(ctx, domain)
	return d, err == nil && d.HasLog()
}

// sawHead hands on what a log asked us to cosign.
func (n *Node) sawHead(ctx context.Context, checkpoint []byte) {
	fresh, err := n.acceptHead(context.WithoutCancel(ctx), checkpoint)
	if fresh {
		n.tell()
	}
	var soon *tooSoonError
	if errors.As(err, &soon) {
		n.mirrors.tell(checkpoint)
	} else if err != nil && ctx.Err() == nil {
		n.log.Warn("a head of a key log", "err", err)
	}
}

// originOf is the first line of a checkpoint.
func originOf(checkpoint []byte) string {
	origin, _, _ := strings.Cut(string(checkpoint), "\n")
	return origin
}

// Under these numbers two heads of a domain's log are kept to be handed on: the greatest that it signed, and, if
// that is beyond our copy, the head of our copy. So one that claims more leaves than there are silences nothing.
var headIDs = [2][32]byte{{}, {1}}

// toldHeads are those of a domain, in that order; zero: there is none.
func (n *Node) toldHeads(ctx context.Context, domain pki.Domain) (told [2]store.Statement, err error) {
	for i, id := range headIDs {
		told[i], err = n.store.Statement(ctx, uint8(pki.StatementHead), domain.String(), id)
		if notFoundIsNil(err) != nil {
			return told, err
		}
	}
	return told, nil
}

// copied reports whether a head is that of our copy.
func (n *Node) copied(ctx context.Context, head store.Head) bool {
	is, _, err := n.store.Mirror(ctx, head.Origin)
	return err == nil && is.Size == head.Size && is.Root == head.Root
}

// acceptHead compares a head that a log has signed with all that we hold of that log, and keeps
// it if it is the greatest, or, among smaller ones than that, the greatest of our copy.
func (n *Node) acceptHead(ctx context.Context, body []byte) (fresh bool, err error) {
	domain, err := witness.DomainOf(originOf(body))
	if err != nil {
		return false, err
	}
	if domain == n.cfg.Domain {
		n.seeOwn(ctx, body)
		return false, nil
	}
	told, err := n.toldHeads(ctx, domain)
	if err != nil || string(told[0].Raw) == string(body) || string(told[1].Raw) == string(body) {
		return false, err
	}
	head, err := n.headOf(ctx, domain, body)
	if err != nil {
		return false, err
	}
	if string(head.Checkpoint) != string(body) {
		return false, fmt.Errorf("node: a head of %s with more than its signature", domain)
	}
	if err := n.compareHead(ctx, domain, head); err != nil {
		return false, err
	}
	place := 0
	if head.Size <= int64(told[0].Serial) && len(told[0].Raw) > 0 {
		if place = 1; head.Size <= int64(told[1].Serial) || head.Size == int64(told[0].Serial) || !n.copied(ctx, head) {
			return false, nil
		}
	}
	if left := n.headed.take(domain, time.Now(), n.cfg.viewPace()); left > 0 {
		return false, &tooSoonError{"a head of the log of " + domain.String(), left}
	}
	return n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementHead), Issuer: domain.String(), ID: headIDs[place], Serial: uint64(head.Size), Raw: body,
	}, n.room(domain, len(headIDs), maxHeadBytes))
}

// headOf verifies a head by the newest descriptor of its domain. By another key it may be judged
// when a newer one is here.
func (n *Node) headOf(ctx context.Context, domain pki.Domain, checkpoint []byte) (store.Head, error) {
	d, err := n.directory.descriptor(ctx, domain)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: %s", errUnknownDomain, domain)
	}
	if err != nil {
		return store.Head{}, err
	}
	head, err := witness.HeadBy(d, checkpoint)
	if errors.Is(err, witness.ErrSignature) || errors.Is(err, witness.ErrUnknownLog) {
		err = fmt.Errorf("%w: the log of %s: %w", errUnknownDomain, domain, err)
	}
	return head, err
}

// compareHead compares a head with those of as many leaves that we hold of its log, whoever named
// their keys. With the others it is compared by the tree, in its turn.
func (n *Node) compareHead(ctx context.Context, domain pki.Domain, head store.Head) error {
	if n.frozen(domain) || head.Size == 0 {
		return nil
	}
	held, err := n.heldHeads(ctx, domain)
	if err != nil {
		return err
	}
	var same []store.Head
	for _, h := range held {
		if h.Size == head.Size && h.Root != head.Root {
			same = append(same, h)
		}
	}
	if len(same) > 0 {
		return n.proveFork(ctx, domain, head, same, nil)
	}
	if copied, _, err := n.store.Mirror(ctx, head.Origin); err == nil && copied.Size == head.Size {
		return nil
	}
	return n.mirrors.want(domain, head)
}

// heldHeads are those of a domain's log that we have from different sides: what we copied, what we
// cosigned, and what was handed on, if the key in office signed it. Each has the descriptor that
// named its key.
func (n *Node) heldHeads(ctx context.Context, domain pki.Domain) (held []store.Head, err error) {
	d, err := n.directory.descriptor(ctx, domain)
	if err != nil {
		return nil, notFoundIsNil(err)
	}
	add := func(h store.Head, err error) {
		if err != nil {
			return
		}
		if len(h.Descriptor) == 0 {
			h.Descriptor = d.Raw()
		}
		held = append(held, h)
	}
	copied, _, err := n.store.Mirror(ctx, keylog.Origin(domain))
	add(copied, err)
	add(n.store.Witnessed(ctx, keylog.Origin(domain)))
	told, err := n.toldHeads(ctx, domain)
	for _, t := range told {
		if len(t.Raw) > 0 {
			add(witness.HeadBy(d, t.Raw))
		}
	}
	return held, err
}

// compareTree compares a head with the beginning of our copy, which has as many leaves or more.
func (n *Node) compareTree(ctx context.Context, domain pki.Domain, head, copied store.Head) error {
	if head.Size >= copied.Size {
		return n.compareHead(ctx, domain, head)
	}
	tree := witness.NewCopy(n.store, head.Origin, nil).Tree(ctx, copied)
	root, err := tlog.TreeHash(head.Size, tree)
	if err != nil || root == head.Root || n.frozen(domain) {
		return err
	}
	held, err := n.heldHeads(ctx, domain)
	if err != nil {
		return err
	}
	return n.proveFork(ctx, domain, head, slices.DeleteFunc(held, func(h store.Head) bool { return h.Size < head.Size }), nil)
}
