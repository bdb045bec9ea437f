package lab

import (
	"context"
	"errors"
	"fmt"
)

// The users of the lossy scenario, with names that are no part of any word.
const (
	lossyAnn = "lossy-ann@a.test"
	lossyBob = "lossy-bob@b.test"
)

// lossy plays the scenario: two users write to each other over links that lose a tenth of
// all packets, while a relay dies for good, the server of one of them is killed twice, and
// the program of the other is killed once. All that was sent is acknowledged, what was
// acknowledged was shown, nothing is shown twice (one text may be shown again to ann, and is
// marked as such, for her program died), and no log names anybody.
func (l *lab) lossy(ctx context.Context, m Map) error {
	meter := l.newMeter(ctx)
	talk, err := l.converse(m, lossyAnn, lossyBob)
	if err != nil {
		return err
	}
	defer talk.end()
	play := &lossyPlay{lab: l, talk: talk, meter: meter}
	return errors.Join(l.conclude(ctx, m, talk, meter, play.accident), play.fault())
}

// A lossyPlay is the scenario as it is played.
type lossyPlay struct {
	lab   *lab
	talk  *conversation
	meter *meter
	acts  int // how many of the accidents have happened
}

// accidents are all that happen, in their order.
func (p *lossyPlay) accidents() []func(context.Context) error {
	return []func(context.Context) error{p.killSpool, p.killRelay, p.killProgram, p.killSpool}
}

// due is how many texts are shown when the next accident happens: one or more, for then both
// users are registered.
func (p *lossyPlay) due() int {
	return max(1, 2*p.lab.cfg.Messages*(p.acts+1)/(len(p.accidents())+1))
}

// accident does what is due, one thing at a time. It reports whether there is more to come.
func (p *lossyPlay) accident(ctx context.Context) (more bool, err error) {
	all := p.accidents()
	if p.acts < len(all) && len(p.talk.shown) >= p.due() {
		p.acts++
		err = all[p.acts-1](ctx)
	}
	return p.acts < len(all), err
}

// fault tells of accidents that have not happened.
func (p *lossyPlay) fault() error {
	if all := len(p.accidents()); p.acts < all {
		return fmt.Errorf("lab: only %d of %d accidents have happened", p.acts, all)
	}
	return nil
}

// killSpool kills the server that keeps bob's messages, and starts it again.
func (p *lossyPlay) killSpool(ctx context.Context) error {
	b := p.lab.nodes[1]
	if err := p.meter.kill(ctx, b); err != nil {
		return err
	}
	p.lab.cfg.Report(Step{Step: StepAccident, Domain: b.domain.String(), Problem: "killed, and started again"})
	return b.restart(ctx, p.lab.cfg.Program)
}

// killRelay kills a server that is nobody's home, for good.
func (p *lossyPlay) killRelay(ctx context.Context) error {
	relay := p.lab.nodes[len(p.lab.nodes)-2]
	p.lab.cfg.Report(Step{Step: StepAccident, Domain: relay.domain.String(), Problem: "killed for good"})
	return p.meter.kill(ctx, relay)
}

// killProgram kills ann's program, which is then started again.
func (p *lossyPlay) killProgram(context.Context) error {
	ann := p.talk.users[0]
	p.lab.cfg.Report(Step{Step: StepAccident, User: ann.name, Problem: "her program was killed, and started again"})
	return p.talk.kill(ann)
}
