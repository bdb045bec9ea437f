package lab

import (
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// talked is a conversation of which ann and bob wrote two texts each, and of which ann's
// program was killed once.
func talked(ann, bob Progress, shown ...Event) *conversation {
	c := &conversation{lab: &lab{cfg: Config{Messages: 2}}, shown: make(map[reading]int)}
	c.users = []*correspondent{
		{name: "ann@a.test", to: "bob@b.test", last: ann, kills: 1},
		{name: "bob@b.test", to: "ann@a.test", last: bob},
	}
	for _, e := range shown {
		reader := c.users[0]
		if e.From == reader.name {
			reader = c.users[1]
		}
		c.show(reader, e)
	}
	return c
}

// toBob and toAnn are texts that they are shown.
func toBob(n int) Event { return Event{From: "ann@a.test", Shown: textOf("ann@a.test", n)} }
func toAnn(n int) Event { return Event{From: "bob@b.test", Shown: textOf("bob@b.test", n)} }

// again is the same, shown to a reader who is told that it may have been shown before.
func again(e Event) Event { e.Again = true; return e }

// tallied is the tally of a conversation that cost nothing.
func tallied(c *conversation) Tally {
	return c.tally(&meter{lab: &lab{nodes: []*process{{}}}}, 1)
}

// A tally says what is wrong: what was not acknowledged, what was acknowledged and not
// shown, what was shown twice without a word or for no reason, and what nobody wrote.
func TestTally(t *testing.T) {
	done := Progress{Sent: 2, Copies: 3, Done: true}
	open := Progress{Sent: 2, Open: 1}
	all := []Event{toBob(1), toBob(2), toAnn(1), toAnn(2)}
	and := func(more ...Event) []Event { return append(all[:4:4], more...) }
	everything := and(again(toBob(1)), again(toBob(2)), again(toAnn(1)), again(toAnn(2)))
	for name, c := range map[string]struct {
		talk  *conversation
		want  Tally // only what is counted of what was shown
		fault bool
	}{
		"all is well":           {talked(done, done, all...), Tally{}, false},
		"shown again, and told": {talked(done, done, and(again(toAnn(1)))...), Tally{Again: 1}, false},
		"shown first as again":  {talked(done, done, toBob(1), toBob(2), again(toAnn(1)), toAnn(2)), Tally{Again: 1}, false},
		"again without a death": {talked(done, done, and(again(toBob(1)))...), Tally{Again: 1, Needless: 1}, true},
		"twice after one death": {talked(done, done, and(again(toAnn(1)), again(toAnn(1)))...), Tally{Again: 2, Needless: 1}, true},
		"everything again":      {talked(done, done, everything...), Tally{Again: 4, Needless: 3}, true},
		"shown twice":           {talked(done, done, and(toBob(1))...), Tally{Twice: 1}, true},
		"lost":                  {talked(done, done, all[:3]...), Tally{Lost: 1}, true},
		"not acknowledged":      {talked(done, open, all...), Tally{}, true},
		"neither, and not lost": {talked(done, open, all[:3]...), Tally{}, true},
		"never written":         {talked(done, Progress{Sent: 1}, all[:3]...), Tally{}, true},
		"a text of nobody":      {talked(done, done, and(Event{From: "ann@a.test", Shown: "hello"})...), Tally{Strange: 1}, true},
		"a third of two":        {talked(done, done, and(toBob(3))...), Tally{Strange: 1}, true},
		"of another sender":     {talked(done, done, and(Event{From: "eve@c.test", Shown: textOf("eve@c.test", 1)})...), Tally{Strange: 1}, true},
		"of a false sender":     {talked(done, done, and(Event{From: "eve@c.test", Shown: toAnn(1).Shown})...), Tally{Strange: 1}, true},
		"strange for a lost":    {talked(done, done, toBob(1), toBob(2), toAnn(1), toAnn(3)), Tally{Lost: 1, Strange: 1}, true},
	} {
		got := tallied(c.talk)
		counted := Tally{Lost: got.Lost, Twice: got.Twice, Again: got.Again, Needless: got.Needless, Strange: got.Strange}
		if !reflect.DeepEqual(counted, c.want) || (got.fault() != nil) != c.fault {
			t.Errorf("%s: %+v, %v", name, got, got.fault())
		}
	}
	if got := tallied(talked(done, done, all...)); got.Retransmissions != 0.5 {
		t.Errorf("%v retransmissions, with 6 copies of 4 texts", got.Retransmissions)
	}
	if logsFault([]Found{{Domain: "a.test"}}) != nil || logsFault([]Found{{Domain: "a.test"}, {Domain: "b.test", What: []string{"a name"}}}) == nil {
		t.Error("only a log that shows something is a fault")
	}
}

// The same words to each other are two texts.
func TestReadingsAreOfReaders(t *testing.T) {
	c := talked(Progress{}, Progress{})
	ann, bob := c.users[0], c.users[1]
	bob.to, ann.to = ann.name, ann.name // who writes to herself too
	c.show(ann, toBob(1))
	c.show(bob, toBob(1))
	if got := tallied(c); got.Twice != 0 || len(c.shown) != 2 {
		t.Errorf("%d of %d twice", got.Twice, len(c.shown))
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
