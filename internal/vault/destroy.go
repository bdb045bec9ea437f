package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Destroy makes the vault in the folder dir unreadable and removes it: without its header,
// which goes first, no passphrase opens the rest. It needs none, waits for transactions under
// way, and removes the folder if nothing else is in it. A program that has the vault open finds
// it damaged. fs.ErrNotExist: there is no vault. What a disk keeps aside of what was
// overwritten, as flash memory does, is out of its reach.
func Destroy(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, fileName)); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	if err := f.hold(true); err != nil {
		return errors.Join(err, f.close())
	}
	err = f.destroy()
	return errors.Join(err, f.release(), f.close())
}

func (f *folder) destroy() error {
	for _, path := range []string{f.file(), f.next()} {
		if err := overwrite(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{fileName, nextName, turnName, lockName} {
		if err := os.Remove(filepath.Join(f.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("vault: %w", err)
		}
	}
	if err := f.sync(); err != nil {
		return err
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// overwrite fills a file with random bytes, durably, the header before all else.
func overwrite(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	info, err := file.Stat()
	if err == nil {
		err = scribble(file, min(info.Size(), int64(headerSize)))
	}
	if err == nil {
		err = scribble(file, info.Size())
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("vault: overwriting: %w", err)
	}
	return nil
}

func scribble(file *os.File, size int64) error {
	_, err := io.Copy(io.NewOffsetWriter(file, 0), io.LimitReader(rand.Reader, size))
	return errors.Join(err, file.Sync())
}
