package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminals are both ends of a terminal: what a person has, and what a program.
func terminals(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { person.Close() })
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// echoes tells whether a terminal shows what is typed.
func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	modes, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return modes.Lflag&unix.ECHO != 0
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// What is typed is read, and not shown; afterwards the terminal shows what is typed as before.
func TestAsk(t *testing.T) {
	person, program := terminals(t)
	if tty, ok := Terminal(program); !ok || tty != program {
		t.Error("it is no terminal")
	}
	if _, ok := Terminal(strings.NewReader("x")); ok {
		t.Error("a text is a terminal")
	}
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := Ask(t.Context(), program, program, "Say it: ")
		got <- answer{line, err}
	}()
	waitFor(t, "it goes on to show what is typed", func() bool { return !echoes(t, program) })
	if _, err := person.WriteString("brave otter\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.err != nil || string(a.line) != "brave otter" || !echoes(t, program) {
		t.Errorf("%q %v", a.line, a.err)
	}
	shown := make([]byte, 100)
	n, err := person.Read(shown)
	if err != nil || strings.Contains(string(shown[:n]), "otter") || !strings.HasPrefix(string(shown[:n]), "Say it: ") {
		t.Errorf("%q %v", shown[:n], err)
	}
}

// Who is interrupted at the prompt has her terminal back.
func TestAskInterrupted(t *testing.T) {
	_, program := terminals(t)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := Ask(ctx, program, program, "Say it: ")
		got <- err
	}()
	waitFor(t, "it goes on to show what is typed", func() bool { return !echoes(t, program) })
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) || !echoes(t, program) {
		t.Errorf("%v, shown: %v", err, echoes(t, program))
	}
}
