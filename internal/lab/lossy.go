package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/node"
)

// A Scenario is what happens in a lab instead of the demonstration.
type Scenario string

// Lossy: two users write to each other over links that lose a tenth of all packets, while
// a relay dies for good, the server of one of them is killed twice, and the program of the
// other is killed once. All that was sent is acknowledged, and nothing is shown twice.
const Lossy Scenario = "lossy"

// The users of a scenario.
const (
	lossyAnn = "ann@a.test"
	lossyBob = "bob@b.test"
	// patience is how long a scenario may go without anything happening.
	patience = 90 * time.Second
)

// A Tally is what came of a scenario.
type Tally struct {
	Messages      int     `json:"messages"`     // sent, both ways together
	Acknowledged  int     `json:"acknowledged"` // of these
	Came          int     `json:"came"`         // received and kept
	Twice         int     `json:"twice"`        // shown more than once
	Lost          int     `json:"lost"`         // acknowledged but not received, or never acknowledged
	Copies        float64 `json:"copies"`       // copies made for a message, on average
	MiBPerNode    float64 `json:"mib_per_node"` // slots sent by a node, on average of the living
	KiBPerMessage float64 `json:"kib_per_message_and_node"`
}

// a correspondent is a user as a process of its own.
type correspondent struct {
	name, to string
	cmd      *exec.Cmd
	stdin    io.Closer
	killed   chan struct{} // closed when it is ended by us
	last     Event
	copies   int // of all lives
	finished int
}

// heard is a line of one of the users.
type heard struct {
	from  *correspondent
	event Event
	err   error // the process has ended
}

// lossy plays the scenario.
func (l *lab) lossy(ctx context.Context, m Map) error {
	lines := make(chan heard)
	play := &lossyPlay{lab: l, dns: m.DNS, lines: lines, shown: make(map[string]int)}
	play.users = []*correspondent{{name: lossyAnn, to: lossyBob}, {name: lossyBob, to: lossyAnn}}
	defer play.end()
	for _, u := range play.users {
		if err := play.begin(ctx, u); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := play.run(ctx); err != nil {
		return err
	}
	tally, err := play.tally(ctx)
	if err != nil {
		return err
	}
	l.cfg.Report(Step{Step: StepTally, Tally: &tally, Millis: time.Since(began).Milliseconds()})
	if tally.Acknowledged != tally.Messages || tally.Twice > 0 || tally.Lost > 0 {
		return fmt.Errorf("lab: of %d messages %d were acknowledged, %d lost, %d shown twice",
			tally.Messages, tally.Acknowledged, tally.Lost, tally.Twice)
	}
	return nil
}

// A lossyPlay is the scenario as it is played.
type lossyPlay struct {
	lab   *lab
	dns   string
	users []*correspondent
	lines chan heard
	shown map[string]int // texts, and how often each was shown
	acts  int            // how many of the accidents have happened
}

// run listens to the users and has accidents happen as the messages come, until all are
// acknowledged.
func (p *lossyPlay) run(ctx context.Context) error {
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	for !p.users[0].last.Done || !p.users[1].last.Done {
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: %w: %s", ctx.Err(), p.state())
		case <-quiet.C:
			return fmt.Errorf("lab: nothing has happened for %s: %s", patience, p.state())
		case h := <-p.lines:
			if h.err != nil {
				return fmt.Errorf("lab: the program of %s ended: %w", h.from.name, h.err)
			}
			if p.take(h) {
				quiet.Reset(patience)
			}
		}
		if err := p.accident(ctx); err != nil {
			return err
		}
	}
	return nil
}

// state says how far the two have come.
func (p *lossyPlay) state() string {
	a, b := p.users[0].last, p.users[1].last
	return fmt.Sprintf("%s sent %d, of which %d are open, and got %d; %s sent %d, of which %d are open, and got %d",
		lossyAnn, a.Sent, a.Open, a.Came, lossyBob, b.Sent, b.Open, b.Came)
}

// take notes what a user told; it reports whether that was something new.
func (p *lossyPlay) take(h heard) bool {
	if h.event.Shown != "" {
		p.shown[h.event.Shown]++
		return true
	}
	old := h.from.last
	h.from.last = h.event
	return old != h.event
}

// accident does what is due when so and so many messages have been shown.
func (p *lossyPlay) accident(ctx context.Context) error {
	acts := []func(context.Context) error{p.killSpool, p.killRelay, p.killProgram, p.killSpool}
	if p.acts >= len(acts) || len(p.shown) < 2*p.lab.cfg.Messages*(p.acts+1)/(len(acts)+1) {
		return nil
	}
	p.acts++
	return acts[p.acts-1](ctx)
}

// killSpool kills the server that keeps bob's messages, and starts it again.
func (p *lossyPlay) killSpool(ctx context.Context) error {
	b := p.lab.nodes[1]
	if err := b.kill(); err != nil {
		return err
	}
	p.lab.cfg.Report(Step{Step: StepAccident, Domain: b.domain.String(), Problem: "killed, and started again"})
	return b.restart(ctx, p.lab.cfg.Program)
}

// killRelay kills a server that is nobody's home, for good.
func (p *lossyPlay) killRelay(context.Context) error {
	relay := p.lab.nodes[len(p.lab.nodes)-2]
	p.lab.cfg.Report(Step{Step: StepAccident, Domain: relay.domain.String(), Problem: "killed for good"})
	return relay.kill()
}

// killProgram kills ann's program, and starts it again.
func (p *lossyPlay) killProgram(ctx context.Context) error {
	ann := p.users[0]
	ann.copies, ann.finished = ann.copies+ann.last.Attempts, ann.finished+ann.last.Finished
	if err := p.stopUser(ann); err != nil {
		return err
	}
	p.lab.cfg.Report(Step{Step: StepAccident, User: ann.name, Problem: "her program was killed, and started again"})
	return p.begin(ctx, ann)
}

// begin starts the program of a user.
func (p *lossyPlay) begin(ctx context.Context, u *correspondent) error {
	u.last = Event{}
	u.cmd = exec.Command(p.lab.cfg.Program, "lab-user", "--dir", filepath.Join(p.lab.cfg.Dir, u.name),
		"--dns", p.dns, "--name", u.name, "--to", u.to, "--count", fmt.Sprint(p.lab.cfg.Messages))
	u.cmd.Stderr = os.Stderr
	stdin, err := u.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	u.stdin, u.killed = stdin, make(chan struct{})
	if err := u.cmd.Start(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	go p.listen(ctx, u, u.killed, stdout)
	return nil
}

// listen hands on the lines of one life of a user.
func (p *lossyPlay) listen(ctx context.Context, u *correspondent, killed chan struct{}, stdout io.Reader) {
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		var h = heard{from: u}
		if h.err = json.Unmarshal(scanner.Bytes(), &h.event); h.err != nil {
			h.err = fmt.Errorf("%q: %w", scanner.Text(), h.err)
		}
		select {
		case p.lines <- h:
		case <-killed:
			return
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-killed:
	case <-ctx.Done():
	case p.lines <- heard{from: u, err: errors.New("it ended by itself")}:
	}
}

// stopUser kills the program of a user and waits for its end.
func (p *lossyPlay) stopUser(u *correspondent) error {
	life := u.cmd
	u.cmd = nil
	if life == nil {
		return nil
	}
	close(u.killed)
	if err := life.Process.Kill(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	u.stdin.Close()
	_ = life.Wait() // it was killed
	return nil
}

func (p *lossyPlay) end() {
	for _, u := range p.users {
		_ = p.stopUser(u) // it may have ended
	}
}

// tally counts what came of it all.
func (p *lossyPlay) tally(ctx context.Context) (Tally, error) {
	t := Tally{Messages: 2 * p.lab.cfg.Messages}
	copies, finished := 0, 0
	for _, u := range p.users {
		t.Acknowledged += u.last.Sent - u.last.Open
		t.Came += u.last.Came
		copies += u.copies + u.last.Attempts
		finished += u.finished + u.last.Finished
	}
	for _, times := range p.shown {
		if times > 1 {
			t.Twice++
		}
	}
	t.Lost = t.Messages - min(t.Came, t.Acknowledged)
	t.Copies = float64(copies) / float64(max(finished, 1))
	slots, nodes := 0.0, 0.0
	for _, n := range p.lab.nodes {
		status, err := n.control.Status(ctx)
		if err != nil {
			continue // dead
		}
		nodes++
		slots += sentSlots(status)
	}
	if nodes == 0 {
		return t, errors.New("lab: no node answers")
	}
	t.MiBPerNode = slots / nodes * slotKiB / 1024
	t.KiBPerMessage = slots / nodes * slotKiB / float64(t.Messages)
	return t, nil
}

const slotKiB = 16

func sentSlots(s node.Status) (slots float64) {
	for _, l := range s.Links {
		for _, n := range l.Stats.Sent {
			slots += float64(n)
		}
	}
	return slots
}
