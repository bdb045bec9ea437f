package lab

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// talked is a conversation of which ann and bob wrote two texts each.
func talked(ann, bob Progress, events ...Event) *conversation {
	c := &conversation{lab: &lab{cfg: Config{Messages: 2}}, shown: make(map[string]int)}
	c.users = []*correspondent{{last: ann}, {last: bob}}
	for _, e := range events {
		c.show(e)
	}
	return c
}

// A tally says what is wrong: what was not acknowledged, what was acknowledged and not
// shown, and what was shown twice without a word.
func TestTally(t *testing.T) {
	done := Progress{Sent: 2, Copies: 3, Done: true}
	all := []Event{{Shown: "ann 1"}, {Shown: "ann 2"}, {Shown: "bob 1"}, {Shown: "bob 2"}}
	again := Event{Shown: "bob 1", Again: true}
	for name, c := range map[string]struct {
		talk              *conversation
		lost, twice, told int
		fault             bool
	}{
		"all is well":             {talked(done, done, all...), 0, 0, 0, false},
		"shown again, and told":   {talked(done, done, append(all, again)...), 0, 0, 1, false},
		"shown first as again":    {talked(done, done, append(all[:2:2], again, all[3])...), 0, 0, 1, false},
		"shown twice":             {talked(done, done, append(all, all[0])...), 0, 1, 0, true},
		"lost":                    {talked(done, done, all[:3]...), 1, 0, 0, true},
		"not acknowledged":        {talked(done, Progress{Sent: 2, Open: 1}, all...), 0, 0, 0, true},
		"neither, and not lost":   {talked(done, Progress{Sent: 2, Open: 1}, all[:3]...), 0, 0, 0, true},
		"never written":           {talked(done, Progress{Sent: 1}, all[:3]...), 0, 0, 0, true},
		"shown, then shown again": {talked(done, done, append(all, again, again)...), 0, 0, 2, false},
	} {
		got := c.talk.tally(&meter{lab: &lab{nodes: []*process{{}}}}, 1)
		if got.Lost != c.lost || got.Twice != c.twice || got.Again != c.told || (got.fault() != nil) != c.fault {
			t.Errorf("%s: %+v, %v", name, got, got.fault())
		}
	}
	if got := talked(done, done, all...).tally(&meter{lab: &lab{nodes: []*process{{}}}}, 1); got.Retransmissions != 0.5 {
		t.Errorf("%v retransmissions, with 6 copies of 4 texts", got.Retransmissions)
	}
	if logsFault([]Found{{Domain: "a.test"}}) != nil || logsFault([]Found{{Domain: "a.test"}, {Domain: "b.test", What: []string{"a name"}}}) == nil {
		t.Error("only a log that shows something is a fault")
	}
}

// What a link has sent is not forgotten when it breaks, nor when its node is killed.
func TestMeterOutlivesLinks(t *testing.T) {
	a := &process{domain: parsed(t, "a.test")}
	m := &meter{lab: &lab{nodes: []*process{a}}, sent: make(map[wire]*counted)}
	sent := func(to string, packets, control uint64) node.LinkStatus {
		s := node.LinkStatus{Peer: parsed(t, to)}
		s.Stats.Sent[link.KindPacket], s.Stats.Sent[link.KindControl] = packets, control
		return s
	}
	for _, step := range []struct {
		links []node.LinkStatus
		sum   float64
	}{
		{[]node.LinkStatus{sent("b.test", 10, 1), sent("c.test", 5, 0)}, 16},
		{[]node.LinkStatus{sent("b.test", 20, 2)}, 27},                       // c's link is broken
		{[]node.LinkStatus{sent("b.test", 20, 2), sent("c.test", 1, 0)}, 28}, // and there again
		{nil, 28}, // a was killed
		{[]node.LinkStatus{sent("b.test", 30, 2), sent("c.test", 2, 0)}, 62}, // and serves again
	} {
		if m.count(a, step.links); m.slots() != step.sum {
			t.Errorf("%v: %v slots, not %v", step.links, m.slots(), step.sum)
		}
	}
	if m.perNode() != 62*slotKiB {
		t.Errorf("%v KiB", m.perNode())
	}
}

func parsed(t *testing.T, domain string) pki.Domain {
	t.Helper()
	d, err := pki.ParseDomain(domain)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The system says how much memory a program takes, and nothing of one that has ended.
func TestResident(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("these figures are Linux's")
	}
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	if rest, high := resident(p, "VmRSS"), resident(p, "VmHWM"); rest <= 0 || high < rest {
		t.Errorf("%d KiB, %d at most", rest, high)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := resident(p, "VmRSS"); got != 0 {
		t.Errorf("%d KiB of a program that has ended", got)
	}
}

// Of each scenario there is one, which says what it is about, and a lab of too few nodes
// does not begin.
func TestScenarios(t *testing.T) {
	for _, s := range Scenarios() {
		found, ok := FindScenario(s.Name)
		if !ok || found.About != s.About || s.About == "" || s.Least > s.Nodes || s.play == nil || strings.ContainsAny(s.Name, " ") {
			t.Errorf("%+v", s)
		}
		cfg := Config{Dir: t.TempDir(), Nodes: s.Least, Messages: 1, Scenario: s.Name}
		if err := cfg.check(); err != nil {
			t.Error(err)
		}
		cfg.Nodes--
		if cfg.check() == nil {
			t.Errorf("%s with %d nodes was let begin", s.Name, cfg.Nodes)
		}
	}
	if _, ok := FindScenario("sunshine"); ok {
		t.Error("found a scenario that there is not")
	}
}
