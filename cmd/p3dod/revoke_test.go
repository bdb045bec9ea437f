package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/lab"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// ended is what a node says of a key or a name that is no more.
var ended = regexp.MustCompile(`the key of a[a-z]+@a.test was revoked|a.test has ended the name a[a-z]+@a.test`)

// obeyedIn is how long the end of a key or a name may take to come to every node.
const obeyedIn = 10 * time.Second

// A bigLab is a lab of some nodes, as processes, which a test kills as it likes.
type bigLab struct {
	t     *testing.T
	dir   string
	env   []string
	bin   string // where p3do is
	nodes lab.Map
}

// All that ends a key or a name reaches each live node of ten within seconds, while the home is
// dead: said by the home just before, by the key itself, by the file that was kept for that, and
// by the offline root; the last one by way of a node that is killed as soon as it has taken it.
// Nobody lets her in then.
func TestRevocationReachesAll(t *testing.T) {
	l := newBigLab(t, 10)
	users := map[string]*agent.Agent{}
	for _, user := range []string{"ann", "amy", "ada", "art"} {
		l.p3do(0, user, "new", user+"@a.test")
		users[user] = l.agent(user)
	}
	l.p3do(0, "amy", "backup", "--revocation", "amy.file")
	l.p3do(0, "ada", "login", "--via", "f.test") // which has a copy of her card from then on
	offline := filepath.Join(l.dir, "lab", "offline", "a.test")

	began := time.Now()
	l.run(0, "p3dod", "user", "revoke", "art", "--dir", l.node("a.test").Dir)
	l.refused(users["art"], "b.test")
	l.kill("a.test")
	l.reached("user revoke at home, which is killed then", users["art"], began)

	began = time.Now()
	l.p3do(0, "ann", "revoke", "--yes")
	l.reached("revoke with the folder", users["ann"], began)

	began = time.Now()
	l.p3do(0, "nobody", "revoke", "--key", "amy.file", "--via", "e.test", "--yes")
	l.reached("revoke with the file", users["amy"], began)

	began = time.Now()
	l.run(0, "p3dod", "revoke", "ada@a.test", "--offline", offline+".age", "--words-from", offline+".words", "--via", "f.test")
	l.kill("f.test")
	l.restart("f.test")
	l.reached("revoke with the offline root, and the node killed that took it", users["ada"], began)

	var asking sync.WaitGroup
	for user := range users {
		asking.Go(func() {
			for _, n := range l.nodes.Nodes[1:] {
				if text := l.p3do(6, user, "login", "--via", n.Domain); !ended.MatchString(text) {
					t.Errorf("%s at %s: %s", user, n.Domain, text)
				}
			}
		})
	}
	asking.Wait()
}

func newBigLab(t *testing.T, nodes int) *bigLab {
	t.Helper()
	l := &bigLab{t: t, dir: t.TempDir(), bin: buildClient(t)}
	pass := filepath.Join(l.dir, "pass")
	l.must(os.WriteFile(pass, []byte(lab.UserPassphrase), 0o600))
	l.env = append(os.Environ(), "HOME="+l.dir, "P3DO_PASSPHRASE_FILE="+pass)
	cmd := exec.Command("p3dod", "lab", "-n", strconv.Itoa(nodes), "--dir", filepath.Join(l.dir, "lab"))
	cmd.Dir, cmd.Env = l.dir, l.env
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	l.must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("the lab: %s", said.String())
		}
	})
	l.until("the lab to be there", scriptWait, func() (err error) {
		l.nodes, err = readLab(filepath.Join(l.dir, "lab", "lab.json"))
		return err
	})
	l.env = append(l.env, "P3DO_DNS="+l.nodes.DNS)
	return l
}

func (l *bigLab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// until waits for something that a program in the background does.
func (l *bigLab) until(what string, patience time.Duration, done func() error) {
	l.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = done(); err == nil {
			return
		}
	}
	l.t.Fatalf("waiting for %s: %v", what, err)
}

func (l *bigLab) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = l.dir, l.env
	return cmd
}

// run runs a program that must end with that status, and returns what it says.
func (l *bigLab) run(status int, program string, args ...string) string {
	cmd := l.command(program, args...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != status {
		l.t.Errorf("%s %s: %v: %s", program, strings.Join(args, " "), err, text)
	}
	return string(text)
}

// p3do is what somebody types who has a folder.
func (l *bigLab) p3do(status int, user string, args ...string) string {
	return l.run(status, filepath.Join(l.bin, "p3do"), append([]string{"--home", user}, args...)...)
}

// agent is that folder in this process.
func (l *bigLab) agent(user string) *agent.Agent {
	l.t.Helper()
	a, err := agent.Open(l.t.Context(), agent.Config{
		Home: filepath.Join(l.dir, user), Passphrase: []byte(lab.UserPassphrase), DNS: l.nodes.DNS, Dial: dial.Direct(),
	})
	l.must(err)
	l.t.Cleanup(func() { a.Close() })
	return a
}

func (l *bigLab) node(domain string) *lab.Placed {
	for i, n := range l.nodes.Nodes {
		if n.Domain == domain {
			return &l.nodes.Nodes[i]
		}
	}
	l.t.Fatalf("there is no %s", domain)
	return nil
}

// kill ends a node as a power cut would.
func (l *bigLab) kill(domain string) {
	l.t.Helper()
	pid := l.node(domain).PID
	l.must(syscall.Kill(pid, syscall.SIGKILL))
	l.until(domain+" to be dead", scriptWait, func() error {
		if syscall.Kill(pid, 0) == nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// restart starts a node that was killed, where it was, perhaps with another configuration. It
// ends with this test.
func (l *bigLab) restart(domain string, change ...func(*node.Config)) {
	l.t.Helper()
	n := l.node(domain)
	path := filepath.Join(n.Dir, node.ConfigFile)
	c, err := node.ReadConfig(path)
	l.must(err)
	for _, f := range change {
		f(&c)
	}
	c.Listen = node.Listen{Link: n.Link, KeyServer: n.KeyServer}
	l.must(os.WriteFile(path, []byte(c.Text()), 0o600))
	l.must(node.ForgetRunning(n.Dir))
	cmd := exec.Command("p3dod", "serve", "--dir", n.Dir, "--end-with-stdin")
	alive, err := cmd.StdinPipe()
	l.must(err)
	cmd.Stderr = io.Discard
	l.must(cmd.Start())
	n.PID = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	l.t.Cleanup(func() {
		alive.Close()
		<-ended // how is another test's
	})
	l.until(domain+" to serve", scriptWait, func() error {
		_, err := node.ReadRunning(n.Dir)
		return err
	})
}

// refused waits until a node lets a user in no more.
func (l *bigLab) refused(a *agent.Agent, at string) {
	l.t.Helper()
	domain, err := pki.ParseDomain(at)
	l.must(err)
	l.until(at+" to refuse her", scriptWait, func() error {
		ctx, cancel := context.WithTimeout(l.t.Context(), scriptWait)
		defer cancel()
		_, err := a.Login(ctx, domain)
		var refused *session.Error
		if errors.As(err, &refused) && refused.Code == session.Refused && ended.MatchString(refused.Text) {
			return nil
		}
		return fmt.Errorf("login: %w", err)
	})
}

// reached waits until each live node refuses a user, and holds that to the time that it may take.
func (l *bigLab) reached(what string, a *agent.Agent, began time.Time) {
	l.t.Helper()
	for _, n := range l.nodes.Nodes[1:] {
		l.refused(a, n.Domain)
	}
	took := time.Since(began)
	if l.t.Logf("%s: at all nodes after %.1f s", what, took.Seconds()); took > obeyedIn {
		l.t.Errorf("%s: it took %v", what, took)
	}
}
