package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/internal/cli"
)

// TestMain makes the test binary stand for p3dod, so that scripts (and a lab within a
// script) run the real program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"p3dod": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}})
}

func TestScripts(t *testing.T) {
	bin := buildClient(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Condition: hasPrograms,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"labenv": labEnv, "capture": capture, "waitfile": waitFile, "endnode": endNode, "sql": runSQL, "waitout": waitOut, "exits": exits, "waitexits": waitExits,
			"cut": cutNode, "nameserver": nameServer, "stub": stub, "zonetexts": zoneTexts, "responder": responder, "say": say, "onlyways": onlyWays,
		},
	})
}

// buildClient builds p3do, which is another program, for the scripts that need both.
func buildClient(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "p3do"), "../p3do").CombinedOutput()
	if err != nil {
		t.Fatalf("building p3do: %v\n%s", err, out)
	}
	return bin
}

// capture NAME FILE KEY puts the value of a key of the JSON object in FILE into $NAME.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture NAME FILE KEY")
	}
	value, err := jsonField(ts.ReadFile(args[1]), args[2])
	ts.Check(err)
	ts.Setenv(args[0], value)
}

// labEnv LAB.JSON sets P3DO_DNS, and for each node of the lab DIR_a, LINK_a and so on.
func labEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: labenv LAB.JSON")
	}
	m, err := readLab(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Setenv("P3DO_DNS", m.DNS)
	for _, n := range m.Nodes {
		letter := strings.TrimSuffix(n.Domain, ".test")
		ts.Setenv("DIR_"+letter, n.Dir)
		ts.Setenv("LINK_"+letter, n.Link)
		ts.Setenv("KEYS_"+letter, n.KeyServer)
	}
}
