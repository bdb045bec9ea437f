package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// One has the turn at a time; transactions go on meanwhile, and who waits gets it as soon as
// it is given back, or gives up with its context.
func TestTurn(t *testing.T) {
	v, dir := newVault(t)
	other := mustOpen(t, dir)
	release, err := v.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put(t, other, "a", "1")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, w := range map[string]*Vault{"the same vault": v, "another": other} {
		if _, err := w.Turn(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, while it is taken: %v", name, err)
		}
	}
	got := make(chan error)
	go func() {
		release, err := other.Turn(t.Context())
		got <- err
		if err == nil {
			got <- release()
		}
	}()
	select {
	case err := <-got:
		t.Fatalf("two have the turn: %v", err)
	case <-time.After(3 * turnPoll):
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-got, <-got); err != nil {
		t.Fatal(err)
	}
	release, err = v.Turn(ended) // free: it is taken all the same
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, turnName))
	if err != nil || info.Size() != 0 || info.Mode().Perm() != fileMode {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// The turn is not looked for behind a link.
func TestTurnBehindALink(t *testing.T) {
	v, dir := newVault(t)
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(dir, turnName)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Turn(t.Context()); err == nil {
		t.Error("followed a link")
	}
}
