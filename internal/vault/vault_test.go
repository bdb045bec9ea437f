package vault

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testCost makes tests fast. No exported function takes a cost.
var testCost = cost{time: 1, memoryKiB: 8, threads: 1}

var testPassphrase = []byte("correct horse battery staple")

func newVault(t testing.TB) (*Vault, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	v, err := create(dir, testPassphrase, testCost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v, dir
}

func mustOpen(t testing.TB, dir string) *Vault {
	t.Helper()
	v, err := Open(dir, testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func put(t testing.TB, v *Vault, key, value string) {
	t.Helper()
	err := v.Update(func(tx *Tx) error {
		tx.Put(key, []byte(value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// contents returns all of v, one "key=value" a line.
func contents(t testing.TB, v *Vault) string {
	t.Helper()
	var b strings.Builder
	err := v.View(func(tx *Tx) error {
		return tx.Range("", func(key string, value []byte) error {
			fmt.Fprintf(&b, "%s=%s\n", key, value)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantContents(t testing.TB, v *Vault, want string) {
	t.Helper()
	if got := contents(t, v); got != want {
		t.Errorf("the vault holds %q, want %q", got, want)
	}
}

func TestKeepsAcrossOpen(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "b", "2")
	put(t, v, "a", "1")
	put(t, v, "b", "3")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	wantContents(t, mustOpen(t, dir), "a=1\nb=3\n")
	if err := v.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("View after Close: %v", err)
	}
}

func TestErrorWritesNothing(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "a", "1")
	boom := errors.New("boom")
	err := v.Update(func(tx *Tx) error {
		tx.Put("a", []byte("2"))
		tx.Delete("a")
		tx.Put("b", nil)
		return boom
	})
	if err != boom {
		t.Errorf("got %v", err)
	}
	wantContents(t, v, "a=1\n")
	wantContents(t, mustOpen(t, dir), "a=1\n")
}

func TestPanicReleasesTheLock(t *testing.T) {
	v, dir := newVault(t)
	func() {
		defer func() { recover() }()
		v.Update(func(tx *Tx) error { tx.Put("a", nil); panic("boom") })
	}()
	put(t, mustOpen(t, dir), "b", "1")
	wantContents(t, v, "b=1\n")
}

func TestNothingChangedWritesNothing(t *testing.T) {
	v, dir := newVault(t)
	before := fileSize(t, dir)
	if err := v.Update(func(tx *Tx) error { tx.Delete("absent"); return nil }); err != nil {
		t.Fatal(err)
	}
	if after := fileSize(t, dir); after != before {
		t.Errorf("the file grew from %d to %d", before, after)
	}
}

func TestRangeSeesPendingChanges(t *testing.T) {
	v, _ := newVault(t)
	for _, k := range []string{"p/1", "p/3", "q/1", "p"} {
		put(t, v, k, "old")
	}
	var got []string
	err := v.Update(func(tx *Tx) error {
		tx.Put("p/2", []byte("new"))
		tx.Delete("p/3")
		return tx.Range("p/", func(key string, value []byte) error {
			got = append(got, key+"="+string(value))
			tx.Delete(key)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[p/1=old p/2=new]"; fmt.Sprint(got) != want {
		t.Errorf("Range gave %v, want %s", got, want)
	}
	wantContents(t, v, "p=old\nq/1=old\n")
}

func TestValuesAreCopies(t *testing.T) {
	v, _ := newVault(t)
	value := []byte("abc")
	err := v.Update(func(tx *Tx) error {
		tx.Put("k", value)
		value[0] = 'X'
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v.View(func(tx *Tx) error {
		got, _ := tx.Get("k")
		got[1] = 'X'
		return nil
	})
	wantContents(t, v, "k=abc\n")
}

func TestTransactionIsUselessAfterItsEnd(t *testing.T) {
	v, _ := newVault(t)
	put(t, v, "a", "1")
	var kept *Tx
	v.Update(func(tx *Tx) error { kept = tx; return nil })
	if _, ok := kept.Get("a"); ok {
		t.Error("Get works after the end")
	}
	kept.Put("a", []byte("2"))
	if err := kept.Range("", func(string, []byte) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
	wantContents(t, v, "a=1\n")
}

func TestViewCannotWrite(t *testing.T) {
	v, _ := newVault(t)
	for name, f := range map[string]func(*Tx){
		"put":    func(tx *Tx) { tx.Put("a", nil) },
		"delete": func(tx *Tx) { tx.Delete("a") },
	} {
		err := v.View(func(tx *Tx) error { f(tx); return nil })
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantContents(t, v, "")
}

func TestLimits(t *testing.T) {
	big := make([]byte, MaxValue)
	fill := func(tx *Tx) { // seven values of 1 MiB and one that leaves no octet
		for i := range 7 {
			tx.Put(fmt.Sprint(i), big)
		}
		head := op{kind: opPut, key: "x"}.size()
		tx.Put("x", make([]byte, MaxTransaction-tx.size-head))
	}
	tests := []struct {
		name string
		do   func(*Tx)
		ok   bool
	}{
		{"longest key", func(tx *Tx) { tx.Put(strings.Repeat("k", MaxKey), nil) }, true},
		{"key too long", func(tx *Tx) { tx.Put(strings.Repeat("k", MaxKey+1), nil) }, false},
		{"delete of a key too long", func(tx *Tx) { tx.Delete(strings.Repeat("k", MaxKey+1)) }, false},
		{"largest value", func(tx *Tx) { tx.Put("v", big) }, true},
		{"value too large", func(tx *Tx) { tx.Put("v", append(big, 0)) }, false},
		{"largest transaction", fill, true},
		{"transaction too large", func(tx *Tx) { fill(tx); tx.Put("", nil) }, false},
		{"replaced values count once", func(tx *Tx) { fill(tx); fill2 := bytes.Clone(big); tx.Put("0", fill2) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, dir := newVault(t)
			err := v.Update(func(tx *Tx) error { tt.do(tx); return nil })
			if tt.ok && err != nil {
				t.Fatal(err)
			}
			if !tt.ok && !errors.Is(err, ErrLimit) {
				t.Fatalf("got %v, want ErrLimit", err)
			}
			if got := contents(t, mustOpen(t, dir)); got != contents(t, v) || tt.ok == (got == "") {
				t.Error("what is on disk is not what was written")
			}
		})
	}
}

func TestWrongPassphrase(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "a", "1")
	if _, err := Open(dir, []byte("wrong")); !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrPassphrase", err)
	}
	for _, bad := range [][]byte{nil, bytes.Repeat([]byte("x"), maxPassphrase+1)} {
		if _, err := Open(dir, bad); err == nil {
			t.Errorf("a passphrase of %d bytes was accepted", len(bad))
		}
		if _, err := create(filepath.Join(t.TempDir(), "x"), bad, testCost); err == nil {
			t.Errorf("Create took a passphrase of %d bytes", len(bad))
		}
	}
}

func TestCreateAndOpenRefuse(t *testing.T) {
	_, dir := newVault(t)
	if _, err := create(dir, testPassphrase, testCost); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a vault: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if _, err := Open(empty, testPassphrase); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	if err := os.Mkdir(empty, folderMode); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty, testPassphrase); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of an empty folder: %v", err)
	}
	if left, _ := os.ReadDir(empty); len(left) != 0 {
		t.Errorf("Open left %v behind", left)
	}
}

func TestModes(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "a", "1")
	file := filepath.Join(dir, fileName)
	for path, want := range map[string]fs.FileMode{dir: 0o700, file: 0o600, filepath.Join(dir, lockName): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, error %v, want %o", path, info.Mode(), err, want)
		}
	}
	for _, tt := range []struct {
		path      string
		bad, good fs.FileMode
		hint      string
	}{
		{dir, 0o755, 0o700, "chmod 700 " + dir},
		{file, 0o640, 0o600, "chmod 600 " + file},
	} {
		os.Chmod(tt.path, tt.bad)
		_, err := Open(dir, testPassphrase)
		if !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), tt.hint) {
			t.Errorf("got %v, want ErrMode and %q", err, tt.hint)
		}
		os.Chmod(tt.path, tt.good)
	}
	wantContents(t, mustOpen(t, dir), "a=1\n")
}

func TestNothingInClear(t *testing.T) {
	v, dir := newVault(t)
	const name, text = "bob@b.test-and-more", "meet me at the old bridge"
	for i := range 20 {
		put(t, v, "contact/"+name, fmt.Sprintf("%s %d", text, i))
	}
	if err := v.writeNext(); err != nil {
		t.Fatal(err)
	}
	put(t, v, "after", text)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{name, "contact", text, "bridge", string(testPassphrase), string(v.root.b[:])} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds %q in clear", e.Name(), secret)
			}
		}
	}
	if fmt.Sprint(names) != "[lock vault]" {
		t.Errorf("the folder holds %v", names)
	}
}

func TestPrintsNoKey(t *testing.T) {
	v, _ := newVault(t)
	key := fmt.Sprint(v.root.b)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, got := range []string{fmt.Sprintf(verb, v), fmt.Sprintf(verb, v.root)} {
			if strings.Contains(got, key) || len(got) > 200 {
				t.Errorf("%s printed %q", verb, got)
			}
		}
	}
}

func TestProductCost(t *testing.T) {
	if productCost.memoryKiB < 64<<10 || productCost.time < 3 || !productCost.valid() {
		t.Errorf("Create uses %+v", productCost)
	}
	dir := filepath.Join(t.TempDir(), "home")
	v, err := Create(dir, testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.journal.header.cost != productCost {
		t.Errorf("Create wrote %+v", v.journal.header.cost)
	}
}

func TestFailedWriteKeepsTheRest(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "a", "1")
	readOnly, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	v.journal.file.Close()
	v.journal.file = readOnly // as if the disk refused to be written
	if err := v.Update(func(tx *Tx) error { tx.Put("a", []byte("2")); return nil }); err == nil {
		t.Error("an Update that cannot be written was reported as written")
	}
	wantContents(t, v, "a=1\n")
	put(t, v, "b", "2")
	wantContents(t, mustOpen(t, dir), "a=1\nb=2\n")
}

var makeSample = flag.Bool("sample", false, "write testdata/v1.vault anew; only for another version of the format")

// TestVersionOneStaysReadable opens a file that was written once and for all:
// a compacted snapshot, an update, a delete and a torn tail.
func TestVersionOneStaysReadable(t *testing.T) {
	const sample = "testdata/v1.vault"
	if *makeSample {
		v, dir := newVault(t)
		put(t, v, "a", "old")
		put(t, v, "gone", "x")
		if err := v.writeNext(); err != nil {
			t.Fatal(err)
		}
		put(t, v, "a", "new")
		v.Update(func(tx *Tx) error { tx.Delete("gone"); tx.Put("b", make([]byte, 3)); return nil })
		put(t, v, "torn", "x")
		b := specimen{dir: dir}.read(t)
		if err := os.WriteFile(sample, b[:len(b)-5], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(dir, folderMode); err != nil {
		t.Fatal(err)
	}
	v, err := specimen{dir: dir}.open(t, b)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	wantContents(t, v, "a=new\nb=\x00\x00\x00\n")
}

func fileSize(t testing.TB, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// writeNext compacts whatever the garbage.
func (v *Vault) writeNext() error {
	return v.transact(true, func() error {
		old := v.journal
		defer old.close()
		return v.writeGeneration(old.header.next())
	})
}
