package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dnsserver"
	"github.com/p3do/p3do/node"
)

// calls are the system calls with which a program opened ways to the network, as strace tells.
type calls struct {
	strace, file string
}

func newCalls(t *testing.T) *calls {
	return &calls{dnsserver.Program(t, "strace"), filepath.Join(t.TempDir(), "calls")}
}

// of is a program that is watched, with those that it starts.
func (c *calls) of(args ...string) *exec.Cmd {
	return exec.Command(c.strace, append([]string{"-f", "-qq", "-e", "trace=network", "-A", "-o", c.file}, args...)...)
}

var connects = regexp.MustCompile(`connect\(\d+, \{sa_family=(AF_\w+), (?:sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)|sun_path="([^"]+)")?`)

// ways is waysOf what was watched.
func (c *calls) ways(t *testing.T, dir string) (to map[string]int, wrong []string) {
	t.Helper()
	raw, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	return waysOf(string(raw), dir)
}

// onlyWays FILE ADDRESS... wants what strace wrote into a file to have connected to each of these, and to nothing else.
func onlyWays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: onlyways FILE ADDRESS...")
	}
	to, wrong := waysOf(ts.ReadFile(args[0]), "/")
	for _, address := range args[1:] {
		if to[address] == 0 {
			ts.Fatalf("it has not connected to %s", address)
		}
		delete(to, address)
	}
	if len(to) > 0 || len(wrong) > 0 {
		ts.Fatalf("it has connected to %v; and %s", to, wrong)
	}
}

// waysOf are the addresses that were connected to over TCP, and how often; and all calls that lead
// elsewhere, but to sockets in a folder.
func waysOf(said, dir string) (to map[string]int, wrong []string) {
	to = make(map[string]int)
	for line := range strings.Lines(said) {
		if strings.Contains(line, "AF_INET") && strings.Contains(line, "SOCK_DGRAM") || strings.Contains(line, "sendto(") && strings.Contains(line, "sin_port") {
			wrong = append(wrong, line)
		}
		if !strings.Contains(line, "connect(") || strings.Contains(line, "<... connect") {
			continue
		}
		m := connects.FindStringSubmatch(line)
		switch {
		case m != nil && m[1] == "AF_INET":
			to[m[3]+":"+m[2]]++
		case m == nil || m[1] != "AF_UNIX" || !strings.HasPrefix(m[4], dir):
			wrong = append(wrong, line)
		}
	}
	return to, wrong
}

// What asks over UDP is seen, and so is who connects elsewhere.
func TestCallsAreSeen(t *testing.T) {
	c, dig := newCalls(t), dnsserver.Program(t, "dig")
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.LocalAddr().String())
	for option, seen := range map[string]func(map[string]int, []string) bool{
		"+notcp": func(_ map[string]int, wrong []string) bool { return len(wrong) > 0 },
		"+tcp":   func(to map[string]int, _ []string) bool { return to["127.0.0.1:"+port] > 0 },
	} {
		if err := os.RemoveAll(c.file); err != nil {
			t.Fatal(err)
		}
		c.of(dig, "@127.0.0.1", "-p", port, "+tries=1", "+time=1", option, "a.test").Run() // there is no answer
		if to, wrong := c.ways(t, "/"); !seen(to, wrong) {
			t.Errorf("%s: saw %v, %v", option, to, wrong)
		}
	}
}

// An operator's and a user's programs, traced: they make no UDP socket, and connect to the DNS
// server that they are told, to what its record names, and to nothing else.
func TestLookUpsLeaveByTCPOnly(t *testing.T) {
	c := newCalls(t)
	zone, err := dnstxt.Listen("127.0.0.1:0", "example")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- zone.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
	home := t.TempDir()
	dir, passphrase := filepath.Join(home, "node"), filepath.Join(home, "passphrase")
	if err := os.WriteFile(passphrase, []byte("a long passphrase of my own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		cmd := c.of(args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "P3DO_DNS="+zone.Addr(), "P3DO_PASSPHRASE_FILE="+passphrase)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	client := filepath.Join(buildClient(t), "p3do")
	link, keys := freeAddress(t), freeAddress(t)
	run("p3dod", "init", "a.example", "--dir", dir, "--offline", filepath.Join(t.TempDir(), "a.age"), "--registration", "open", "--listen", link, "--listen-keyserver", keys, "--dns", zone.Addr())
	serve := c.of("p3dod", "serve", "--dir", dir, "--end-with-stdin")
	alive, err := serve.StdinPipe()
	if err == nil {
		err = serve.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		alive.Close()
		if err := serve.Wait(); err != nil {
			t.Error(err)
		}
		want := map[string]bool{zone.Addr(): true, link: true, keys: true}
		got, wrong := c.ways(t, home)
		if len(wrong) > 0 {
			t.Errorf("other ways out: %s", wrong)
		}
		for address := range got {
			if !want[address] {
				t.Errorf("connected to %s", address)
			}
		}
		if got[zone.Addr()] < 3 || got[link] == 0 || got[keys] == 0 { // new, doctor and the node: what is traced is what happens
			t.Errorf("connected to %v", got)
		}
	}()
	for deadline := time.Now().Add(scriptWait); ; time.Sleep(20 * time.Millisecond) {
		if _, err = node.ReadRunning(dir); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	domain, record, err := node.Record(dir)
	if err == nil {
		err = zone.Set(domain, record)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("publishing: %w", err))
	}
	run(client, "new", "ann@a.example")
	run("p3dod", "doctor", "--dir", dir)
	cmd := c.of("p3dod", "peer", "verify", "b.example", "--dir", dir) // of whom there is nothing: the node looks
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("found somebody: %s", out)
	}
}
