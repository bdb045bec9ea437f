package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/node"
)

// What the operator mends in the folder is her input, and what others do is the network:
// scripts and supervisors tell by the status whether trying again is of use.
func TestStatusOfServe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	for name, x := range map[string]struct {
		spoil  func(t *testing.T, dir string)
		status int
		says   string
	}{
		"bad configuration": {edited(`registration = "closed"`, `registration = "ajar"`), cli.Input, `registration is "ajar"`},
		"another domain":    {edited(`domain = "a.test"`, `domain = "b.test"`), cli.Input, "the keys are those of a.test"},
		"exposed keys": {func(t *testing.T, dir string) {
			must(t, os.Chmod(filepath.Join(dir, "keys", "authority"), 0o644))
		}, cli.Input, "p3dod: hint: chmod 600 "},
		"served already": {func(t *testing.T, dir string) {
			n, err := node.Open(t.Context(), dir, node.Options{Dial: dial.Direct(), Public: dial.Public()})
			must(t, err)
			t.Cleanup(func() { must(t, n.Close()) })
		}, cli.Input, "serves already"},
		"address in use": {edited(`link = "127.0.0.1:0"`, `link = "`+taken.Addr().String()+`"`), cli.Network, "listening for links"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "node")
			var out, errs strings.Builder
			streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
			if status := run(t.Context(), []string{"init", "a.test", "--dir", dir, "--listen", "127.0.0.1:0", "--listen-keyserver", "127.0.0.1:0"}, streams); status != cli.OK {
				t.Fatal(errs.String())
			}
			x.spoil(t, dir)
			status := run(t.Context(), []string{"serve", "--dir", dir}, streams)
			if status != x.status || !strings.Contains(errs.String(), x.says) {
				t.Errorf("status %d, want %d: %s", status, x.status, errs.String())
			}
		})
	}
}

// edited replaces a line of the configuration.
func edited(old, line string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, node.ConfigFile)
		text, err := os.ReadFile(path)
		must(t, err)
		if !strings.Contains(string(text), old) {
			t.Fatalf("no %s in %s", old, text)
		}
		must(t, os.WriteFile(path, []byte(strings.Replace(string(text), old, line, 1)), 0o600))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
