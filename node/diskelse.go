//go:build !(linux || darwin || freebsd)

package node

import (
	"errors"
	"os"
)

// diskSpace: the systems for which there is no diskSpace yet.
func diskSpace(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }

// tryLock: nor is there a lock, so that only the control socket tells whether a node serves.
func tryLock(*os.File) (held bool, err error) { return false, nil }

func unlock(*os.File) error { return nil }
