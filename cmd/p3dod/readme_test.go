package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/p3do/p3do/internal/lab"
)

// TestReadme does what the README tells a newcomer to do: its first block starts a lab, and
// its second is typed into a shell. What stands behind a # on a line that runs ./p3do must
// be in what that line prints, in parts divided by " ... ".
func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := blocks(string(raw), "sh")
	if len(blocks) < 2 || len(blocks[0]) != 1 {
		t.Fatal("the README's first block must be the lab's command line, and its second the session")
	}
	args, ok := strings.CutPrefix(blocks[0][0], "go run ./cmd/p3dod ")
	if !ok {
		t.Fatalf("the README's first command is %q", blocks[0][0])
	}
	mesh := startLab(t, strings.Fields(args))
	dir := t.TempDir()
	shell := newTerminal(t, dir)
	for _, line := range adapt(t, blocks[1], mesh, dir) {
		shell.shows(line)
	}
	for line := range strings.Lines(tryIt(lab.Step{DNS: mesh.DNS})) {
		line = strings.TrimSpace(line)
		typed := func(l string) bool { return strings.HasPrefix(l, line) }
		if strings.HasPrefix(line, "./p3do ") && !slices.ContainsFunc(blocks[1], typed) {
			t.Errorf("the lab tells people to type %q, and the README does not", line)
		}
	}
}

// startLab runs p3dod with args until the test ends, and waits for its demonstration.
func startLab(t *testing.T, args []string) lab.Map {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "p3dod", append(args, "--json")...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended })
	var step lab.Step
	for steps := json.NewDecoder(out); step.Step != lab.StepDone; {
		step = lab.Step{}
		if err := steps.Decode(&step); err != nil {
			close(ended)
			t.Fatalf("the lab ended early: %v, %v", err, cmd.Wait())
		}
	}
	go func() { // t.Context ends before the clean-up; a lab that is interrupted ends well
		defer close(ended)
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("the lab: %v", err)
		}
	}()
	m, err := readLab(filepath.Join(step.Dir, "lab.json"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// adapt has the session ask the lab that runs, and keep all that it makes in dir.
func adapt(t *testing.T, lines []string, mesh lab.Map, dir string) []string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	lines = slices.Clone(lines)
	dns, builds := 0, 0
	for i, line := range lines {
		switch line = strings.ReplaceAll(line, "/tmp/", dir+"/"); {
		case strings.HasPrefix(line, "export P3DO_DNS="):
			dns++
			line = "export P3DO_DNS=" + mesh.DNS
		case line == "go build ./cmd/p3do":
			builds++
			line = fmt.Sprintf("go build -C '%s' -o '%s/p3do' ./cmd/p3do", root, dir)
		}
		lines[i] = line
	}
	if dns != 1 || builds != 1 {
		t.Errorf("the session sets P3DO_DNS %d times, and builds p3do %d times", dns, builds)
	}
	return lines
}
