//go:build linux || darwin || freebsd

package node

import (
	"os"
	"syscall"
)

// diskSpace returns the size of the disk that holds dir, and what this user may still
// write of it, in bytes.
func diskSpace(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	err = syscall.Statfs(dir, &s)
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), err
}

// tryLock locks an open file or folder until it is unlocked, or the process ends. held is true
// if somebody else has locked it.
func tryLock(f *os.File) (held bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return true, nil
	}
	return false, err
}

// unlock does not leave it to closing: a program that is just being started from here may
// still hold the file.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
