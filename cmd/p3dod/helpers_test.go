package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/internal/lab"
)

const scriptWait = 60 * time.Second

func readLab(path string) (m lab.Map, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(raw, &m)
}

func jsonField(raw, key string) (string, error) {
	var value any
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		return "", err
	}
	for _, step := range strings.Split(key, ".") {
		var next any
		switch in := value.(type) {
		case map[string]any:
			next = in[step]
		case []any:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(in) {
				next = in[i]
			}
		}
		if next == nil {
			return "", fmt.Errorf("no %q in %s", key, raw)
		}
		value = next
	}
	return fmt.Sprint(value), nil
}

// waitFile FILE waits until a program in the background has made it.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile FILE")
	}
	path := ts.MkAbs(args[0])
	for deadline := time.Now().Add(scriptWait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	ts.Fatalf("%s did not appear", path)
}

// endNode LAB.JSON DOMAIN kills one node of a lab, and waits until it is gone.
func endNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: endnode LAB.JSON DOMAIN")
	}
	m, err := readLab(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, n := range m.Nodes {
		if n.Domain != args[1] {
			continue
		}
		ts.Check(syscall.Kill(n.PID, syscall.SIGKILL))
		for deadline := time.Now().Add(scriptWait); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if syscall.Kill(n.PID, 0) != nil {
				return
			}
		}
	}
	ts.Fatalf("%s did not end", args[1])
}

// runSQL FOLDER STATEMENT changes the database of a node by hand, while it serves or not.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FOLDER STATEMENT")
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(ts.MkAbs(args[0]), "node.db")+"?_pragma=busy_timeout(5000)")
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// exits STATUS COMMAND... runs a command that must end with that status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	if status := statusOf(ts, args[1:]); status != args[0] {
		ts.Fatalf("exit status %s, want %s", status, args[0])
	}
}

func statusOf(ts *testscript.TestScript, command []string) string {
	if err := ts.Exec(command[0], command[1:]...); err != nil {
		return strings.TrimPrefix(err.Error(), "exit status ")
	}
	return "0"
}

// waitExits STATUS COMMAND... runs a command until it ends with that status.
func waitExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitexits STATUS COMMAND...")
	}
	status := ""
	for deadline := time.Now().Add(scriptWait); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if status = statusOf(ts, args[1:]); status == args[0] {
			return
		}
	}
	ts.Fatalf("exit status %s, want %s", status, args[0])
}

// waitOut REGEXP COMMAND ARGS... runs a command until it ends well and what it writes matches.
func waitOut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitout REGEXP COMMAND ARGS...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(scriptWait); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = ts.Exec(args[1], args[2:]...); err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("no match for %s; the command: %v", args[0], err)
}
