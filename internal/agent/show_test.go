package agent

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// The test binary runs itself as another program on the same folder: readerEnv says what it
// does when it shows a message, folderEnv where.
const (
	readerEnv = "P3DO_AGENT_TEST_READER"
	folderEnv = "P3DO_AGENT_TEST_FOLDER"
)

// Readers. Each prints a line for every message: its text, and whether it says "again".
const (
	readsAll     = "all"    // and ends
	stopsBefore  = "before" // prints "begun", and then no more for ever
	stopsAfter   = "after"  // the same after its line
	stopsWithout = "never"  // after showing all, outside of Show
)

// otherReader is what such a program does.
func otherReader(role, folder string) error {
	a, err := Open(context.Background(), offline(folder))
	if err != nil {
		return err
	}
	defer a.Close()
	for ok := true; ok; {
		ok, err = a.Show(context.Background(), func(m Message) error {
			if role == stopsBefore {
				forever("begun")
			}
			fmt.Println(said(m))
			if role == stopsAfter {
				forever("begun")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if role == stopsWithout {
		forever("all shown")
	}
	return nil
}

// forever is until the program is killed, or the test that started it has ended.
func forever(text string) {
	fmt.Println(text)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func said(m Message) string { return fmt.Sprintf("%s %t", m.Text, m.Again) }

// offline is a folder that needs no network to be read.
func offline(folder string) Config {
	return Config{Home: folder, Passphrase: []byte("secret"), Dial: dial.Direct(), weak: true}
}

// inbox makes a folder with n texts in it that nobody has shown, "1" to "n".
func inbox(t *testing.T, n int) (*Agent, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "folder")
	a, err := openOrCreate(offline(folder))
	must(t, err)
	name, err := pki.ParseName("ann@a.test")
	must(t, err)
	id, err := newIdentity(rand.Reader, name)
	must(t, err)
	id.Certificate, id.Published = []byte("of a home that is not asked"), time.Now()
	must(t, a.vault.Update(func(tx *vault.Tx) error {
		for i := range n {
			if _, err := a.shelve(tx, message.Content{Name: name, Text: fmt.Sprint(i + 1)}, contact{Identity: pki.Fingerprint{1}, Chosen: true}); err != nil {
				return err
			}
		}
		return save(tx, keyIdentity, id)
	}))
	must(t, a.Close())
	return open(t, offline(folder)), folder
}

// startReader runs another program on the folder.
func startReader(t *testing.T, role, folder string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), readerEnv+"="+role, folderEnv+"="+folder)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // open as long as we are there
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() }) // already gone when the test went well
	return cmd, bufio.NewScanner(out)
}

// lines reads what a reader prints, up to a line or to its end.
func lines(s *bufio.Scanner, last string) (all []string) {
	for s.Scan() && s.Text() != last {
		all = append(all, s.Text())
	}
	return all
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

// A message whose showing was begun, by a program that was killed, is shown again and says
// so: before it was printed and after. One that was shown is not.
func TestKilledWhileShowing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ role, until, printed, rest string }{
		{stopsBefore, "begun", "", "1 true; 2 false"},
		{stopsAfter, "begun", "1 false", "1 true; 2 false"},
		{stopsWithout, "all shown", "1 false; 2 false", ""},
	} {
		a, folder := inbox(t, 2)
		cmd, out := startReader(t, c.role, folder)
		if printed := strings.Join(lines(out, c.until), "; "); printed != c.printed {
			t.Errorf("%s: printed %q, not %q", c.role, printed, c.printed)
		}
		if c.role != stopsWithout {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := a.Show(ended, func(Message) error { t.Errorf("%s: shown by two", c.role); return nil })
			if !errors.Is(err, ErrShowing) || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: waited: %v", c.role, err)
			}
		}
		kill(t, cmd)
		var rest []string
		for _, m := range shown(t, a) {
			rest = append(rest, said(m))
		}
		if got := strings.Join(rest, "; "); got != c.rest {
			t.Errorf("%s: then shown %q, not %q", c.role, got, c.rest)
		}
	}
}

// A program that waits for one that is killed goes on by itself.
func TestWaitsForTheKilled(t *testing.T) {
	t.Parallel()
	_, folder := inbox(t, 3)
	first, begun := startReader(t, stopsAfter, folder)
	lines(begun, "begun")
	second, out := startReader(t, readsAll, folder)
	kill(t, first)
	if got := strings.Join(lines(out, ""), "; "); got != "1 true; 2 false; 3 false" {
		t.Errorf("shown %q", got)
	}
	must(t, second.Wait())
}

// Programs that share a folder show each message once, in all, and never say again.
func TestTwoProgramsShow(t *testing.T) {
	t.Parallel()
	const n = 40
	_, folder := inbox(t, n)
	one, first := startReader(t, readsAll, folder)
	two, second := startReader(t, readsAll, folder)
	others := make(chan []string)
	go func() { others <- lines(second, "") }()
	times := make(map[string]int)
	for _, line := range append(lines(first, ""), <-others...) {
		times[line]++
	}
	must(t, errors.Join(one.Wait(), two.Wait()))
	for i := range n {
		if line := fmt.Sprintf("%d false", i+1); times[line] != 1 {
			t.Errorf("%q was shown %d times", line, times[line])
		}
	}
	if len(times) != n {
		t.Errorf("%d different lines: %v", len(times), times)
	}
}

// Killed whenever it may be: each message is printed, and more than once only if the later
// time says so.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	const n = 60
	a, folder := inbox(t, n)
	printed := make(map[string]int)
	note := func(line string) {
		number, again, _ := strings.Cut(line, " ")
		if printed[number] > 0 && again != "true" {
			t.Errorf("%s was shown again without a word", number)
		}
		printed[number]++
	}
	for range 4 {
		cmd, out := startReader(t, readsAll, folder)
		for range 1 + mathrand.IntN(10) {
			if out.Scan() {
				note(out.Text())
			}
		}
		must(t, cmd.Process.Kill())
		for _, line := range lines(out, "") { // what it printed before it died
			note(line)
		}
		_ = cmd.Wait()
	}
	for _, m := range shown(t, a) {
		note(said(m))
	}
	for i := range n {
		if printed[fmt.Sprint(i+1)] == 0 {
			t.Errorf("%d was never shown", i+1)
		}
	}
}

// What could not be shown is as unshown as before.
func TestShowFails(t *testing.T) {
	t.Parallel()
	a, _ := inbox(t, 1)
	broken := errors.New("no paper")
	for _, again := range []bool{false, true} {
		if again { // as a program leaves it that is killed
			_, _, err := a.beginShowing(prefixUnread)
			must(t, err)
		}
		for range 2 {
			ok, err := a.Show(t.Context(), func(m Message) error {
				if m.Again != again {
					t.Errorf("again: %t, not %t", m.Again, again)
				}
				return broken
			})
			if ok || !errors.Is(err, broken) {
				t.Errorf("shown: %t, %v", ok, err)
			}
		}
		summary, err := a.Summary()
		must(t, err)
		if summary.Unread != 1 {
			t.Errorf("%d unread", summary.Unread)
		}
	}
	if all := shown(t, a); len(all) != 1 || !all[0].Again {
		t.Errorf("shown %+v", all)
	}
	if all := shown(t, a); len(all) != 0 {
		t.Errorf("shown twice: %+v", all)
	}
}
