//go:build unix

package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Lock has the kernel keep b in memory. An error means that b may be written to the swap
// space, and nothing else: there may be a limit, or no right to it.
func Lock(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := unix.Mlock(b); err != nil {
		return fmt.Errorf("secret: locking memory: %w", err)
	}
	return nil
}

// NoDumps sees to it that the process leaves no copy of its memory behind if it crashes.
func NoDumps() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err = errors.Join(err, undumpable()); err != nil {
		return fmt.Errorf("secret: forbidding core dumps: %w", err)
	}
	return nil
}
