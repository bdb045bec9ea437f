//go:build !(linux || darwin || freebsd)

package node

import "errors"

// diskSpace: the systems for which there is no diskSpace yet.
func diskSpace(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }
