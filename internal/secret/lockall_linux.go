package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// LockAll has the kernel keep all memory of the process, as it is and as it comes, out of the
// swap space. An error means that it may be written there, and nothing else.
func LockAll() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("secret: the limit of locked memory: %w", err)
	}
	if limit.Max == unix.RLIM_INFINITY {
		limit.Cur = limit.Max // ours to raise
	}
	tried := limit
	if limit.Cur != unix.RLIM_INFINITY {
		tried.Cur = 0 // so that whom the limit binds is refused now, and not when memory is wanted later
	}
	err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &tried)
	if err == nil {
		err = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	}
	if err = errors.Join(err, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)); err != nil {
		return fmt.Errorf("secret: locking all memory, of which %d KiB may be: %w", limit.Cur>>10, err)
	}
	return nil
}
