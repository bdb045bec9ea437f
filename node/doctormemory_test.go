package node

import (
	"os"
	"path/filepath"
	"testing"
)

// Memory that may be swapped is told where there is something to swap to, and not in a lab.
func TestDoctorMemory(t *testing.T) {
	const headings = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	disk := headings + "/dev/sda2                               partition\t4194300\t\t0\t\t-2\n"
	for _, c := range []struct {
		name         string
		swaps        string
		serves, told bool
		lab          bool
		advised      bool
	}{
		{"a disk to swap to", disk, true, true, false, true},
		{"none", headings, true, true, false, false},
		{"memory is locked", disk, true, false, false, false},
		{"a lab", disk, true, true, true, false},
		{"nobody serves", disk, false, true, false, false},
		{"another system", "", true, true, false, true},
	} {
		path := filepath.Join(t.TempDir(), "swaps")
		if c.swaps != "" {
			must(t, os.WriteFile(path, []byte(c.swaps), 0o600))
		}
		e := examination{serves: c.serves, running: Running{PID: 7, Swaps: c.told}, cfg: &Config{Lab: Lab{Enabled: c.lab}}}
		e.memory(path)
		if got := len(e.findings) == 1 && e.findings[0].State == Advised; got != c.advised {
			t.Errorf("%s: %+v", c.name, e.findings)
		}
	}
}
