//go:build unix && !linux

package secret

import "errors"

// LockAll is for Linux; elsewhere it is an error, which says that memory may be swapped.
func LockAll() error { return errors.New("secret: all memory is locked on Linux only") }
