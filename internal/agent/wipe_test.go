package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Wipe destroys one folder or all, and says that there is nothing the second time.
func TestWipe(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	cfg.Home = filepath.Join(filepath.Dir(cfg.Home), "ann[1]") // is no pattern
	home := cfg.Home
	make := func(folder string) {
		cfg.Home = folder
		a, err := NewKeyonly(cfg)
		must(t, err)
		must(t, a.Close())
	}
	other, err := Profile(home, "other")
	must(t, err)
	for _, all := range []bool{false, true} {
		make(home)
		if !all {
			make(other)
		}
		want := []string{home}
		if all {
			want = []string{other, home}
		}
		if wiped, err := Wipe(home, all); err != nil || !slices.Equal(wiped, want) {
			t.Errorf("all %v: %v, %v", all, wiped, err)
		}
		if _, err := os.Stat(filepath.Join(other, "vault")); all != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("all %v: the profile: %v", all, err)
		}
		if wiped, err := Wipe(home, all); err != nil || len(wiped) > 0 {
			t.Errorf("all %v, again: %v, %v", all, wiped, err)
		}
	}
	if _, err := os.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	for _, bad := range []string{"", "..", "a/b", "A", "a b", "../x"} {
		if _, err := Profile(home, bad); err == nil {
			t.Errorf("%q is a profile", bad)
		}
	}
}
