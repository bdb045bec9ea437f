package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/node"
)

const (
	watcherName = "watcher"

	// usersEach is how many users each node has in the scenario.
	usersEach = 2
	// seenIn is how many intervals the time after a message is divided into, and seenBefore how many of that length before it
	// say what is usual.
	seenIn, seenBefore = 30, 5
)

// A gaze is how long a message is looked for after it was sent, and how long a user waits on average before she writes the
// next one: so long that two of a pair seldom fall together, and that the mesh keeps up.
type gaze struct{ after, pause time.Duration }

func gazeOf(cover node.Profile) gaze {
	switch cover {
	case node.ProfileLow:
		return gaze{4 * time.Minute, 10 * time.Minute}
	case node.ProfileHigh:
		return gaze{time.Minute, 75 * time.Second}
	}
	return gaze{6 * time.Second, 30 * time.Second}
}

// A letter is a message of the scenario.
type letter struct {
	at       time.Time // when its sender's program was told to send it
	from, to int
}

// watcherPlay is the scenario: users in pairs write to each other at random times, and somebody sees all wires.
type watcherPlay struct {
	lab    *lab
	people []*person
	shown  atomic.Int64

	mu   sync.Mutex // guards sent
	sent []letter
}

// watcher plays the scenario, and reports how well the ends can be matched.
func (l *lab) watcher(ctx context.Context, m Map) error {
	p := &watcherPlay{lab: l}
	defer p.close()
	if err := p.gather(ctx, m); err != nil {
		return err
	}
	if err := p.write(ctx); err != nil {
		return err
	}
	match, err := p.match()
	if err != nil {
		return err
	}
	l.cfg.Report(Step{Step: StepMatched, Match: &match})
	return nil
}

// gather makes the users, and has each know her partner.
func (p *watcherPlay) gather(ctx context.Context, m Map) error {
	for i := range usersEach * len(m.Nodes) {
		who, err := p.lab.newPerson(ctx, m, fmt.Sprintf("watched%d@%s", i, m.Nodes[i%len(m.Nodes)].Domain))
		if err != nil {
			return err
		}
		p.people = append(p.people, who)
	}
	for i, who := range p.people {
		if err := p.lab.acquaint(ctx, who, p.people[p.partner(i)]); err != nil {
			return err
		}
	}
	return nil
}

// partner is to whom a user writes, and who writes to her: somebody at the node that is half a mesh away.
func (p *watcherPlay) partner(i int) int {
	nodes := len(p.people) / usersEach
	if i < nodes {
		return nodes + (i+nodes/2)%nodes
	}
	return (i - nodes/2) % nodes
}

// write has all write and read until each has written her messages, and for as long again as one is looked for.
func (p *watcherPlay) write(ctx context.Context) error {
	living, end := context.WithCancel(ctx)
	defer end()
	var writing sync.WaitGroup
	writing.Add(len(p.people))
	g, inner := errgroup.WithContext(living)
	for i := range p.people {
		g.Go(func() error { return p.live(inner, i, writing.Done) })
	}
	g.Go(func() error {
		written := make(chan struct{})
		go func() { writing.Wait(); close(written) }()
		select {
		case <-written:
			rest(inner, gazeOf(p.lab.cfg.Cover).after+5*time.Second)
			end()
		case <-inner.Done():
		}
		return nil
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

// rest passes time.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// live is one user: she reads what comes, and writes at random times. She calls done when she has written all.
func (p *watcherPlay) live(ctx context.Context, i int, done func()) error {
	who, told := p.people[i], false
	defer func() {
		if !told {
			done()
		}
	}()
	for n := 0; ctx.Err() == nil; {
		if n == p.lab.cfg.Messages && !told {
			told = true
			done()
		}
		pause := time.Duration(rand.ExpFloat64() * float64(gazeOf(p.lab.cfg.Cover).pause))
		if err := p.read(ctx, who, pause); err != nil {
			return err
		}
		if n < p.lab.cfg.Messages && ctx.Err() == nil {
			if err := p.send(ctx, i, n); err != nil {
				return err
			}
			n++
		}
	}
	return nil
}

// read has a user read what comes for a while.
func (p *watcherPlay) read(ctx context.Context, who *person, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return who.agent.Follow(ctx, func() error {
		for {
			ok, err := showNext(ctx, who.agent, func(agent.Message) error { p.shown.Add(1); return nil })
			if err != nil || !ok {
				return err
			}
		}
	})
}

func (p *watcherPlay) send(ctx context.Context, i, n int) error {
	to := p.partner(i)
	at := time.Now()
	_, err := p.people[i].agent.Send(ctx, p.people[to].name, fmt.Sprintf("message %d of %d", n, i), agent.Way{})
	if err != nil {
		return fmt.Errorf("lab: sending: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, letter{at, i, to})
	return nil
}

func (p *watcherPlay) close() {
	for _, who := range p.people {
		who.agent.Close()
	}
}

// match trains a matcher on half of the messages, and judges it by the others.
func (p *watcherPlay) match() (Match, error) {
	if len(p.sent) < 4 {
		return Match{}, errors.New("lab: too few messages to match")
	}
	mine, others := p.cables()
	random := rand.New(rand.NewPCG(1, uint64(len(p.sent))))
	random.Shuffle(len(p.sent), func(i, j int) { p.sent[i], p.sent[j] = p.sent[j], p.sent[i] })
	var yes, no [2][][]float64
	for n, s := range p.sent {
		somebody := random.IntN(len(p.people))
		for somebody == s.to || somebody == s.from {
			somebody = random.IntN(len(p.people))
		}
		yes[n%2] = append(yes[n%2], p.seen(s.at, mine[s.to], others[s.to]))
		no[n%2] = append(no[n%2], p.seen(s.at, mine[somebody], others[somebody]))
	}
	m := learn(yes[0], no[0])
	var scores, wrong []float64
	for i := range yes[1] {
		scores, wrong = append(scores, m.score(yes[1][i])), append(wrong, m.score(no[1][i]))
	}
	match := judge(scores, wrong)
	match.Sent, match.Shown = len(p.sent), int(p.shown.Load())
	return match, nil
}

// cables returns those of each user, and those between her home and other nodes that were dialled by these.
func (p *watcherPlay) cables() (mine, others [][]*cable) {
	owner := make(map[string]int)
	for i, who := range p.people {
		for _, address := range who.from.fresh() {
			owner[address] = i
		}
	}
	mine, others = make([][]*cable, len(p.people)), make([][]*cable, len(p.people))
	for _, w := range p.lab.tap.all() {
		if i, ok := owner[w.from]; ok {
			mine[i] = append(mine[i], w)
			continue
		}
		for i := range p.people {
			if i%len(p.lab.nodes) == w.node {
				others[i] = append(others[i], w)
			}
		}
	}
	return mine, others
}

// seen is what a watcher sees of a user, and of her home, around an instant: the bytes of each interval, in and out.
func (p *watcherPlay) seen(at time.Time, mine, others []*cable) []float64 {
	interval := gazeOf(p.lab.cfg.Cover).after / seenIn
	return slices.Concat(count(mine, at, interval), count(others, at, interval))
}

func count(cables []*cable, at time.Time, interval time.Duration) []float64 {
	const columns = seenBefore + seenIn
	row := make([]float64, 2*columns)
	from := at.Add(-seenBefore * interval)
	for _, w := range cables {
		all := w.sightings()
		i, _ := slices.BinarySearchFunc(all, from, func(s sighting, at time.Time) int { return s.at.Compare(at) })
		for ; i < len(all); i++ {
			column := int(all[i].at.Sub(from) / interval)
			if column >= columns {
				break
			}
			if all[i].in {
				column += columns
			}
			row[column] += float64(all[i].bytes)
		}
	}
	return row
}
