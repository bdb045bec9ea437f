package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/node"
)

const (
	rotationsName = "rotations"
	rotationsAnn  = "rotations-ann@a.test"
	rotationsBob  = "rotations-bob@b.test"
	// rotationsPace is how much time a user leaves between two texts, so that some are on their
	// way whenever a key changes; each has to come, whether she has heard of the new key or not.
	rotationsPace = 250 * time.Millisecond
	// checkEvery is how often a user of the scenario checks the other one's key, and her home's.
	checkEvery = 2 * time.Second
)

// rotations plays the scenario: two users write to each other without a pause, and look at each
// other's keys, while each kind of key of both homes and of a relay is changed. All that was
// sent is acknowledged and was shown once, no user is warned, no node notes more than that keys
// gave way, and no log names anybody.
func (l *lab) rotations(ctx context.Context, m Map) error {
	meter := l.newMeter(ctx)
	talk, err := l.converse(m, rotationsAnn, rotationsBob)
	if err != nil {
		return err
	}
	defer talk.end()
	play := &rotationsPlay{lab: l, talk: talk}
	return errors.Join(l.conclude(ctx, m, talk, meter, play.rotate), play.fault())
}

// A rotationsPlay is the scenario as it is played.
type rotationsPlay struct {
	lab  *lab
	talk *conversation
	acts int // how many keys have been changed
	last map[*correspondent]int
}

// An act is one key that is changed.
type act struct {
	at  *process
	key node.Role
}

// all are the keys of both homes and of a relay, in their order.
func (p *rotationsPlay) all() (acts []act) {
	nodes := p.lab.nodes
	for _, key := range []node.Role{node.RoleServer, node.RoleContext, node.RoleCA, node.RoleOffline} {
		for _, at := range []*process{nodes[0], nodes[1], nodes[len(nodes)-1]} {
			acts = append(acts, act{at, key})
		}
	}
	return acts
}

// rotate changes the key that is due, if one is. When all are changed, it waits until both
// users have looked at all keys once more.
func (p *rotationsPlay) rotate(ctx context.Context) (more bool, err error) {
	all := p.all()
	if p.acts == len(all) {
		for _, u := range p.talk.users {
			more = more || u.checks < p.last[u]+2 // the first may have begun before
		}
		return more, nil
	}
	if len(p.talk.shown) < max(1, 2*p.lab.cfg.Messages*(p.acts+1)/(len(all)+1)) {
		return true, nil
	}
	p.acts++
	p.last = make(map[*correspondent]int)
	for _, u := range p.talk.users {
		p.last[u] = u.checks
	}
	return true, p.lab.rotate(ctx, all[p.acts-1])
}

// rotate changes one key, as an operator would: who publishes what is printed.
func (l *lab) rotate(ctx context.Context, a act) error {
	_, was, err := l.authorityOf(ctx, l.placed(), a.at.domain)
	if err != nil {
		return err
	}
	r := node.Rotation{Dir: a.at.dir, Key: a.key, Offline: a.at.offline, Words: a.at.words}
	if _, err := r.Run(ctx); err != nil {
		return fmt.Errorf("lab: changing the key %q of %s: %w", a.key, a.at.domain, err)
	}
	l.cfg.Report(Step{Step: StepRotated, Domain: a.at.domain.String(), Text: string(a.key)})
	if a.key != node.RoleCA {
		return nil
	}
	a.at.former = append(a.at.former, was)
	return l.publish(ctx, a.at)
}

// fault tells of keys that were not changed, and of everybody who was alarmed.
func (p *rotationsPlay) fault() error {
	var faults []error
	if all := len(p.all()); p.acts < all {
		faults = append(faults, fmt.Errorf("lab: only %d of %d keys have been changed", p.acts, all))
	}
	for _, u := range p.talk.users {
		for _, alarm := range u.alarms {
			faults = append(faults, fmt.Errorf("lab: %s was alarmed: %s", u.name, alarm))
		}
	}
	for _, n := range p.lab.nodes {
		faults = append(faults, p.quiet(n))
	}
	return errors.Join(faults...)
}

// quiet is an error if the log of a node has a warning, or an event beside those that a change
// of keys has: one line each at whoever sees it.
func (p *rotationsPlay) quiet(n *process) error {
	log, err := os.ReadFile(filepath.Join(n.dir, logFile))
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	rotated, want := 0, 0
	for line := range bytes.Lines(log) {
		switch {
		case bytes.Contains(line, []byte("level=WARN")), bytes.Contains(line, []byte("level=ERROR")),
			bytes.Contains(line, []byte("kind="+node.EventDNS)), bytes.Contains(line, []byte("kind="+node.EventHome)):
			return fmt.Errorf("lab: %s was alarmed: %s", n.domain, bytes.TrimSpace(line))
		case bytes.Contains(line, []byte("kind="+node.EventRotated)):
			rotated++
		}
	}
	for _, a := range p.all() {
		if a.at == n || a.key == node.RoleCA { // others hear of that one only
			want++
		}
	}
	if rotated != want {
		return fmt.Errorf("lab: %s noted that %d keys were changed, not %d", n.domain, rotated, want)
	}
	return nil
}
