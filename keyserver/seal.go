package keyserver

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver/keylog"
)

const (
	// CosignTimeout bounds the gathering of cosignatures for one checkpoint.
	CosignTimeout = 10 * time.Second

	// CosignAgain is when a checkpoint of an unchanged log is cosigned again, so that readers
	// find it fresh (keylog.Freshness).
	CosignAgain = 6 * time.Hour

	// sealGrace is how long slow witnesses are waited for, when a quorum has signed and there is
	// something new to seal already.
	sealGrace = 200 * time.Millisecond

	// sealPause is the least time between two checkpoints: what comes in it is sealed together.
	sealPause = 100 * time.Millisecond

	firstRetry, lastRetry = time.Second, 5 * time.Minute // without a quorum
)

// Run seals what is published, until ctx ends: it signs a checkpoint when the log has grown, has it
// cosigned, and has it cosigned again in time. It returns nil, or why the log cannot go on.
func (l *Log) Run(ctx context.Context) error {
	retry := firstRetry
	for ctx.Err() == nil {
		grew, enough, err := l.seal(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		wait := CosignAgain
		if grew || enough {
			retry = firstRetry
		}
		if !enough {
			wait, retry = retry, min(2*retry, lastRetry)
		}
		if !pause(ctx, sealPause, nil) || !pause(ctx, wait, l.grown) {
			break
		}
	}
	return nil
}

// pause waits, or until woken; false if ctx has ended.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// seal signs what is on the disk, if it is more than was signed, and asks for cosignatures.
func (l *Log) seal(ctx context.Context) (grew, enough bool, err error) {
	size, err := l.config.Store.LogSize(ctx)
	if err != nil {
		return false, false, fmt.Errorf("keyserver: sealing: %w", err)
	}
	if size == 0 {
		return false, true, nil
	}
	if now := l.heads.Load().newest; now.signed == nil || now.N < size {
		if err := l.sign(ctx, size); err != nil {
			return false, false, err
		}
		grew = true
	}
	enough, err = l.cosign(ctx, l.heads.Load().newest)
	return grew, enough, err
}

// sign publishes the checkpoint of a tree, all of which is on the disk. It is pending until it is
// cosigned.
func (l *Log) sign(ctx context.Context, size int64) error {
	root, err := tlog.TreeHash(size, l.config.Store.LogHashes(ctx))
	if err != nil {
		return fmt.Errorf("keyserver: sealing: %w", err)
	}
	tree := tlog.Tree{N: size, Hash: root}
	signed, err := keylog.Sign(tree, l.signer)
	if err != nil {
		return err
	}
	return l.publish(ctx, newHead(tree, signed), l.wanted() == 0)
}

func (l *Log) wanted() int {
	if l.config.Quorum == nil || l.config.Cosign == nil {
		return 0
	}
	return l.config.Quorum()
}

// publish makes a checkpoint durable, and then shows it.
func (l *Log) publish(ctx context.Context, h head, enough bool) error {
	names := []string{newestHead}
	if enough {
		names = append(names, cosignedHead)
	}
	if err := l.config.Store.PutLogHead(ctx, h.N, h.signed, names...); err != nil {
		return fmt.Errorf("keyserver: publishing checkpoint: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.heads.Load()
	next := &heads{newest: h, cosigned: old.cosigned, next: make(chan struct{})}
	if enough {
		next.cosigned = h
	}
	l.heads.Store(next)
	close(old.next)
	return nil
}

// cosign has the witnesses sign, and publishes what came: once when there is a quorum, and once
// when no more comes.
func (l *Log) cosign(ctx context.Context, h head) (enough bool, err error) {
	wanted := l.wanted()
	if l.config.Cosign == nil {
		return true, nil
	}
	asking, cancel := context.WithTimeout(ctx, CosignTimeout)
	defer cancel()
	var sigs []note.Signature
	published := 0
	show := func() error {
		signed, err := keylog.Cosigned(h.signed, sigs...)
		if err != nil {
			return err
		}
		published = len(sigs)
		return l.publish(ctx, newHead(h.Tree, signed), published >= wanted)
	}
	l.config.Cosign(asking, h.Tree, h.signed, func(old int64) (tlog.TreeProof, error) {
		return l.Consistency(ctx, old, h.N)
	}, func(sig note.Signature) {
		if sigs = append(sigs, sig); len(sigs) == max(wanted, 1) && err == nil {
			err = show()
			go l.hurry(asking, cancel)
		}
	})
	if err == nil && len(sigs) > published {
		err = show()
	}
	return len(sigs) >= wanted, err
}

// hurry ends the waiting for slow witnesses some time after the log has grown.
func (l *Log) hurry(asking context.Context, cancel func()) {
	select {
	case <-l.grown:
		l.kick()
		_ = pause(asking, sealGrace, nil)
		cancel()
	case <-asking.Done():
	}
}
