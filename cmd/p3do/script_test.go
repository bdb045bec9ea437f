package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/pki"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"p3do": func() { os.Exit(p3do()) }})
}

// TestScripts holds what p3do says without a network. Scripts with one are cmd/p3dod's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits STATUS COMMAND... runs a command that must end with that status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := "0"
	if err != nil {
		status = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if status != args[0] {
		ts.Fatalf("exit status %s, want %s", status, args[0])
	}
}

// TestNoJargon: nobody needs to know about the machinery to use it (row P4a).
func TestNoJargon(t *testing.T) {
	commands := []string{""}
	for _, c := range new(command).root().Commands() {
		commands = append(commands, c.Name())
	}
	for _, name := range []string{"new", "login", "backup", "revoke", "wipe", "send", "read", "add", "check"} {
		if !slices.Contains(commands, name) {
			t.Errorf("there is no p3do %s", name)
		}
	}
	for _, command := range commands {
		var out, errs strings.Builder
		args := append(strings.Fields(command), "--help")
		if status := run(t.Context(), args, strings.NewReader(""), &out, &errs); status != 0 {
			t.Errorf("p3do %s --help: exit status %d: %s", command, status, errs.String())
		}
		for _, word := range []string{"cipher", "ring", "pem", "nonce"} {
			if strings.Contains(strings.ToLower(out.String()), word) {
				t.Errorf("p3do %s --help says %q:\n%s", command, word, out.String())
			}
		}
	}
}

func TestIndented(t *testing.T) {
	for text, want := range map[string]string{
		"hello":             "  hello",
		"two\nlines":        "  two\n  lines",
		"a\x1b[2Jb\rc":      "  a\ufffd[2Jb\ufffdc",
		"tab\tand \u202e ü": "  tab\tand \ufffd ü",
	} {
		if got := indented(text); got != want {
			t.Errorf("indented(%q) = %q, want %q", text, got, want)
		}
	}
}

// Keys that changed and cards that nobody vouches for end a command with exit status 4,
// also when it is the server that found out (rows K1, T3).
func TestUntrusted(t *testing.T) {
	name, err := pki.ParseName("x@b.test")
	if err != nil {
		t.Fatal(err)
	}
	for text, err := range map[string]error{
		"b.test's key server shows another key.": session.Errorf(session.WrongKey, "b.test's key server shows another key"),
		"a.test may not sign for b.test.":        &agent.CardError{Name: name, Cause: errors.New("a.test may not sign for b.test")},
		"b.test now shows a different key":       &pki.KeyChangedError{Subject: "b.test"},
	} {
		var f *cli.Failure
		if !errors.As(failure(err), &f) || f.Status != cli.KeyChanged ||
			!strings.Contains(f.Text, text) || !strings.Contains(f.Text, "Nothing was sent.") {
			t.Errorf("%v: %+v", err, f)
		}
	}
}

// What a contact says of her home's key nobody else has shown, and nothing was to be sent.
func TestCertifiedByAnotherKey(t *testing.T) {
	name, err := pki.ParseName("ann@a.test")
	if err != nil {
		t.Fatal(err)
	}
	letter := &agent.CertifiedError{Name: name, Changed: &pki.KeyChangedError{Subject: "a.test"}}
	var f *cli.Failure
	if !errors.As(failure(errors.Join(nil, letter)), &f) || f.Status != cli.KeyChanged ||
		!strings.HasPrefix(f.Text, "a letter of ann@a.test is certified by another key of a.test than the known one: ") {
		t.Errorf("%+v", f)
	}
}
