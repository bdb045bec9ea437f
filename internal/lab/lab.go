package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const (
	// MinNodes is how many nodes a demonstration needs: two homes and two relays.
	MinNodes = 4
	// MaxNodes is how many letters there are for their names.
	MaxNodes = 26

	zone        = "test"
	settleTime  = 40 * time.Second // for all nodes to serve and to know each other
	settleEach  = 2 * time.Second  // for each node more
	pollEvery   = 20 * time.Millisecond
	stopTime    = 5 * time.Second // for a node to drain before it is killed
	labFile     = "lab.json"
	demoTime    = 60 * time.Second // for each step of the demonstration
	addPeerTime = 15 * time.Second
	viewPace    = 200 * time.Millisecond // of nodes, between two views
	watchEvery  = 3 * time.Second        // between two looks of a node at the DNS record of another
)

// ErrNotEmpty: there is something in the folder already.
var ErrNotEmpty = errors.New("lab: the folder is not empty")

// Config is what a lab is made of.
type Config struct {
	Dir   string        // for the nodes' folders; it must be missing or empty
	Nodes int           // MinNodes to MaxNodes
	Cells int           // that they are split into evenly; 0 or 1: one, in which each has few links
	Loss  float64       // probability that a packet slot between two nodes is lost
	Delay time.Duration // by which each is late
	Once  bool          // end after the demonstration
	Cover node.Profile  // of all nodes; empty: off

	Seed uint32 // of what is lost: each node's links draw from a source of their own

	Scenario string // the name of one, instead of the demonstration; empty: none
	Messages int    // that each user of a scenario writes

	Program string // path of the p3dod that serves
	Dial    dial.Func
	Report  func(Step) // called for each step, in order
}

// A Placed is a node of the lab, as it stands in lab.json.
type Placed struct {
	Domain    string `json:"domain"`
	PID       int    `json:"pid"`
	Link      string `json:"link"`
	KeyServer string `json:"keyserver"`
	Dir       string `json:"dir"`
}

// A Map is lab.json.
type Map struct {
	DNS   string   `json:"dns"`
	Nodes []Placed `json:"nodes"`
}

// A lab is one that runs.
type lab struct {
	cfg       Config
	responder *dnstxt.Responder
	nodes     []*process
	tap       *wiretap // before the nodes; nil but in the scenario of the watcher
}

// Run runs a lab until its demonstration is over (Once) or ctx ends. It leaves no process
// behind. An error means that something of it did not happen. A lab that stays is there to be
// played with: who ends a node while the demonstration goes on keeps the others.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	responder, err := dnstxt.Listen("127.0.0.1:0", zone)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	l := &lab{cfg: cfg, responder: responder}
	if cfg.Scenario == watcherName {
		l.tap = newWiretap(cfg.Dial)
		defer l.tap.close()
	}
	living, cancel := context.WithCancel(ctx)
	g, inner := errgroup.WithContext(living)
	g.Go(func() error { return responder.Run(inner) })
	g.Go(func() error {
		defer cancel()
		return l.run(inner)
	})
	err = g.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil && !cfg.Once {
		return nil // asked to end
	}
	return err
}

func (c Config) check() error {
	if c.Nodes < MinNodes || c.Nodes > MaxNodes {
		return fmt.Errorf("lab: %d nodes, from %d to %d are possible", c.Nodes, MinNodes, MaxNodes)
	}
	if err := errors.Join(c.checkScenario(), c.CheckCells()); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(c.Dir, 0o700)
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%w: %s", ErrNotEmpty, c.Dir)
	}
	return err
}

// patience is how long the lab waits for what takes d without cover.
func (c Config) patience(d time.Duration) time.Duration {
	switch c.Cover {
	case node.ProfileLow:
		return 10 * d
	case node.ProfileHigh:
		return 3 * d
	}
	return d
}

func (c Config) checkScenario() error {
	if c.Scenario == "" {
		return nil
	}
	scenario, ok := FindScenario(c.Scenario)
	switch {
	case !ok:
		return fmt.Errorf("lab: there is no scenario %q", c.Scenario)
	case c.Nodes < scenario.Least:
		return fmt.Errorf("lab: %d nodes, the scenario %s wants %d at least", c.Nodes, scenario.Name, scenario.Least)
	case c.Messages < 1:
		return errors.New("lab: a scenario wants messages, 1 or more")
	}
	return nil
}

// run starts the nodes, demonstrates, and stops them. What fails after the lab was asked to end
// fails for that reason.
func (l *lab) run(ctx context.Context) (err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("lab: %w", ctx.Err())
		}
		err = errors.Join(err, l.stop())
	}()
	if err := l.start(ctx); err != nil {
		return err
	}
	placed := l.placed()
	if err := l.write(placed); err != nil {
		return err
	}
	l.cfg.Report(Step{Step: StepNodes, DNS: placed.DNS, Dir: l.cfg.Dir, Nodes: placed.Nodes})
	switch err := l.play(ctx, placed); {
	case err == nil:
		l.cfg.Report(Step{Step: StepDone, DNS: placed.DNS, Dir: l.cfg.Dir})
	case l.cfg.Once || ctx.Err() != nil || !l.disturbed():
		return err
	default:
		l.cfg.Report(Step{Step: StepDisturbed, Problem: err.Error()})
	}
	if l.cfg.Once {
		return nil
	}
	return l.stay(ctx)
}

// deathNotice is how long after what it does to others the end of a process may be noticed.
const deathNotice = time.Second

// disturbed reports whether somebody has ended a node.
func (l *lab) disturbed() bool {
	for until := time.Now().Add(deathNotice); ; time.Sleep(pollEvery) {
		if dead := slices.ContainsFunc(l.nodes, (*process).dead); dead || time.Now().After(until) {
			return dead
		}
	}
}

// play shows what the lab is for.
func (l *lab) play(ctx context.Context, m Map) error {
	if scenario, ok := FindScenario(l.cfg.Scenario); ok {
		return scenario.play(l, ctx, m)
	}
	return l.demonstrate(ctx, m)
}

// start brings up all nodes and waits until each knows the whole mesh.
func (l *lab) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.patience(settleTime+time.Duration(l.cfg.Nodes)*settleEach))
	defer cancel()
	for i := range l.cfg.Nodes {
		p, err := l.newProcess(i)
		if err != nil {
			return err
		}
		l.nodes = append(l.nodes, p)
	}
	for _, p := range l.nodes {
		if err := l.publish(ctx, p); err != nil {
			return err
		}
	}
	if err := l.gateways(ctx); err != nil {
		return err
	}
	for _, e := range l.cfg.edges() {
		if err := l.federate(ctx, l.nodes[e.a], l.nodes[e.b], e.beyond); err != nil {
			return err
		}
	}
	for _, p := range l.nodes {
		if err := l.settled(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// publish puts the TXT record of a node that serves into the zone.
func (l *lab) publish(ctx context.Context, p *process) error {
	if err := p.serving(ctx); err != nil {
		return err
	}
	domain, record, err := node.Record(p.dir)
	if err != nil {
		return err
	}
	p.fingerprint = record.Fingerprint
	return l.responder.Set(domain, record)
}

// federate has two nodes add each other, b on the context that a has beyond if that is told.
func (l *lab) federate(ctx context.Context, a, b *process, over bool) error {
	ctx, cancel := context.WithTimeout(ctx, addPeerTime)
	defer cancel()
	add := a.control.AddPeer
	if over {
		add = func(ctx context.Context, domain pki.Domain) (node.PeerStatus, error) {
			return a.control.AddPeerOn(ctx, domain, beyond)
		}
	}
	if _, err := add(ctx, b.domain); err != nil {
		return fmt.Errorf("lab: %s adds %s: %w", a.domain, b.domain, err)
	}
	if _, err := b.control.AddPeer(ctx, a.domain); err != nil {
		return fmt.Errorf("lab: %s adds %s: %w", b.domain, a.domain, err)
	}
	return nil
}

// settled waits until a node knows every server, has heard from others that its key is the one to
// believe, as users want to, and knows a way to it.
func (l *lab) settled(ctx context.Context, p *process) error {
	known := l.cfg.known(slices.Index(l.nodes, p))
	for {
		status, err := p.control.Status(ctx)
		if err == nil && status.Servers == len(l.nodes) && status.Known == known && status.Vouched == len(l.nodes)-1 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("lab: %s knows %d servers, %d keys and %d contexts of %d nodes: %w",
				p.domain, status.Servers, status.Vouched, status.Known, len(l.nodes), errors.Join(ctx.Err(), err))
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// placed is the map of the lab.
func (l *lab) placed() Map {
	m := Map{DNS: l.responder.Addr()}
	for _, p := range l.nodes {
		m.Nodes = append(m.Nodes, Placed{
			Domain: p.domain.String(), PID: p.cmd.Process.Pid,
			Link: p.running.Link, KeyServer: p.running.KeyServer, Dir: p.dir,
		})
	}
	return m
}

// write puts lab.json in place at once, so that whoever waits for it finds it whole.
func (l *lab) write(m Map) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	path := filepath.Join(l.cfg.Dir, labFile)
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return os.Rename(path+".new", path)
}

// stay waits for ctx to end, and reports nodes that end before it.
func (l *lab) stay(ctx context.Context) error {
	ended := make(chan *process)
	for _, p := range l.nodes {
		go func() { // ends with the lab: stop waits for every process
			select {
			case <-p.ended:
			case <-ctx.Done():
				return
			}
			select {
			case ended <- p:
			case <-ctx.Done():
			}
		}()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-ended:
			l.cfg.Report(Step{Step: StepNodeEnded, Domain: p.domain.String(), Problem: p.how()})
		}
	}
}

// ring is a ring with chords from the first half of the nodes to the other side of it.
func ring(n int) [][2]int {
	var pairs [][2]int
	for i := range n {
		pairs = append(pairs, [2]int{i, (i + 1) % n})
	}
	for i := range n / 2 {
		pairs = append(pairs, [2]int{i, i + n/2})
	}
	return pairs
}

func domainOf(i int) (pki.Domain, error) {
	return pki.ParseDomain(string(rune('a'+i)) + "." + zone)
}
