package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// A log whose database was lost, or put back from an older copy, is taken up again from the copies
// that peers keep: our own signature on their checkpoint says that the leaves are ours.

// ownCopy is what a peer has of our log.
type ownCopy struct {
	peer pki.Domain
	at   keyserver.Endpoint
	head store.Head // the zero Head: nothing that we have signed
	said bool       // that it has a copy, or that it has none
}

// errNobodySaid says that no peer could be asked for its copy of our log.
var errNobodySaid = errors.New("no peer answers, and one of them may have more of our log than the database")

// regainLog returns when the database has all of our log that anybody is known to have seen, and
// nil then; or when ctx has ended. A peer has to say what it has in any case, if we have peers, for the
// whole folder may have been put back, log.head with it.
func (n *Node) regainLog(ctx context.Context) error {
	for first := true; ctx.Err() == nil; first = false {
		regained, err := n.regainOnce(ctx)
		if regained > 0 {
			n.note(ctx, n.cfg.Domain, EventLog, fmt.Sprintf("our own log was taken from a peer's copy, leaves that the database had not: %d", regained))
		}
		alone := errors.Is(err, errNobodySaid)
		if err != nil && !alone {
			n.log.Warn("taking our own key log from a peer", "err", err)
		}
		err = n.checkShown(ctx)
		switch {
		case err == nil && !alone:
			return n.refill(ctx, first && regained == 0)
		case err == nil:
			err = errNobodySaid
		case !errors.Is(err, errLogBehind):
			return err
		}
		if first {
			n.log.Warn("nothing is signed in the key log until a peer has shown its copy", "err", err)
		}
		n.waitForPeer(ctx)
	}
	return nil
}

// refill gives leaves to what the log that was regained has not.
func (n *Node) refill(ctx context.Context, whole bool) error {
	if whole {
		return nil
	}
	return n.ledger.Fill(ctx)
}

// waitForPeer waits until a peer is linked, or for a while.
func (n *Node) waitForPeer(ctx context.Context) {
	timer := time.NewTimer(min(sealAgain, n.mirrors.every))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-n.logPeer:
	}
}

// regainOnce asks peers for their copies of our log, and takes from the longest what is missing.
// Errors: errNobodySaid.
func (n *Node) regainOnce(ctx context.Context) (regained int64, err error) {
	copies := n.ownCopies(ctx)
	if len(copies) > 0 && !slices.ContainsFunc(copies, func(c ownCopy) bool { return c.said }) {
		return 0, errNobodySaid
	}
	slices.SortFunc(copies, func(a, b ownCopy) int { return cmp.Compare(b.head.Size, a.head.Size) })
	for _, c := range copies {
		if c.head.Size == 0 {
			continue
		}
		held := n.checkOwn(ctx, c.head)
		if held == nil {
			return 0, err
		}
		n.seeOwnHead(ctx, c.head)
		if !errors.Is(held, errLogBehind) {
			return 0, held
		}
		took, failed := n.regainFrom(ctx, c)
		if failed == nil {
			return took, nil
		}
		err = errors.Join(err, fmt.Errorf("node: the copy at %s: %w", c.peer, failed))
	}
	return 0, err
}

// ownCopies asks some peers at once how far their copies go.
func (n *Node) ownCopies(ctx context.Context) []ownCopy {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	peers := n.mirrors.others(n.cfg.Domain)
	copies := make([]ownCopy, len(peers))
	var asked sync.WaitGroup
	for i, peer := range peers {
		asked.Go(func() { copies[i] = n.ownCopyAt(ctx, peer) })
	}
	asked.Wait()
	return copies
}

func (n *Node) ownCopyAt(ctx context.Context, peer pki.Domain) ownCopy {
	by, err := n.directory.descriptor(ctx, peer)
	if err != nil {
		return ownCopy{said: errors.Is(err, store.ErrNotFound)} // a peer that was never met
	}
	for _, address := range by.KeyServers {
		at := keyserver.Endpoint{Address: address, CA: by.CA.Fingerprint()}
		ctx, reader, done := n.client.ReadLog(ctx, at, witness.Mirror(n.cfg.Domain))
		checkpoint, err := reader.ReadEndpoint(ctx, "checkpoint")
		done()
		if err == nil {
			return ownCopy{peer, at, n.ownHead(checkpoint), true}
		}
		if errors.Is(err, keyserver.ErrNotFound) {
			return ownCopy{said: true}
		}
	}
	return ownCopy{}
}

// regainFrom copies the tiles, which are verified by the head, and puts their leaves in the place of
// those of ours that no checkpoint has, and these behind them. What our checkpoints have must be the
// beginning of it. Whenever it is interrupted, it may begin anew.
func (n *Node) regainFrom(ctx context.Context, c ownCopy) (regained int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	bounded, reader, done := n.client.ReadLog(ctx, c.at, witness.Mirror(n.cfg.Domain))
	_, err = witness.NewCopy(n.store, c.head.Origin, reader).Follow(bounded, c.head)
	done()
	if err != nil {
		return 0, err
	}
	kept := witness.NewCopy(n.store, c.head.Origin, nil)
	signed, err := n.store.SignedSize(ctx)
	if err == nil {
		err = n.continued(ctx, signed, kept.Tree(ctx, c.head))
	}
	if err != nil {
		return 0, err
	}
	err = kept.Leaves(ctx, c.head, signed, func(first int64, leaves [][]byte) error {
		return n.store.RegainLog(ctx, first, leaves, first+int64(len(leaves)) == c.head.Size)
	})
	if err == nil {
		err = n.checkOwn(ctx, c.head)
	}
	return c.head.Size - signed, err
}

// continued compares the leaves that we have signed with the beginning of a tree.
func (n *Node) continued(ctx context.Context, signed int64, tree tlog.HashReader) error {
	if signed == 0 {
		return nil
	}
	ours, err := tlog.TreeHash(signed, n.store.LogHashes(ctx))
	if err != nil {
		return err
	}
	theirs, err := tlog.TreeHash(signed, tree)
	if err == nil && ours != theirs {
		err = fmt.Errorf("%w: two histories of our log are signed, after less than %d leaves", witness.ErrOtherTree, signed)
	}
	return err
}
