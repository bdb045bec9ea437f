package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
)

// headFile is beside the database: the newest head of our log that was shown to a witness. It is
// not in the database so that it tells when that is lost, or is an older copy.
const headFile = "log.head"

// errLogBehind says that the database does not have what our log has signed.
var errLogBehind = errors.New("the database lacks a part of the key log that was signed before")

// checkShown compares the head in the file with the database.
func (n *Node) checkShown(ctx context.Context) error {
	head, err := n.shownHead()
	if err != nil || head.Size == 0 {
		return err
	}
	return n.checkOwn(ctx, head)
}

// cosignQuorum is how many peers are to cosign our log: two, but fewer than there are, so that one
// that is gone stops nothing.
func (n *Node) cosignQuorum() int {
	witnesses := 0
	for domain := range n.peers.known() {
		if is, ok := n.directory.find(domain); ok && !is.witness.IsZero() {
			witnesses++
		}
	}
	return max(0, min(enoughPeers, witnesses-1))
}

// shownHead is the head in the file; the zero Head if there is none, or by a key that was lost.
func (n *Node) shownHead() (store.Head, error) {
	raw, err := os.ReadFile(filepath.Join(n.dir, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return store.Head{}, nil
	}
	if err != nil {
		return store.Head{}, fmt.Errorf("node: reading the head of our log: %w", err)
	}
	return n.ownHead(raw), nil
}

// ownHead verifies a head of our own log; the zero Head if we have not signed it.
func (n *Node) ownHead(signed []byte) store.Head {
	verifier, err := witness.LogVerifier(n.cfg.Domain, n.logging.log.Public())
	if err != nil {
		return store.Head{}
	}
	head, _, err := witness.OpenHead(signed, verifier)
	if err != nil {
		return store.Head{}
	}
	return head
}

// checkOwn compares a head that we have signed with what is in the database.
func (n *Node) checkOwn(ctx context.Context, head store.Head) error {
	size, err := n.store.LogSize(ctx)
	if err != nil {
		return err
	}
	if head.Size > size {
		return errLogBehind
	}
	root, err := tlog.TreeHash(head.Size, n.store.LogHashes(ctx))
	if err == nil && root != tlog.Hash(head.Root) {
		err = errLogBehind
	}
	return err
}

// keepShown writes down that a head is about to be shown. An older one than what was shown is
// errLogBehind.
func (n *Node) keepShown(head store.Head) error {
	n.ownLog.showing.Lock()
	defer n.ownLog.showing.Unlock()
	return n.raiseShown(head)
}

func (n *Node) raiseShown(head store.Head) error {
	was, err := n.shownHead()
	if err != nil || was.Size == head.Size && was.Root == head.Root {
		return err
	}
	if was.Size >= head.Size { // of as many leaves it is another history
		return errLogBehind
	}
	return writeFile(filepath.Join(n.dir, headFile), head.Checkpoint)
}

// seeOwn looks at a head of our own log that a peer handed on. One that the database does not have
// shows that this is an older copy, or that somebody else signs with our key.
func (n *Node) seeOwn(ctx context.Context, signed []byte) {
	head := n.ownHead(signed)
	if head.Size > 0 && n.checkOwn(ctx, head) != nil {
		n.seeOwnHead(ctx, head)
	}
}

// seeOwnHead has nothing more signed until the database has a head of our log that somebody else
// has: it is kept, and the log is looked for at peers. If that cannot be found out now, because the disk does not
// read or write, nothing is signed either, and it is tried again.
func (n *Node) seeOwnHead(ctx context.Context, head store.Head) {
	err := n.judgeOwnHead(ctx, head)
	if err == nil {
		return
	}
	n.ownLog.doubted.Store(&head)
	offer(n.logBehind, struct{}{})
	n.log.Error("comparing a head of our own log; nothing more is signed in it before that is done", "err", err, "again_in", sealAgain)
}

// settleDoubt compares again what could not be compared.
func (n *Node) settleDoubt(ctx context.Context) error {
	head := n.ownLog.doubted.Load()
	if head == nil {
		return nil
	}
	err := n.judgeOwnHead(ctx, *head)
	if err == nil {
		n.ownLog.doubted.CompareAndSwap(head, nil)
	}
	return err
}

// judgeOwnHead keeps a head that the database has not. If it is no longer than what we have shown,
// there are two histories, and nothing is signed as long as the node runs.
func (n *Node) judgeOwnHead(ctx context.Context, head store.Head) error {
	n.ownLog.showing.Lock()
	defer n.ownLog.showing.Unlock()
	if err := n.checkOwn(ctx, head); !errors.Is(err, errLogBehind) {
		return err // nil: regained by now
	}
	lost := n.checkShown(ctx)
	if lost != nil && !errors.Is(lost, errLogBehind) {
		return lost
	}
	shown, err := n.shownHead()
	if err != nil {
		return err
	}
	if head.Size > shown.Size {
		if err := n.raiseShown(head); err != nil {
			return err
		}
		offer(n.logBehind, struct{}{})
	} else if lost == nil {
		n.pauseLog()
	}
	if lost == nil {
		n.note(ctx, n.cfg.Domain, EventLog, fmt.Sprintf("a peer has a head of our own log, leaves: %d, that we have not; nothing more is signed in it until it is taken from a peer's copy", head.Size))
	}
	return nil
}
