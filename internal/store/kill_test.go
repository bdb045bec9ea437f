package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const killEnv = "P3DO_STORE_KILL_TEST"

// The child of TestKilledProcessLosesNothing: it writes from several goroutines
// and says a number only after the store said that it is durable.
func TestMain(m *testing.M) {
	if path := os.Getenv(killEnv); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path)
	if err == nil {
		err = s.Claim(ctx, fp(1), []Address{box(10, Contact)})
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	start, _ := s.Marks(ctx, noon)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := len(start) + w; ; n += 8 {
				_, err := s.Deposit(ctx, Item{Mailbox: fp(10), ID: id(n), Body: make([]byte, 2000), At: noon})
				if err == nil {
					fmt.Println("item", n)
					err = s.Remember(ctx, []Mark{{id(n), 1, noon.AddDate(0, 0, 1)}})
				}
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Println("mark", n)
			}
		})
	}
	wg.Wait()
}

func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	told := map[string]map[int]bool{"item": {}, "mark": {}}
	for range 6 {
		killAfter(t, path, 1+rand.IntN(250), told)
		s, err := Open(t.Context(), path)
		must(t, err)
		missing := missingRows(t, s, told)
		must(t, s.Close())
		if len(missing) > 0 {
			t.Fatalf("reported as durable and gone: %v", missing)
		}
	}
	if len(told["item"]) == 0 || len(told["mark"]) == 0 {
		t.Fatalf("the children told nothing: %v", told)
	}
}

// killAfter runs a child, kills it after so many lines and reads what it had
// said by then.
func killAfter(t *testing.T, path string, lines int, told map[string]map[int]bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	scan := bufio.NewScanner(out)
	for i := 0; scan.Scan(); i++ {
		var what string
		var n int
		if _, err := fmt.Sscanf(scan.Text(), "%s %d", &what, &n); err != nil || told[what] == nil {
			t.Errorf("child: %s", scan.Text())
		} else {
			told[what][n] = true
		}
		if i == lines {
			must(t, child.Process.Kill())
		}
	}
	_ = child.Wait() // "signal: killed"
}

func missingRows(t *testing.T, s *Store, told map[string]map[int]bool) (missing []string) {
	t.Helper()
	have := map[string]map[[16]byte]bool{"item": {}, "mark": {}}
	for after := int64(0); ; {
		items, err := s.Items(t.Context(), fp(1), after, MaxPage)
		must(t, err)
		if len(items) == 0 {
			break
		}
		for _, it := range items {
			have["item"][it.ID], after = true, it.Seq
		}
	}
	marks, err := s.Marks(t.Context(), noon)
	must(t, err)
	for _, m := range marks {
		have["mark"][m.ID] = true
	}
	for what, numbers := range told {
		for n := range numbers {
			if !have[what][id(n)] {
				missing = append(missing, fmt.Sprint(what, " ", n))
			}
		}
	}
	return missing
}
