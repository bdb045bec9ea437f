package vault

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// The test binary runs itself as another process that uses the same vault:
// roleEnv says what to do there, dirEnv where.
const (
	roleEnv = "P3DO_VAULT_TEST_ROLE"
	dirEnv  = "P3DO_VAULT_TEST_DIR"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := otherProcess(role, os.Getenv(dirEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const increments = 200

func otherProcess(role, dir string) error {
	v, err := Open(dir, testPassphrase)
	if err != nil {
		return err
	}
	defer v.Close()
	switch role {
	case "increment":
		for range increments {
			if _, err := increment(v); err != nil {
				return err
			}
		}
		return nil
	case "report": // until killed
		for {
			n, err := increment(v)
			if err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
	return fmt.Errorf("no role %q", role)
}

// increment adds one to the counter and returns what it is now. Beside it it
// rewrites a large value, so that the file is compacted now and then.
func increment(v *Vault) (int, error) {
	var n int
	err := v.Update(func(tx *Tx) error {
		old, _ := tx.Get("counter")
		n, _ = strconv.Atoi(string(old))
		n++
		tx.Put("counter", []byte(strconv.Itoa(n)))
		tx.Put("large", make([]byte, 32<<10))
		return nil
	})
	return n, err
}

func counter(t testing.TB, v *Vault) int {
	t.Helper()
	var n int
	err := v.View(func(tx *Tx) error {
		b, ok := tx.Get("counter")
		if !ok {
			return nil
		}
		var err error
		n, err = strconv.Atoi(string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func startProcess(t testing.TB, role, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // already gone when the test went well
	return cmd, bufio.NewScanner(out)
}

func TestTwoProcessesLoseNoIncrement(t *testing.T) {
	v, dir := newVault(t)
	one, _ := startProcess(t, "increment", dir)
	two, _ := startProcess(t, "increment", dir)
	done := make(chan error, 1)
	go func() { done <- errors.Join(one.Wait(), two.Wait()) }()

	for last, running := 0, true; running; { // this process reads beside them
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		n := counter(t, v)
		if n < last {
			t.Fatalf("the counter went back from %d to %d", last, n)
		}
		last = n
	}
	if n := counter(t, v); n != 2*increments {
		t.Errorf("the counter is %d, want %d", n, 2*increments)
	}
	if v.journal.header.generation == 0 {
		t.Error("no compaction happened; this test should see some")
	}
}

func TestKilledWriterLosesNothingReported(t *testing.T) {
	_, dir := newVault(t)
	reported := 0
	for round := range 8 {
		cmd, lines := startProcess(t, "report", dir)
		for range 1 + rand.IntN(40) {
			if !lines.Scan() {
				t.Fatal("the writer stopped by itself")
			}
			reported, _ = strconv.Atoi(strings.TrimSpace(lines.Text()))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it died
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				reported = n
			}
		}
		cmd.Wait()
		v := mustOpen(t, dir)
		n := counter(t, v)
		v.Close()
		if n < reported {
			t.Fatalf("round %d: %d was reported as written, the vault says %d", round, reported, n)
		}
		if n > reported+1 {
			t.Fatalf("round %d: the vault says %d, at most %d was begun", round, n, reported+1)
		}
	}
}

func TestCompactionIsSeenByTheOther(t *testing.T) {
	v, dir := newVault(t)
	other := mustOpen(t, dir)
	put(t, v, "a", "1")
	wantContents(t, other, "a=1\n")
	if err := v.writeNext(); err != nil {
		t.Fatal(err)
	}
	put(t, v, "b", "2")
	wantContents(t, other, "a=1\nb=2\n")
	put(t, other, "c", "3")
	wantContents(t, v, "a=1\nb=2\nc=3\n")
	if a, b := v.journal.header, other.journal.header; a != b || a.generation != 1 {
		t.Errorf("generations %d and %d, want 1", a.generation, b.generation)
	}
}

func TestGarbageIsCompacted(t *testing.T) {
	v, dir := newVault(t)
	value := strings.Repeat("x", 100<<10)
	for i := range 60 { // 6 MB written, 100 kB of it live
		put(t, v, "k", value)
		put(t, v, fmt.Sprintf("small/%02d", i), "s")
	}
	if size := fileSize(t, dir); size > 2*minGarbage+2*int64(len(value)) {
		t.Errorf("the file has %d bytes", size)
	}
	if _, err := os.Stat(v.folder.next()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("vault.new: %v", err)
	}
	if got, want := contents(t, mustOpen(t, dir)), contents(t, v); got != want {
		t.Error("compaction changed the contents")
	}
}

func TestSnapshotOfSeveralRecords(t *testing.T) {
	v, dir := newVault(t)
	for i := range 3 { // 18 MiB: three records
		err := v.Update(func(tx *Tx) error {
			for j := range 6 {
				tx.Put(fmt.Sprintf("%d/%d", i, j), make([]byte, MaxValue))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := v.writeNext(); err != nil {
		t.Fatal(err)
	}
	if v.journal.seq != 3 {
		t.Errorf("the snapshot has %d records, want 3", v.journal.seq)
	}
	same := mustOpen(t, dir)
	if contents(t, same) != contents(t, v) {
		t.Error("the snapshot is not what was in memory")
	}
	s := specimen{dir: dir}
	whole := s.read(t)
	s.wantDamaged(t, "cut behind the first record", whole[:headerSize+maxRecordSize-(MaxValue*2)])
	s.wantDamaged(t, "last byte missing", whole[:len(whole)-1])
}

func TestLeftoverOfACrashedCompaction(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "a", "1")
	if err := os.WriteFile(v.folder.next(), []byte("half of something"), fileMode); err != nil {
		t.Fatal(err)
	}
	wantContents(t, mustOpen(t, dir), "a=1\n")
	if err := v.writeNext(); err != nil {
		t.Fatal(err)
	}
	wantContents(t, mustOpen(t, dir), "a=1\n")
}

// TestCompactionThatFails: an Update is durable before it compacts, so a
// compaction that cannot happen costs nothing but space.
func TestCompactionThatFails(t *testing.T) {
	v, dir := newVault(t)
	if err := os.MkdirAll(v.folder.next()+"/in the way", folderMode); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 400<<10)
	for range 8 {
		put(t, v, "k", value)
	}
	if size := fileSize(t, dir); size < 8*int64(len(value)) {
		t.Fatalf("the file has %d bytes; was it compacted?", size)
	}
	wantContents(t, mustOpen(t, dir), "k="+value+"\n")
	if err := os.RemoveAll(v.folder.next()); err != nil {
		t.Fatal(err)
	}
	put(t, v, "k", "small")
	wantContents(t, v, "k=small\n")
	if size := fileSize(t, dir); size > 4096 {
		t.Errorf("the file has %d bytes after a compaction that could happen", size)
	}
}
