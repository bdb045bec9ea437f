package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names in the folder. They say nothing about what is inside.
const (
	fileName = "vault"
	nextName = "vault.new"
	lockName = "lock"
)

const (
	folderMode = 0o700
	fileMode   = 0o600
)

// A folder is the place of one vault on disk, with its lock.
type folder struct {
	path string
	lock *os.File
}

// openFolder checks that the folder is its owner's alone and opens the lock
// file in it.
func openFolder(path string) (*folder, error) {
	if err := checkFolder(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, fmt.Errorf("vault: opening the lock: %w", err)
	}
	return &folder{path: path, lock: lock}, nil
}

func checkFolder(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("vault: %s is not a folder", path)
	}
	return checkMode(path, info, folderMode)
}

// checkMode refuses what others than the owner may touch.
func checkMode(path string, info fs.FileInfo, want fs.FileMode) error {
	if mode := info.Mode().Perm(); mode&^want != 0 {
		return fmt.Errorf("%w: %s has mode %04o; run: chmod %o %s", ErrMode, path, mode, want, path)
	}
	return nil
}

func (f *folder) file() string { return filepath.Join(f.path, fileName) }
func (f *folder) next() string { return filepath.Join(f.path, nextName) }
func (f *folder) close() error { return f.lock.Close() }

// hold waits for the lock, shared or exclusive, among processes and among
// Vaults of one process.
func (f *folder) hold(exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	return f.flock(how)
}

// release gives the lock back.
func (f *folder) release() error { return f.flock(unix.LOCK_UN) }

func (f *folder) flock(how int) error {
	for {
		err := unix.Flock(int(f.lock.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("vault: locking %s: %w", f.lock.Name(), err)
		}
		return nil
	}
}

// sync makes the folder's entries durable.
func (f *folder) sync() error {
	dir, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("vault: syncing the folder: %w", err)
	}
	return nil
}
