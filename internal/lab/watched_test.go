package lab

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// meshPatience is how long a conversation through a mesh in this process may take, on a
// machine that has other things to do.
const meshPatience = 3 * time.Minute

// watched is a node in this process.
type watched struct {
	dir     string
	domain  pki.Domain
	running node.Running
	link    string          // where it waits for links, from its first start on
	print   pki.Fingerprint // of its authority, as DNS has it
	stop    func()
}

// startWatched runs five nodes in this process, in the lab's ring with chords. What they dial
// is watched by w; their log and the faults of their links are those of o.
func startWatched(t *testing.T, w *watcher, o node.Options) []*watched {
	t.Helper()
	return startEach(t, w, func(int) node.Options { return o })
}

// startEach is startWatched with options for each. A door that they have is watched by itself.
func startEach(t *testing.T, w *watcher, each func(i int) node.Options) []*watched {
	t.Helper()
	dns, err := dnstxt.Listen("127.0.0.1:0", zone)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = dns.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	l := &lab{cfg: Config{Dir: t.TempDir(), Nodes: 5}, responder: dns}
	var nodes []*watched
	door := w.through(func(address string) bool { return isLink(nodes, address) })
	for i := range l.cfg.Nodes {
		o := each(i)
		if o.Dial == nil {
			o.Dial = door
		}
		nodes = append(nodes, startOne(t, l, i, o))
	}
	for _, e := range ring(len(nodes)) {
		for _, pair := range [][2]int{e, {e[1], e[0]}} {
			control, err := node.NewControl(nodes[pair[0]].dir)
			if err == nil {
				_, err = control.AddPeer(ctx, nodes[pair[1]].domain)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range nodes {
		settle(t, n, len(nodes))
	}
	return nodes
}

// isLink reports whether address is where one of the nodes waits for links.
func isLink(nodes []*watched, address string) bool {
	return slices.ContainsFunc(nodes, func(n *watched) bool { return n.link == address })
}

func startOne(t *testing.T, l *lab, i int, o node.Options) *watched {
	t.Helper()
	domain, err := domainOf(i)
	if err != nil {
		t.Fatal(err)
	}
	n := &watched{dir: filepath.Join(l.cfg.Dir, domain.String()), domain: domain}
	if _, err := node.Init(n.dir, l.nodeConfig(domain, i), time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	n.run(t, o)
	_, record, err := node.Record(n.dir)
	if n.print = record.Fingerprint; err == nil {
		err = l.responder.Set(domain, record)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run starts the node in its folder and waits until it serves.
func (n *watched) run(t *testing.T, o node.Options) {
	t.Helper()
	server, err := node.Open(context.Background(), n.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan node.Running, 1), make(chan error, 1)
	go func() { ended <- server.Run(ctx, func(r node.Running) { ready <- r }) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s ended: %v", n.domain, err)
		}
	})
	t.Cleanup(n.stop)
	select {
	case n.running = <-ready:
		if n.link == "" {
			n.link = n.running.Link
		}
	case err := <-ended:
		t.Fatalf("%s: %v", n.domain, err)
	}
}

// settle waits until n knows the whole mesh.
func settle(t *testing.T, n *watched, nodes int) {
	t.Helper()
	control, err := node.NewControl(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	var status node.Status
	for deadline := time.Now().Add(meshPatience); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if status, err = control.Status(context.Background()); err == nil && status.Servers == nodes && status.Known == nodes-1 {
			return
		}
	}
	t.Fatalf("%s knows %d servers and %d contexts: %v", n.domain, status.Servers, status.Known, err)
}

// meet makes a user whose links are watched too. Her log and the door that she dials through
// are those of cfg, if it has any.
func meet(t *testing.T, w *watcher, nodes []*watched, text string, cfg agent.Config) *agent.Agent {
	t.Helper()
	name, err := pki.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	config, err := node.ReadConfig(filepath.Join(nodes[0].dir, node.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Dial == nil {
		cfg.Dial = w.through(func(address string) bool { return isLink(nodes, address) })
	}
	if cfg.Home == "" {
		cfg.Home = filepath.Join(t.TempDir(), "user")
	}
	cfg.Passphrase, cfg.DNS = []byte("correct horse"), config.DNS.Server
	a, err := agent.New(t.Context(), cfg, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// exchange sends a message and an answer. Bob's program goes on while ann waits for his
// acknowledgement: on a loaded machine his view of her home may come after her message, or
// a packet of his may be lost.
func exchange(t *testing.T, ann, bob *agent.Agent) mor.MessageID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), meshPatience)
	defer cancel()
	to := func(a *agent.Agent) pki.Name {
		self, err := a.Self()
		if err != nil {
			t.Fatal(err)
		}
		return self.Name
	}
	status, err := sendSoon(ctx, ann, to(bob), "a question")
	if err != nil {
		t.Fatal(err)
	}
	id, err := mor.ParseMessageID(status.ID)
	if err != nil {
		t.Fatal(err)
	}
	mustRead(t, ctx, bob, "a question")
	rest := goOn(t, ctx, bob)
	_, err = ann.Wait(ctx, id, mor.Acknowledged, ignore)
	if rest(); err != nil {
		t.Fatal(err)
	}
	if _, err := sendSoon(ctx, bob, to(ann), "an answer"); err != nil {
		t.Fatal(err)
	}
	defer goOn(t, ctx, bob)()
	mustRead(t, ctx, ann, "an answer")
	return id
}

// sendSoon sends a text as soon as a knows who confirms the home of the other: in a mesh that is
// seconds old nobody may have said so yet.
func sendSoon(ctx context.Context, a *agent.Agent, to pki.Name, text string) (agent.Status, error) {
	for {
		status, err := a.Send(ctx, to, text, agent.Way{})
		var unconfirmed *agent.TrustError
		if !errors.As(err, &unconfirmed) || !unconfirmed.Pinned.IsZero() || ctx.Err() != nil {
			return status, err
		}
		time.Sleep(pollEvery)
	}
}

// goOn runs a's program in the background until it is to rest.
func goOn(t *testing.T, ctx context.Context, a *agent.Agent) (rest func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Follow(ctx, func() error { return nil }); err != nil && ctx.Err() == nil {
			t.Errorf("following: %v", err)
		}
	})
	return func() { cancel(); running.Wait() }
}

func mustRead(t *testing.T, ctx context.Context, a *agent.Agent, want string) {
	t.Helper()
	err := a.Follow(ctx, func() error {
		ok, err := showNext(ctx, a, func(m agent.Message) error {
			if m.Text != want {
				t.Errorf("read %q, want %q", m.Text, want)
			}
			return nil
		})
		if err != nil || !ok {
			return err
		}
		return errRead
	})
	if !errors.Is(err, errRead) {
		t.Fatal(err)
	}
	if err := a.Fetch(ctx); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}
