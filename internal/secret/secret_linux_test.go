package secret

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const roleEnv = "P3DO_SECRET_TEST_ROLE"

// TestMain plays a program that does what its role says, and tells what the kernel says of it.
func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "no dumps":
		var limit unix.Rlimit
		err := errors.Join(NoDumps(), unix.Getrlimit(unix.RLIMIT_CORE, &limit))
		dumpable, failed := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fmt.Println(limit.Cur, limit.Max, dumpable, err, failed)
	case "limited":
		var limit unix.Rlimit
		err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit)
		limit.Cur = min(limit.Max, 1<<40) // more than there is, and not unlimited
		limit.Max = limit.Cur
		err = errors.Join(err, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit), unix.Setuid(65534))
		fmt.Println(err, LockAll(), figure("VmLck") == 0)
	case "all":
		if err := LockAll(); err != nil {
			fmt.Println(err)
			return
		}
		lent := bytes.Repeat([]byte{7}, 64<<20) // what comes later is locked, too
		before, has := figure("VmLck"), figure("VmRSS")
		runtime.KeepAlive(lent)
		lent = nil
		debug.FreeOSMemory()
		fmt.Println("locked", before > 64<<10 && has > 64<<10, "given back", has-figure("VmRSS") > 48<<10, "for nothing", figure("VmRSS") > figure("VmLck")/4)
	}
}

// figure is one that the kernel tells of this process, in KiB.
func figure(name string) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	text, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return kib
}

// plays is what this program says in a role: it is for a whole process, so another one tries it.
func plays(t *testing.T, role string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", role, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestNoDumps(t *testing.T) {
	if said := plays(t, "no dumps"); said != "0 0 0 <nil> <nil>" {
		t.Error(said)
	}
}

// All memory is locked, also what comes later; it costs no more than was used, and what the
// program gives back the system has.
func TestLockAll(t *testing.T) {
	said := plays(t, "all")
	if strings.HasPrefix(said, "secret: ") {
		t.Skip("not here: " + said)
	}
	if said != "locked true given back true for nothing false" {
		t.Error(said)
	}
}

// Under a limit nothing is locked: the program would not get memory later on.
func TestLockAllUnderALimit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give its rights away")
	}
	said := plays(t, "limited")
	if !strings.HasPrefix(said, "<nil> secret: locking all memory, of which ") || !strings.HasSuffix(said, " KiB may be: operation not permitted true") {
		t.Error(said)
	}
}

// What is locked is counted by the kernel, and still what it was.
func TestLock(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur < 1<<16 {
		t.Skip("nothing may be locked here")
	}
	key := bytes.Repeat([]byte{7}, 32)
	if err := Lock(key); err != nil {
		t.Fatal(err)
	}
	if err := Lock(nil); err != nil {
		t.Error(err)
	}
	if kib := figure("VmLck"); kib <= 0 || !bytes.Equal(key, bytes.Repeat([]byte{7}, 32)) {
		t.Errorf("locked: %d kB", kib)
	}
}
