package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/p3do/p3do/node"
)

// A Memory is how much of the machine's memory the process of a node took.
type Memory struct {
	Domain string `json:"domain"`
	Rest   int    `json:"rest_kib"`   // before the first message
	Height int    `json:"height_kib"` // at most, in all its lives
}

// A meter watches what a conversation costs the nodes: the slots that they send to each
// other and the memory that they take. It looks again and again, for what a node and a link
// count is gone with them: of a link that breaks, what went over it since the last look is
// not counted.
type meter struct {
	lab   *lab
	sent  map[wire]*counted
	began float64 // slots that had been sent at the beginning
	rest  map[*process]int
	high  map[*process]int
}

// A wire is one direction of a link between two nodes.
type wire struct{ from, to string }

// counted adds up a counter that begins anew when its link does.
type counted struct{ before, now float64 }

func (c *counted) add(reading float64) {
	if reading < c.now {
		c.before += c.now
	}
	c.now = reading
}

// newMeter begins, with all nodes at rest.
func (l *lab) newMeter(ctx context.Context) *meter {
	m := &meter{lab: l, sent: make(map[wire]*counted), rest: make(map[*process]int), high: make(map[*process]int)}
	m.look(ctx)
	m.began = m.slots()
	for _, p := range l.nodes {
		m.rest[p] = resident(p, "VmRSS")
	}
	return m
}

// look reads all counters. Nodes that do not answer keep what they had.
func (m *meter) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, p := range m.lab.nodes {
		if p.dead() {
			continue
		}
		m.high[p] = max(m.high[p], resident(p, "VmHWM"))
		if status, err := p.control.Status(ctx); err == nil {
			m.count(p, status.Links)
		}
	}
}

// count notes what the links of p have sent. Those that it has no more begin anew, should
// they come back.
func (m *meter) count(p *process, links []node.LinkStatus) {
	readings := make(map[wire]float64)
	for _, l := range links {
		for _, n := range l.Stats.Sent {
			readings[wire{p.domain.String(), l.Peer.String()}] += float64(n)
		}
	}
	for w := range readings { // order-free: each by itself
		if m.sent[w] == nil {
			m.sent[w] = new(counted)
		}
	}
	for w, c := range m.sent { // order-free: each by itself
		if w.from == p.domain.String() {
			c.add(readings[w])
		}
	}
}

// kill kills a node, with all that it has counted until now.
func (m *meter) kill(ctx context.Context, p *process) error {
	m.look(ctx)
	err := p.kill()
	m.count(p, nil)
	return err
}

const (
	lookTime = 5 * time.Second // bounds a look
	slotKiB  = 16
)

// slots adds up all that was sent.
func (m *meter) slots() (sum float64) {
	for _, c := range m.sent {
		sum += c.before + c.now
	}
	return sum
}

// perNode is how many KiB each node sent since the meter began, on average.
func (m *meter) perNode() float64 {
	return (m.slots() - m.began) * slotKiB / float64(len(m.lab.nodes))
}

// memory lists what each node took; nil where the system does not tell.
func (m *meter) memory() (all []Memory) {
	for _, p := range m.lab.nodes {
		if m.high[p] > 0 {
			all = append(all, Memory{p.domain.String(), m.rest[p], m.high[p]})
		}
	}
	return all
}

// resident reads one of the kernel's figures about the memory of a process, in KiB; 0 if
// the process has ended, and where there are none (they are Linux's: proc_pid_status(5)).
func resident(p *process, figure string) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(raw) {
		if value, ok := strings.CutPrefix(string(line), figure+":"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			return kib
		}
	}
	return 0
}
