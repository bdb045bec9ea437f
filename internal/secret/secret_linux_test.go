package secret

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const roleEnv = "P3DO_SECRET_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "" {
		os.Exit(m.Run())
	}
	if err := NoDumps(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	dumpable, failed := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	fmt.Println(limit.Cur, limit.Max, dumpable, err, failed)
}

// NoDumps is for the whole process, so another one tries it.
func TestNoDumps(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=yes")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "0 0 0 <nil> <nil>\n" {
		t.Errorf("%q, %v", out, err)
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
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, locked, _ := strings.Cut(string(status), "VmLck:")
	locked, _, _ = strings.Cut(strings.TrimSpace(locked), " ")
	if locked == "0" || locked == "" || !bytes.Equal(key, bytes.Repeat([]byte{7}, 32)) {
		t.Errorf("locked: %q kB", locked)
	}
}
