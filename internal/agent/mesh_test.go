package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// patience is how long a test waits for what should come; it does not wait when it is there.
const patience = time.Minute

// TestMain stops the mesh that the tests share, if one of them has started it. As another
// program on somebody's folder it only reads what is in there.
func TestMain(m *testing.M) {
	if role := os.Getenv(readerEnv); role != "" {
		if err := otherReader(role, os.Getenv(folderEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if most := flag.Lookup("test.parallel"); most.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set(most.Name, "8") // the tests wait for disks and nodes, and compute little
	}
	code := m.Run()
	if err := theMesh.end(); err != nil {
		fmt.Println("ending the mesh:", err)
		code = 1
	}
	os.Exit(code)
}

// theMesh is four real nodes on loopback, a.test to d.test, each the peer of all others.
var theMesh mesh

type mesh struct {
	once    sync.Once
	err     error
	dir     string
	dns     string
	stop    context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex // guards users and ended
	users int
	ended []error
}

// here returns the mesh, running.
func here(t testing.TB) *mesh {
	t.Helper()
	theMesh.once.Do(func() { theMesh.err = theMesh.start() })
	must(t, theMesh.err)
	return &theMesh
}

func (m *mesh) start() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	if m.dir, err = os.MkdirTemp("", "p3do-agent-"); err != nil {
		return err
	}
	zone, err := dnstxt.Listen("127.0.0.1:0", "test")
	if err != nil {
		return err
	}
	m.dns = zone.Addr()
	m.running.Go(func() { zone.Run(ctx) })
	var domains []pki.Domain
	for _, text := range []string{"a.test", "b.test", "c.test", "d.test"} {
		domain, err := pki.ParseDomain(text)
		if err != nil {
			return err
		}
		if err := m.serve(ctx, zone, domain); err != nil {
			return err
		}
		domains = append(domains, domain)
	}
	if err := m.federate(ctx, domains); err != nil {
		return err
	}
	return m.agree(ctx, domains)
}

// agree waits until a user of each domain finds all domains confirmed, and two to relay.
func (m *mesh) agree(ctx context.Context, domains []pki.Domain) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i, home := range domains {
		name, err := pki.ParseName("probe@" + home.String())
		if err != nil {
			return err
		}
		a, err := New(ctx, Config{
			Home: filepath.Join(m.dir, fmt.Sprintf("probe%d", i)), Passphrase: []byte("secret"), DNS: m.dns, Dial: dial.Direct(), weak: true,
		}, name)
		if err != nil {
			return err
		}
		if err := errors.Join(agreed(ctx, a, domains), a.Close()); err != nil {
			return err
		}
	}
	return nil
}

func agreed(ctx context.Context, a *Agent, domains []pki.Domain) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := a.refreshDirectory(ctx, 0); err != nil {
			return err
		}
		ready := 0
		err := a.vault.View(func(tx *vault.Tx) error {
			b, err := a.bench(tx)
			for _, domain := range domains {
				s, failed := a.judgedBy(tx, b, domain)
				err = errors.Join(err, failed)
				if may, _ := b.relays(s, a.now()); may && len(s.verdict.For) >= quorum {
					ready++
				}
			}
			return err
		})
		if err != nil || ready == len(domains) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s finds %d of %d domains confirmed", a.self.name, ready, len(domains))
		}
	}
}

// serve runs a node and publishes its record.
func (m *mesh) serve(ctx context.Context, zone *dnstxt.Responder, domain pki.Domain) error {
	c := node.DefaultConfig(domain)
	c.Registration = node.RegistrationOpen
	c.Listen = node.Listen{Link: "127.0.0.1:0", KeyServer: "127.0.0.1:0"}
	c.Publish = node.Publish{}
	c.DNS.Server = m.dns
	c.Lab.Enabled, c.Lab.ViewPace = true, node.Duration(10*time.Millisecond) // a test moves twice within a minute
	dir := filepath.Join(m.dir, domain.String())
	if _, err := node.Init(dir, c, time.Now(), nil); err != nil {
		return err
	}
	n, err := node.Open(ctx, dir, node.Options{Dial: dial.Direct()})
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	m.running.Go(func() {
		err := n.Run(ctx, func(node.Running) { close(ready) })
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ended = append(m.ended, err)
	})
	select {
	case <-ready:
	case <-time.After(patience):
		return fmt.Errorf("%s does not serve", domain)
	}
	_, record, err := node.Record(dir)
	if err != nil {
		return err
	}
	return zone.Set(domain, record)
}

// federate makes every two domains peers, and waits until each knows the way to all.
func (m *mesh) federate(ctx context.Context, domains []pki.Domain) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var controls []*node.Control
	for _, a := range domains {
		control, err := node.NewControl(filepath.Join(m.dir, a.String()))
		if err != nil {
			return err
		}
		controls = append(controls, control)
		for _, b := range domains {
			if a == b {
				continue
			}
			if _, err := control.AddPeer(ctx, b); err != nil {
				return err
			}
		}
	}
	for _, control := range controls {
		if err := settled(ctx, control, len(domains)); err != nil {
			return err
		}
	}
	return nil
}

func settled(ctx context.Context, control *node.Control, n int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := control.Status(ctx)
		if err != nil || s.Servers == n && s.Known == n-1 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("a node knows %d servers and %d contexts", s.Servers, s.Known)
		}
	}
}

func (m *mesh) end() error {
	if m.stop == nil {
		return nil
	}
	m.stop()
	m.running.Wait()
	return errors.Join(append(m.ended, os.RemoveAll(m.dir))...)
}

// name makes a name at a domain that no test had before.
func (m *mesh) name(t testing.TB, domain string) pki.Name {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users++
	name, err := pki.ParseName(fmt.Sprintf("user%d@%s", m.users, domain))
	must(t, err)
	return name
}

// config is of a fresh folder.
func (m *mesh) config(t testing.TB) Config {
	t.Helper()
	return Config{Home: filepath.Join(t.TempDir(), "folder"), Passphrase: []byte("secret"), DNS: m.dns, Dial: dial.Direct(), weak: true}
}

// user makes somebody new at a domain.
func (m *mesh) user(t testing.TB, domain string) (*Agent, Config) {
	t.Helper()
	cfg := m.config(t)
	a, err := New(t.Context(), cfg, m.name(t, domain))
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	return a, cfg
}

// open opens a folder another time.
func open(t testing.TB, cfg Config) *Agent {
	t.Helper()
	a, err := Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	return a
}

// send sends a text and waits until it is as far as until.
func send(t testing.TB, from *Agent, to pki.Name, text string, until mor.State) Status {
	t.Helper()
	s, err := from.Send(t.Context(), to, text, Way{})
	must(t, err)
	return wait(t, from, s, until)
}

func wait(t testing.TB, a *Agent, s Status, until mor.State) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	id, err := mor.ParseMessageID(s.ID)
	must(t, err)
	s, err = a.Wait(ctx, id, until, func(Status) {})
	must(t, err)
	if s.State == mor.Expired {
		t.Fatal("expired")
	}
	return s
}

// read fetches and returns the texts that were not shown.
func read(t testing.TB, a *Agent) (texts []string) {
	t.Helper()
	must(t, a.Fetch(t.Context()))
	for _, m := range shown(t, a) {
		texts = append(texts, m.Text)
	}
	return texts
}

// shown are the messages that were not shown before, those of contacts first.
func shown(t testing.TB, a *Agent) (all []Message) {
	t.Helper()
	for _, next := range []func(context.Context, func(Message) error) (bool, error){a.Show, a.ShowRequest} {
		for ok := true; ok; {
			var err error
			ok, err = next(t.Context(), func(m Message) error { all = append(all, m); return nil })
			must(t, err)
		}
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cut dials as long as no address is cut off.
type cut struct {
	mu   sync.Mutex // guards off
	off  bool
	pass func(address string) bool // what is dialled all the same
}

func (c *cut) set(off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

func (c *cut) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	off := c.off && (c.pass == nil || !c.pass(address))
	c.mu.Unlock()
	if off {
		return nil, errors.New("cut off")
	}
	return dial.Direct()(ctx, network, address)
}
