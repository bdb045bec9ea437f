package agent

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A file is written as a whole under a name that nobody has, or not at all; what is there stays, also
// what is put there meanwhile, and what a killed program has left hinders nobody.
func TestWriteNew(t *testing.T) {
	t.Parallel()
	broken := errors.New("no more")
	text := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error { _, failed := io.WriteString(w, text); return errors.Join(failed, err) }
	}
	for name, c := range map[string]struct {
		before, meanwhile string // what somebody else puts there
		left              string // by a program that was killed
		fails, want       error
		is                string
		files             int
	}{
		"a new one":               {is: "mine", files: 1},
		"over another":            {before: "theirs", want: fs.ErrExist, is: "theirs", files: 1},
		"over one put there then": {meanwhile: "theirs", want: fs.ErrExist, is: "theirs", files: 1},
		"broken":                  {fails: broken, want: broken},
		"after one that died":     {left: "part", is: "mine", files: 2},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		put := func(path, text string) {
			if text != "" {
				must(t, os.WriteFile(path, []byte(text), 0o600))
			}
		}
		put(path, c.before)
		put(path+".1.new", c.left)
		err := WriteNew(path, func(w io.Writer) error {
			put(path, c.meanwhile)
			return text("mine", c.fails)(w)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		is, _ := os.ReadFile(path)
		entries, err := os.ReadDir(dir)
		if string(is) != c.is || len(entries) != c.files || err != nil {
			t.Errorf("%s: %q, %d files, %v", name, is, len(entries), err)
		}
		if info, err := os.Stat(path); c.want == nil && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// While a file is written, and when a program dies then, there is no part of it under its name.
func TestWriteNewIsWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	must(t, WriteNew(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		if _, gone := os.Lstat(path); !errors.Is(gone, fs.ErrNotExist) {
			t.Errorf("a part of it is there: %v", gone)
		}
		return err
	}))
}

// A program that lost the race for a name has not touched what is there.
func TestPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, errors.Join(os.WriteFile(from, []byte("mine"), 0o600), os.WriteFile(to, nil, 0o600)))
	if err := place(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	must(t, os.Remove(from))
	must(t, os.Remove(to))
	if err := place(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is taken by nothing: %v", err)
	}
}
