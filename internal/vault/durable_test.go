package vault

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Durable is called when a write is on the disk, Writing before it is: of Create, of each
// Update that changes something, and of a compaction.
func TestDurableIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	var heard []string
	note := func(what string) func(uint64) {
		return func(n uint64) { heard = append(heard, fmt.Sprint(what, " ", n, " at ", onDisk(t, dir))) }
	}
	v, err := Config{Dir: dir, Writing: note("writing"), Durable: note("durable")}.create(testPassphrase, testCost)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	put(t, v, "a", "1")
	if err := v.Update(func(tx *Tx) error { tx.Delete("b"); return nil }); err != nil { // which is nothing
		t.Fatal(err)
	}
	if err := v.writeNext(); err != nil {
		t.Fatal(err)
	}
	all := []string{
		"writing 1 at nothing", "durable 1 at generation 0 and 1 records",
		"writing 2 at generation 0 and 1 records", "durable 2 at generation 0 and 2 records",
		"writing 3 at generation 0 and 2 records", "durable 3 at generation 1 and 1 records",
	}
	if !slices.Equal(heard, all) {
		t.Errorf("told of\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(all, "\n"))
	}
}

// onDisk is what another process would find, without a lock.
func onDisk(t *testing.T, dir string) string {
	t.Helper()
	file, h, err := openFile(filepath.Join(dir, fileName))
	if err != nil {
		return "nothing"
	}
	defer file.Close()
	root, err := deriveRoot(testPassphrase, h.header)
	if err != nil {
		t.Fatal(err)
	}
	j, err := newJournal(file, h.header, root)
	if err != nil {
		t.Fatal(err)
	}
	size, err := j.size()
	for err == nil {
		_, err = j.next(size)
	}
	return fmt.Sprintf("generation %d and %d records", h.generation, j.seq)
}
