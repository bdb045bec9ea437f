package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// turnName is the file that carries the turn. Like the lock it is empty and stays.
const turnName = "turn"

// turnPoll is how often is looked whether the turn is free: the system tells only who waits
// for ever.
const turnPoll = 20 * time.Millisecond

// Turn waits until nobody else has the turn of this folder, in this program or another, and
// takes it; release gives it back. It is for what happens outside of the vault and may be
// done by one program at a time, for as long as it takes: transactions of everybody go on
// meanwhile. The system frees the turn of a program that was killed. If ctx ends before the
// turn is free the error is that of ctx; a turn that is free is taken even then.
func (v *Vault) Turn(ctx context.Context) (release func() error, err error) {
	file, err := os.OpenFile(filepath.Join(v.folder.path, turnName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, fmt.Errorf("vault: opening the turn: %w", err)
	}
	if err := waitForTurn(ctx, file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil // which ends the lock, as the end of the program does
}

func waitForTurn(ctx context.Context, file *os.File) error {
	tick := time.NewTicker(turnPoll)
	defer tick.Stop()
	for {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("vault: locking %s: %w", file.Name(), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
