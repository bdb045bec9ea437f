package agent

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteNew writes a file of secrets, mode 0600, that must not exist: fs.ErrExist if it does. It does
// without links, which the file systems of memory sticks do not have.
//
// It is written under a name of its own first, beside, that ends in .new. Then the name that was asked
// for is taken, by an empty file that must be a new one; and when all is on the disk, the one takes the
// other's place. So a program that is killed, or a stick that is pulled out, leaves the whole of it or
// nothing but an empty file and what ends in .new: never a part that could be taken for the whole.
func WriteNew(path string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "write", Path: path, Err: fs.ErrExist}
	}
	beside, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // 0600
	if err != nil {
		return err
	}
	if err = errors.Join(write(beside), beside.Sync(), beside.Close()); err == nil {
		err = place(beside.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// place renames a file to a name that nobody has.
func place(from, to string) error {
	taken, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer taken.Close()
	if !same(taken, to) { // somebody else has put something there at once, and it stays
		return &fs.PathError{Op: "write", Path: to, Err: fs.ErrExist}
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// same tells whether an open file is what stands under a name, and is empty.
func same(open *os.File, path string) bool {
	is, err := open.Stat()
	stands, failed := os.Lstat(path)
	return err == nil && failed == nil && os.SameFile(is, stands) && is.Size() == 0
}

// syncFolder has the names in a folder on the disk. Not every file system can do that.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
