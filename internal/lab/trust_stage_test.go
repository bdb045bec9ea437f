package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	spelling "github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// trustPatience is how long one thing may take to come about, on a machine that has other
// things to do.
const trustPatience = time.Minute

// A stage is a lab of five, real processes all of them, and people at it who run p3do.
type stage struct {
	*lab
	t     *testing.T
	stage *testing.T // the test that ends last
	ctx   context.Context
	home  string // of the people's folders
}

func newStage(t *testing.T) *stage {
	dir := t.TempDir()
	for _, program := range []string{"p3do", "p3dod"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, program), "../../cmd/"+program)
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", program, err, said)
		}
	}
	dns, err := dnstxt.Listen("127.0.0.1:0", zone)
	fatal(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = dns.Run(ctx) })
	w := &stage{t: t, stage: t, ctx: ctx, home: dir}
	w.lab = &lab{cfg: Config{Dir: filepath.Join(dir, "lab"), Nodes: 5, Program: filepath.Join(dir, "p3dod"), Dial: dial.Direct(), Report: func(Step) {}}, responder: dns}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
	})
	fatal(t, os.WriteFile(filepath.Join(dir, "pass"), []byte("a long passphrase of my own\n"), 0o600))
	fatal(t, w.start(ctx))
	return w
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// on makes the stage that of a sub-test.
func (w *stage) on(t *testing.T) *stage {
	of := *w
	of.t = t
	return &of
}

// A said is what came of a command.
type said struct {
	t        *testing.T
	line     string
	status   int
	out, err string
}

func (w *stage) exec(program string, args ...string) said {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, trustPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.home, program), args...)
	cmd.Env = append(os.Environ(), "P3DO_DNS="+w.responder.Addr(), "P3DO_PASSPHRASE_FILE="+filepath.Join(w.home, "pass"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		w.t.Fatalf("%s %s: %v", program, args, err)
	}
	return said{w.t, program + " " + strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// p3do runs a command of somebody.
func (w *stage) p3do(who string, args ...string) said {
	w.t.Helper()
	return w.exec("p3do", append([]string{"--home", filepath.Join(w.home, who)}, args...)...)
}

// p3dod runs a command of an operator.
func (w *stage) p3dod(domain string, args ...string) said {
	w.t.Helper()
	return w.exec("p3dod", append(args, "--dir", w.of(domain).dir)...)
}

func (s said) exits(status int) said {
	s.t.Helper()
	if s.status != status {
		s.t.Fatalf("%s: exit status %d, want %d\n%s%s", s.line, s.status, status, s.out, s.err)
	}
	return s
}

// says holds what a command wrote against regular expressions, a line each.
func (s said) says(lines ...string) said {
	s.t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile("(?m)" + line).MatchString(s.out + s.err) {
			s.t.Fatalf("%s: no match for %s\n%s%s", s.line, line, s.out, s.err)
		}
	}
	return s
}

// keeps silent about what is not to be said.
func (s said) silent(pattern string) said {
	s.t.Helper()
	if found := regexp.MustCompile("(?m)" + pattern).FindString(s.out + s.err); found != "" {
		s.t.Fatalf("%s: says %q\n%s%s", s.line, found, s.out, s.err)
	}
	return s
}

// reads what --json printed.
func (s said) reads(into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.out), into); err != nil {
		s.t.Fatalf("%s: %v\n%s", s.line, err, s.out)
	}
}

// of is the node of a domain.
func (w *stage) of(domain string) *process {
	w.t.Helper()
	i := slices.IndexFunc(w.nodes, func(p *process) bool { return p.domain.String() == domain })
	if i < 0 {
		w.t.Fatalf("there is no node of %s", domain)
	}
	return w.nodes[i]
}

// await waits until something holds.
func (w *stage) await(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, trustPatience)
	defer cancel()
	for !holds() {
		if err := w.nodes[0].pause(ctx); err != nil {
			w.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// journal is what an operator is told of the key of another domain, of one kind.
func (w *stage) journal(at, about, kind string) (words []string) {
	w.t.Helper()
	var events []node.Event
	w.p3dod(at, "keys", "audit", "--json").exits(0).reads(&events)
	for _, e := range events {
		if e.Domain == about && e.Kind == kind {
			words = append(words, e.Words)
		}
	}
	return words
}

// told waits until each operator has so many events of that kind about a domain, and fails if
// one has more.
func (w *stage) told(about, kind string, n int) {
	w.t.Helper()
	for _, p := range w.nodes {
		at := p.domain.String()
		if at == about {
			continue
		}
		w.await(fmt.Sprintf("%d %s events about %s at %s", n, kind, about, at), func() bool {
			all := w.journal(at, about, kind)
			if len(all) > n {
				w.t.Fatalf("%s has %d %s events about %s: %q", at, len(all), kind, about, all)
			}
			return len(all) == n
		})
	}
}

// logged counts the lines of a node's log about such an event.
func (w *stage) logged(at, about, kind string) int {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.of(at).dir, logFile))
	fatal(w.t, err)
	return len(regexp.MustCompile(`(?m)key event.*kind=`+kind+` domain=`+about).FindAll(raw, -1))
}

// record is the DNS record of a domain as it is by right.
func (w *stage) record(domain string) dnstxt.Record {
	w.t.Helper()
	_, record, err := node.Record(w.of(domain).dir)
	fatal(w.t, err)
	return record
}

// swap has DNS name another key for a domain, and nothing else.
func (w *stage) swap(domain string) pki.Fingerprint {
	w.t.Helper()
	record := w.record(domain)
	record.Fingerprint = sha256.Sum256([]byte("another key of " + domain))
	fatal(w.t, w.responder.Set(w.of(domain).domain, record))
	return record.Fingerprint
}

// heal puts the record of a domain right.
func (w *stage) heal(domain string) {
	w.t.Helper()
	fatal(w.t, w.responder.Set(w.of(domain).domain, w.record(domain)))
}

// sql changes the database of a node by hand.
func (w *stage) sql(domain, statement string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.of(domain).dir, "node.db")+"?_pragma=busy_timeout(5000)")
	fatal(w.t, err)
	defer db.Close()
	_, err = db.Exec(statement, args...)
	fatal(w.t, err)
}

// first are the first words of a key.
func first(key pki.Fingerprint, n int) string {
	return strings.Join(strings.Fields(spelling.Of(key))[:n], " ") + " …"
}

// vouching are "c.test, d.test" and the like: two or more of the others.
const vouching = `([a-e]\.test(, | and )?){2,}`
