package golden_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/p3do/p3do/internal/golden"
)

// vectors are what a file might hold.
type vectors struct {
	About string        `json:"about"`
	Bytes golden.Octets `json:"bytes"`
}

// failures counts what a test would have been told, instead of failing.
type failures struct {
	testing.TB
	errors int
}

func (f *failures) Errorf(string, ...any) { f.errors++ }

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vectors.json")
	made := vectors{"a < b", golden.Octets{0, 0xff}}
	t.Setenv(golden.Rewrite, "1")
	golden.Check(t, path, made)

	t.Setenv(golden.Rewrite, "")
	golden.Check(t, path, made)
	const want = "{\n \"about\": \"a < b\",\n \"bytes\": \"00ff\"\n}\n"
	if held, err := os.ReadFile(path); err != nil || string(held) != want {
		t.Errorf("the file is %q, %v", held, err)
	}
	var read vectors
	golden.Read(t, path, &read)
	if read.About != made.About || string(read.Bytes) != string(made.Bytes) {
		t.Errorf("read %v", read)
	}

	told := &failures{TB: t}
	made.Bytes[0]++
	golden.Check(told, path, made)
	if told.errors != 1 {
		t.Error("a file that is stale passes")
	}
}
