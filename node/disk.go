//go:build linux || darwin || freebsd

package node

import "syscall"

// diskSpace returns the size of the disk that holds dir, and what this user may still
// write of it, in bytes.
func diskSpace(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	err = syscall.Statfs(dir, &s)
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), err
}
