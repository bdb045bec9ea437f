package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

// A folder that has a database and no keys is a domain whose keys are lost: init makes no
// other keys in it, and says what is to be done.
func TestInitOfALostDomain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	var out, errs strings.Builder
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
	args := []string{"init", "a.test", "--dir", dir}
	if status := run(t.Context(), args, streams); status != cli.OK {
		t.Fatal(errs.String())
	}
	authority := filepath.Join(dir, "keys", "authority")
	must(t, os.Remove(filepath.Join(dir, node.ConfigFile)))
	must(t, os.Remove(authority))
	must(t, os.WriteFile(filepath.Join(dir, "node.db"), nil, 0o600))
	status := run(t.Context(), args, streams)
	for _, says := range []string{"the keys of the domain are missing", "install -m 600 COPY " + authority, "p3dod rotate --key ca --lost --dir " + dir} {
		if status != cli.Input || !strings.Contains(errs.String(), says) {
			t.Errorf("status %d, no %q: %s", status, says, errs.String())
		}
	}
	if _, err := os.Stat(authority); err == nil {
		t.Error("other keys were made")
	}
}
