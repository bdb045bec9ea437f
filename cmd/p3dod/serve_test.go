package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/node"
)

// The node that serves has its memory locked, so that no key is written to the swap space; where
// the kernel refuses that, its log says so, and run.json, for doctor to advise.
func TestServeLocksItsMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("all memory is locked on Linux only")
	}
	dir := filepath.Join(t.TempDir(), "a.test")
	start := []string{"init", "a.test", "--dir", dir, "--listen", "127.0.0.1:0", "--listen-keyserver", "127.0.0.1:0", "--dns", "127.0.0.1:1"}
	if out, err := exec.Command("p3dod", start...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var said strings.Builder
	cmd := exec.Command("p3dod", "serve", "--dir", dir, "--end-with-stdin")
	cmd.Stderr = &said
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var running node.Running
	for deadline := time.Now().Add(scriptWait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if running, err = node.ReadRunning(dir); err == nil {
			break
		}
	}
	status, failed := os.ReadFile(fmt.Sprintf("/proc/%d/status", running.PID))
	alive.Close()
	if err := errors.Join(err, failed, cmd.Wait()); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	locked := !strings.Contains(string(status), "VmLck:\t       0 kB")
	told := strings.Count(said.String(), "may be written to the swap space") == 1
	if locked == running.Swaps || locked == told {
		t.Errorf("locked: %t; told to doctor: %t; said in the log: %t: %s", locked, running.Swaps, told, said.String())
	}
	t.Logf("locked: %t", locked)
}
