package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// offlineFolder is where what the operators took away is, in the folder of the lab.
const offlineFolder = "offline"

// logFile is where a node of the lab writes what it logs, in its folder.
const logFile = "log"

// A process is one node of the lab: p3dod serve in its own folder. It ends when its
// standard input does, so that it cannot outlive the lab, however that ends.
type process struct {
	domain      pki.Domain
	fingerprint pki.Fingerprint // of its authority, as DNS has it
	former      []pki.CACert    // that handed over to it
	dir         string
	offline     string // the file that its operator took away, and the words that open it
	words       string
	cmd         *exec.Cmd
	alive       io.Closer // our end of its standard input
	ended       chan struct{}
	running     node.Running
	control     *node.Control
}

func (l *lab) newProcess(i int) (*process, error) {
	domain, err := domainOf(i)
	if err != nil {
		return nil, err
	}
	p := &process{domain: domain, dir: filepath.Join(l.cfg.Dir, domain.String()), ended: make(chan struct{})}
	cfg := l.nodeConfig(domain, i)
	if l.tap != nil {
		address, err := l.tap.before(i, p.address)
		if err != nil {
			return nil, err
		}
		cfg.Publish.Links = []string{address}
	}
	if _, err := node.Init(p.dir, cfg, time.Now(), p.takeAway); err != nil {
		return nil, err
	}
	return p, p.start(l.cfg.Program)
}

// address is where the node takes links; empty while it does not serve.
func (p *process) address() string {
	running, _ := node.ReadRunning(p.dir)
	return running.Link
}

// takeAway writes what the operator of a node takes away into a folder of the lab, and the
// words that open it beside it: in a lab nobody has to be kept from them.
func (p *process) takeAway(o node.Offline) error {
	folder := filepath.Join(filepath.Dir(p.dir), offlineFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	p.words, p.offline = node.NewWords(), filepath.Join(folder, p.domain.String()+".age")
	if err := os.WriteFile(filepath.Join(folder, p.domain.String()+".words"), []byte(p.words+"\n"), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return node.CreateOffline(p.offline, p.words, o)
}

// nodeConfig is the configuration of a node of the lab.
func (l *lab) nodeConfig(domain pki.Domain, i int) node.Config {
	c := node.DefaultConfig(domain)
	c.Registration = node.RegistrationOpen
	c.Listen = node.Listen{Link: "127.0.0.1:0", KeyServer: "127.0.0.1:0"}
	c.Publish = node.Publish{}
	c.Cover = cmp.Or(l.cfg.Cover, node.ProfileOff)
	c.DNS.Server = l.responder.Addr()
	if l.cfg.Scenario == deathsName || l.cfg.Scenario == deathsAfterName {
		c.Routing.ExtraHops = 0 // or packets of others' ways would be peeled, and counted, at a home
	}
	c.Lab = node.Lab{
		Enabled: true, Trace: true, Loss: l.cfg.Loss, Delay: node.Duration(l.cfg.Delay), Seed: uint64(l.cfg.Seed)*MaxNodes + uint64(i),
		ViewPace: node.Duration(viewPace), Watch: node.Duration(watchEvery),
	}
	return c
}

func (p *process) start(program string) error {
	log, err := os.OpenFile(filepath.Join(p.dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer log.Close()
	p.cmd = exec.Command(program, "serve", "--dir", p.dir, "--end-with-stdin")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if p.alive, err = p.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("lab: starting %s: %w", p.domain, err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its state
		close(ended)
	}(p.cmd, p.ended)
	return nil
}

// serving waits until the node says where it serves.
func (p *process) serving(ctx context.Context) error {
	for {
		if running, err := node.ReadRunning(p.dir); err == nil {
			p.running = running // and else where it served last
			p.control, err = node.NewControl(p.dir)
			return err
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// pause passes a little time; an error if the node or ctx has ended.
func (p *process) pause(ctx context.Context) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ended:
		return fmt.Errorf("lab: %s ended: %s; its log is %s", p.domain, p.how(), filepath.Join(p.dir, logFile))
	case <-ctx.Done():
		return fmt.Errorf("lab: waiting for %s: %w", p.domain, ctx.Err())
	}
}

// dead reports whether the process has ended.
func (p *process) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// how says how the process ended.
func (p *process) how() string {
	if !p.dead() {
		return "still running"
	}
	return p.cmd.ProcessState.String()
}

// kill ends the node as a power cut would, and waits until it has ended.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("lab: killing %s: %w", p.domain, err)
	}
	<-p.ended
	return nil
}

// restart starts a node that has ended, at the addresses that it had, and waits until it
// serves.
func (p *process) restart(ctx context.Context, program string) error {
	path := filepath.Join(p.dir, node.ConfigFile)
	c, err := node.ReadConfig(path)
	if err != nil {
		return err
	}
	c.Listen = node.Listen{Link: p.running.Link, KeyServer: p.running.KeyServer}
	if err := os.WriteFile(path, []byte(c.Text()), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if err := node.ForgetRunning(p.dir); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	if err := p.start(program); err != nil {
		return err
	}
	return p.serving(ctx)
}

// stop ends all nodes: they drain, and are killed if they take too long.
func (l *lab) stop() error {
	var failed error
	for _, p := range l.nodes {
		if p.cmd != nil && p.cmd.Process != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}
	deadline := time.NewTimer(stopTime)
	defer deadline.Stop()
	for _, p := range l.nodes {
		if p.cmd == nil || p.cmd.Process == nil {
			continue
		}
		select {
		case <-p.ended:
		case <-deadline.C:
			deadline.Reset(0)
			failed = errors.Join(failed, fmt.Errorf("lab: %s did not end by itself", p.domain), p.cmd.Process.Kill())
			<-p.ended
		}
	}
	return failed
}
