package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// blocks are the lines of each block of a page of Markdown that is in a language, without
// empty ones. A line of shell that ends in a backslash goes on in the next one.
func blocks(markdown, language string) (all [][]string) {
	inside, more := false, ""
	for line := range strings.Lines(markdown) {
		line = more + strings.TrimSpace(line)
		more = ""
		switch before, goesOn := strings.CutSuffix(line, "\\"); {
		case line == "```"+language:
			inside = true
			all = append(all, nil)
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && goesOn && language == "sh":
			more = before
		case inside && line != "":
			all[len(all)-1] = append(all[len(all)-1], line)
		}
	}
	return all
}

// block is the one block of a page that is in a language and whose first line begins so, as
// it stands there.
func block(t *testing.T, markdown, language, begins string) string {
	t.Helper()
	_, after, found := strings.Cut(markdown, "\n```"+language+"\n"+begins)
	text, more, ended := strings.Cut(after, "\n```")
	if !found || !ended || strings.Contains(more, "\n```"+language+"\n"+begins) {
		t.Fatalf("the page has not one block of %s that begins with %s", language, begins)
	}
	return begins + text + "\n"
}

// expected are the parts, divided by " ... ", of what a line must print: what stands behind
// a # where one of our programs is run.
func expected(line string) []string {
	command, comment, found := strings.Cut(line, " # ")
	program, _, _ := strings.Cut(strings.TrimPrefix(command, "./"), " ")
	if !found || program != "p3do" && program != "p3dod" {
		return nil
	}
	return strings.Split(strings.TrimSpace(comment), " ... ")
}

// lacks returns the first of parts that is not in printed.
func lacks(printed string, parts []string) (part string, found bool) {
	for _, part := range parts {
		if !strings.Contains(printed, part) {
			return part, true
		}
	}
	return "", false
}

// A terminal is a shell that stays: what one line sets, the next one finds.
type terminal struct {
	t   *testing.T
	dir string
	in  io.Writer
	out *os.File
	buf *bufio.Reader
}

// newTerminal opens a shell in dir, which ends with the test. env is added to the test's own.
func newTerminal(t *testing.T, dir string, env ...string) *terminal {
	t.Helper()
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = theirs, theirs
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it was killed with the test's context
		out.Close()
	})
	return &terminal{t, dir, in, out, bufio.NewReader(out)}
}

// mark is what the shell says behind each line, with the line's exit status.
const mark = "== typed:"

// types types one line, and returns what it printed and its exit status.
func (s *terminal) types(line string) (printed string, status int) {
	s.t.Helper()
	if err := s.out.SetReadDeadline(time.Now().Add(5 * scriptWait)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.in, "%s\nprintf '\\n%s %%d\\n' $?\n", line, mark); err != nil {
		s.t.Fatalf("%s\n%v", line, err)
	}
	var said strings.Builder
	for {
		out, err := s.buf.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%s\nsays no more: %v, after:\n%s%s", line, err, &said, out)
		}
		if _, err := fmt.Sscanf(out, mark+" %d\n", &status); err == nil {
			return strings.TrimSuffix(said.String(), "\n"), status
		}
		said.WriteString(out)
	}
}

// shows types a line that must succeed and print what stands behind its #. A line that only
// looks is typed again until it does.
func (s *terminal) shows(line string) (printed string) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * scriptWait); ; time.Sleep(100 * time.Millisecond) {
		printed, status := s.types(line)
		missing, lacking := lacks(printed, expected(line))
		if status == 0 && !lacking {
			return printed
		}
		if !looks(line) || time.Now().After(deadline) {
			s.t.Fatalf("%s\nends with %d, and lacks %q in:\n%s", line, status, missing, printed)
		}
	}
}

// fails types a line that must end with a status, and print something.
func (s *terminal) fails(line string, want int, parts ...string) {
	s.t.Helper()
	printed, status := s.types(line)
	if missing, lacking := lacks(printed, parts); status != want || lacking {
		s.t.Fatalf("%s\nends with %d, not %d, or lacks %q in:\n%s", line, status, want, missing, printed)
	}
}

// looks reports whether a line changes nothing, so that it may be typed again.
func looks(line string) bool {
	for _, command := range []string{"p3dod peer list ", "p3dod status ", "p3dod doctor ", "p3dod dns check ", "p3do status ", "p3do check "} {
		if strings.HasPrefix(line, command) {
			return true
		}
	}
	return false
}
