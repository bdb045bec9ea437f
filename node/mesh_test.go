package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/pki"
)

// patience is how long a test waits for what should come; it never waits when it is there.
const patience = 90 * time.Second

// TestMain fails if a test left a goroutine of a node behind.
func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(operatorFolder)
	for deadline := time.Now().Add(time.Minute); code == 0; time.Sleep(time.Millisecond) {
		stack := leftover()
		if stack == "" {
			break
		}
		if time.Now().After(deadline) { // those that were told to end need a moment
			fmt.Printf("a goroutine is left:\n%s\n", stack)
			code = 1
		}
	}
	os.Exit(code)
}

// leftover is the stack of a goroutine of a node, if there is one.
func leftover() string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, left := range []string{"p3do/node.", "p3do/internal/session.", "p3do/internal/link.", "p3do/internal/store."} {
		for _, stack := range strings.Split(string(stacks), "\n\n") {
			if strings.Contains(stack, left) && !strings.Contains(stack, "node.TestMain") {
				return stack
			}
		}
	}
	return ""
}

// A journal is a log that many goroutines write and a test reads.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// A mesh is several real nodes on loopback with the DNS zone "test".
type mesh struct {
	t     testing.TB
	dns   *dnstxt.Responder
	log   *journal // of all nodes
	nodes map[string]*member
}

// A member is one node of a mesh, running or stopped.
type member struct {
	mesh    *mesh
	dir     string
	domain  pki.Domain
	kept    Offline // what its operator took away
	file    string  // where that is, and the words that open it, when it is needed
	words   string
	node    *Node // nil while stopped
	control *Control
	running Running
	stop    context.CancelFunc
	ended   chan error
}

// newMesh starts a node for each domain. They are not federated yet.
func newMesh(t testing.TB, domains ...string) *mesh {
	t.Helper()
	dns, err := dnstxt.Listen("127.0.0.1:0", "test")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var answering sync.WaitGroup
	answering.Go(func() { dns.Run(ctx) })
	t.Cleanup(func() { cancel(); answering.Wait() })
	m := &mesh{t: t, dns: dns, log: &journal{}, nodes: make(map[string]*member)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.log)
		}
	})
	for _, domain := range domains {
		m.add(domain, nil).start()
	}
	return m
}

// labConfig is the configuration of a node on loopback.
func labConfig(domain pki.Domain, dns string) Config {
	c := DefaultConfig(domain)
	c.Registration = RegistrationOpen
	c.Listen = Listen{Link: "127.0.0.1:0", KeyServer: "127.0.0.1:0"}
	c.Publish = Publish{}
	c.DNS.Server = dns
	c.Lab.Enabled = true
	c.Lab.ViewPace, c.Lab.Watch = Duration(50*time.Millisecond), Duration(time.Second)
	return c
}

// add makes the folder of a node; change, if not nil, alters its configuration first.
func (m *mesh) add(domain string, change func(*Config)) *member {
	m.t.Helper()
	d := parse(m.t, pki.ParseDomain, domain)
	c := labConfig(d, m.dns.Addr())
	if change != nil {
		change(&c)
	}
	n := &member{mesh: m, dir: filepath.Join(m.t.TempDir(), domain), domain: d}
	_, err := Init(n.dir, c, time.Now(), n.takeAway)
	must(m.t, err)
	m.nodes[domain] = n
	m.t.Cleanup(func() { must(m.t, n.end()) })
	return n
}

func (n *member) takeAway(o Offline) error {
	n.kept = o
	return nil
}

// start runs the node and publishes its record in DNS.
func (n *member) start() {
	t := n.mesh.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	node, err := Open(ctx, n.dir, Options{Dial: dial.Direct(), Public: dial.Public(), Log: slog.New(slog.NewTextHandler(n.mesh.log, nil)).With("at", n.domain)})
	must(t, err)
	ready := make(chan Running, 1)
	n.node, n.stop, n.ended = node, cancel, make(chan error, 1)
	go func() { n.ended <- node.Run(ctx, func(r Running) { ready <- r }) }()
	select {
	case n.running = <-ready:
	case err := <-n.ended:
		n.ended <- err
		t.Fatalf("%s ended: %v", n.domain, err)
	}
	n.control, err = NewControl(n.dir)
	must(t, err)
	domain, record, err := Record(n.dir)
	must(t, err)
	must(t, n.mesh.dns.Set(domain, record))
}

// end stops the node if it runs, and returns what Run did.
func (n *member) end() error {
	if n.node == nil {
		return nil
	}
	n.node = nil
	n.stop()
	select {
	case err := <-n.ended:
		return err
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		return fmt.Errorf("%s does not end:\n%s", n.domain, stacks[:runtime.Stack(stacks, true)])
	}
}

// federate makes every two of the given domains peers, and waits until all know all and have
// a link with each other: they may know of one from the others alone.
func (m *mesh) federate(domains ...string) {
	m.t.Helper()
	for _, a := range domains {
		for _, b := range domains {
			if a != b {
				m.peer(a, b)
			}
		}
	}
	m.settled(domains...)
	for _, domain := range domains {
		m.until(domain+" to have links with all", func() error {
			if have := len(m.status(domain).Links); have < len(domains)-1 {
				return fmt.Errorf("%d links", have)
			}
			return nil
		})
	}
}

// peer has a federate with b.
func (m *mesh) peer(a, b string) PeerStatus {
	m.t.Helper()
	state, err := m.nodes[a].control.AddPeer(m.t.Context(), m.nodes[b].domain)
	must(m.t, err)
	return state
}

// settled waits until each of the domains knows the descriptors and contexts of all.
func (m *mesh) settled(domains ...string) {
	m.t.Helper()
	for _, domain := range domains {
		m.until(domain+" to know all", func() error {
			s := m.status(domain)
			if s.Servers != len(domains) || s.Known != len(domains)-1 {
				return fmt.Errorf("%d servers, %d contexts of others", s.Servers, s.Known)
			}
			return nil
		})
	}
}

// linked waits until domain has n links.
func (m *mesh) linked(domain string, n int) {
	m.t.Helper()
	m.until(fmt.Sprintf("%s to have %d links", domain, n), func() error {
		if have := len(m.status(domain).Links); have != n {
			return fmt.Errorf("%d links", have)
		}
		return nil
	})
}

func (m *mesh) status(domain string) Status {
	m.t.Helper()
	s, err := m.nodes[domain].control.Status(m.t.Context())
	must(m.t, err)
	return s
}

func (m *mesh) counters(domain string) ContextStatus {
	m.t.Helper()
	return m.status(domain).Contexts[0]
}

// until polls until it returns nil, and fails with what it said last.
func (m *mesh) until(what string, holds func() error) {
	m.t.Helper()
	until(m.t, what, holds)
}

func until(t testing.TB, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
		wait(t.Context(), 10*time.Millisecond)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parse[T any](t testing.TB, parse func(string) (T, error), text string) T {
	t.Helper()
	v, err := parse(text)
	must(t, err)
	return v
}

// wantErr fails unless err is target.
func wantErr(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("err = %v, want %v", err, target)
	}
}

// wantText fails unless err says all of texts.
func wantText(t testing.TB, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("err = %v, want one with %q", err, text)
		}
	}
}
