package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/cli"
)

// What a hint of the DNS commands shows can be pasted into a shell, the remark with it; places to be filled in are words.
func TestHintsArePasteable(t *testing.T) {
	for _, h := range publishHints {
		hint := cli.Pasteable(h.hint)
		if out, err := exec.Command("sh", "-n", "-c", hint).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", hint, out)
		}
		if command, _, _ := strings.Cut(hint, "#"); strings.TrimSpace(command) == "" {
			t.Errorf("%q is a remark only", hint)
		}
	}
}
