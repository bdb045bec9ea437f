// Package secret keeps secrets out of places where they outlive the program: the swap space,
// core dumps, and the screen of a terminal. It does what the system allows, and says when that
// was not enough.
//
//	err := secret.NoDumps()   // first thing in main
//	err = secret.LockAll()    // then, for a program all of whose memory is about keys
//	line, err := secret.Ask(ctx, tty, os.Stderr, "Passphrase: ")
//	err = secret.Lock(key[:]) // for a secret that lives long; the error is for telling, not for stopping
//
// # What this does and does not
//
// NoDumps sets the limit of core files to zero, and on Linux makes the process undumpable
// (prctl(2), PR_SET_DUMPABLE): other programs of the same user can neither attach to it nor
// read its memory.
//
// Lock has the kernel keep the pages of a slice in memory (mlock(2)). Go does not move what is
// on its heap, so that holds for as long as the slice is used; the pages stay locked
// afterwards, for other secrets may be on them. Copies that Go or a library makes on the way,
// on stacks for instance, are not locked; nor does it help while the machine sleeps on disk.
// Locked pages count against RLIMIT_MEMLOCK, often 8 MiB: so this is for keys, not for texts.
//
// LockAll has the kernel keep all pages of the process in memory, each from when it is first
// touched (mlockall(2), MCL_ONFAULT): what Go has reserved and never used costs nothing, and what
// it gives back is given back. That covers the copies, and the keys that crypto/x509 and
// crypto/tls hold. It is for Linux, and for who has no limit (RLIMIT_MEMLOCK unlimited) or is
// above it (CAP_IPC_LOCK): under a limit the kernel would refuse memory later on, to a program
// that cannot go on without.
package secret
