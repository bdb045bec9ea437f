package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// A log whose database was lost, or put back from an older copy, is taken up again from the copies
// that peers keep: our own signature on their checkpoint says that the leaves are ours.

// ownCopy is what a peer has of our log.
type ownCopy struct {
	peer     pki.Domain
	at       keyserver.Endpoint
	head     store.Head // of its copy; the zero Head: nothing that the database has not
	cosigned int64      // leaves of the head that it has cosigned last, as it says
	said     bool       // both: that it has a copy, or none, and how far it has cosigned
}

// errNobodySaid says that no peer could be asked for its copy of our log.
var errNobodySaid = errors.New("no peer answers, and one of them may have more of our log than the database")

// regainLog returns when the database has all of our log that anybody is known to have seen, and
// nil then; or when ctx has ended. A peer has to say what it has in any case, if we have peers, for the
// whole folder may have been put back, log.head with it; and no peer may have cosigned more than is here, for
// its copy may be behind that.
func (n *Node) regainLog(ctx context.Context) error {
	n.loadAwaits()
	pause := regainPause
	for first := true; ctx.Err() == nil; first = false {
		if err := n.settleDoubt(ctx); err != nil {
			return err
		}
		regained, err := n.regainOnce(ctx)
		if regained > 0 {
			n.note(ctx, n.cfg.Domain, EventLog, fmt.Sprintf("our own log was taken from a peer's copy, leaves that the database had not: %d", regained))
		}
		waits := errors.Is(err, errNobodySaid) || errors.As(err, new(*awaitedError))
		if err != nil && !waits {
			n.log.Warn("taking our own key log from a peer", "err", err)
		}
		shown := n.checkShown(ctx)
		switch {
		case shown == nil && !waits:
			return n.refill(ctx, first && regained == 0)
		case shown != nil && !errors.Is(shown, errLogBehind):
			return shown
		}
		if first {
			n.log.Warn("nothing is signed in the key log until a peer has shown its copy", "err", errors.Join(err, shown))
		}
		n.waitForPeer(ctx, pause)
		wait(ctx, regainFloor) // however often peers come
		pause = min(2*pause, sealAgain, n.mirrors.every)
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

// regainPause is after what time peers are asked again first, for who is linked now may copy our log just then. Later
// it is twice as long each time, up to sealAgain.
const regainPause = time.Second

// regainFloor is the least time between two rounds.
const regainFloor = 200 * time.Millisecond

// maxCopiesAsked is how many peers are asked at a time.
const maxCopiesAsked = 32

// waitForPeer waits until a peer is linked, or for a while.
func (n *Node) waitForPeer(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-n.logPeer:
	}
}

// regainOnce asks peers for their copies of our log, and takes from the longest what is missing.
// Errors: errNobodySaid, *awaitedError.
func (n *Node) regainOnce(ctx context.Context) (regained int64, err error) {
	copies := n.ownCopies(ctx)
	if len(copies) > 0 && !slices.ContainsFunc(copies, func(c ownCopy) bool { return c.said }) {
		return 0, errNobodySaid // what is awaited stays so
	}
	regained, err = n.regainLongest(ctx, copies)
	return regained, errors.Join(err, n.checkCosigned(ctx, copies))
}

func (n *Node) regainLongest(ctx context.Context, copies []ownCopy) (regained int64, err error) {
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

// ownCopies asks all peers how far their copies go: each may be the only one that has cosigned the newest.
func (n *Node) ownCopies(ctx context.Context) []ownCopy {
	peers := slices.Collect(maps.Keys(n.peers.known()))
	copies := make([]ownCopy, len(peers))
	var asked errgroup.Group
	asked.SetLimit(maxCopiesAsked)
	for i, peer := range peers {
		asked.Go(func() error {
			copies[i] = n.ownCopyAt(ctx, peer)
			return nil
		})
	}
	asked.Wait()
	return copies
}

func (n *Node) ownCopyAt(ctx context.Context, peer pki.Domain) (c ownCopy) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	by, err := n.directory.descriptor(ctx, peer)
	if err != nil {
		c.said = errors.Is(err, store.ErrNotFound) // a peer that was never met
		return c
	}
	var unsaid error
	c.peer = peer
	c.cosigned, unsaid = n.askCosigned(ctx, by)
	for _, address := range by.KeyServers {
		c.at = keyserver.Endpoint{Address: address, CA: by.CA.Fingerprint()}
		ctx, reader, done := n.client.ReadLog(ctx, c.at, witness.Mirror(n.cfg.Domain))
		checkpoint, err := reader.ReadEndpoint(ctx, "checkpoint")
		done()
		if err == nil {
			c.head, err = n.copyHead(ctx, checkpoint)
		} else if errors.Is(err, keyserver.ErrNotFound) {
			err = nil
		} else {
			continue
		}
		if err = errors.Join(err, unsaid); err != nil {
			n.log.Warn("what a peer has of our log", "peer", peer, "err", err)
		}
		c.said = err == nil
		return c
	}
	return c
}

// copyHead is the head of a copy of our log. One that our key has not signed, because it was another then, counts
// if the database has that tree; if not, nobody knows what it is, and that is not nothing.
func (n *Node) copyHead(ctx context.Context, checkpoint []byte) (store.Head, error) {
	if head := n.ownHead(checkpoint); head.Origin != "" {
		return head, nil
	}
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	c, err := torchwood.ParseCheckpoint(text + "\n")
	if err == nil && c.Origin != keylog.Origin(n.cfg.Domain) {
		err = witness.ErrUnknownLog
	}
	head := store.Head{Size: c.N, Root: c.Hash}
	if err == nil {
		err = n.checkOwn(ctx, head)
	}
	if err != nil {
		return store.Head{}, fmt.Errorf("node: a copy of our log under a head that our key has not signed: %w", err)
	}
	return head, nil
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
