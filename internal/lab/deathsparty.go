package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/pki"
)

// A party is a user of this scenario. Her program is in this very process, step by step, so
// that nothing is waited for; where it is to die it is a process of its own, and this one
// takes over from what is in her folder.
type party struct {
	name  pki.Name
	cfg   agent.Config
	agent *agent.Agent // nil: not registered, or not open

	to    pki.Name
	texts int // that she is to have written

	waits func() bool // she does nothing before this is true

	summary agent.Summary // of the last step
	told    Progress      // by her program
	before  int           // texts that came before this walk
	shown   int           // texts that a reader saw
	again   int           // of these, said to be perhaps shown before
}

// newParty is a user who is to register at a home.
func (d *mortality) newParty(home *process) (*party, error) {
	d.count++
	name, err := pki.ParseName(fmt.Sprintf("user%d@%s", d.count, home.domain))
	if err != nil {
		return nil, err
	}
	return &party{name: name, cfg: agent.Config{
		Home: filepath.Join(d.lab.cfg.Dir, name.Local()), Passphrase: []byte(UserPassphrase),
		DNS: d.dns, Dial: d.lab.cfg.Dial,
		Now: func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) },
	}}, nil
}

// pair is a new user with a home there, who is to write to one with a home there, who is as
// old as the scenario. Both are registered.
func (d *mortality) pair(ctx context.Context, annHome, bobHome *process) (ann, bob *party, err error) {
	if bob = d.settlers[bobHome]; bob == nil {
		if bob, err = d.newParty(bobHome); err != nil {
			return nil, nil, err
		}
		d.settlers[bobHome] = bob
	}
	bob.waits = nil
	if ann, err = d.newParty(annHome); err != nil {
		return nil, nil, err
	}
	if _, err = d.until(ctx, func() bool { return ann.agent != nil && bob.agent != nil }, ann, bob); err != nil {
		return nil, nil, err
	}
	ann.to = bob.name
	bob.before, bob.shown, bob.again, bob.waits = bob.summary.Came, 0, 0, ann.stored
	return ann, bob, nil
}

// step does all there is to do now. What time mends is no error.
func (p *party) step(ctx context.Context) error {
	if p.waits != nil && !p.waits() {
		return nil
	}
	err := p.turn(ctx)
	if isPassing(err) {
		return nil
	}
	return err
}

func (p *party) turn(ctx context.Context) error {
	if p.agent == nil {
		if err := p.open(ctx); err != nil {
			return err
		}
	}
	fetched := p.fetch(ctx)
	for shown := true; shown; {
		var err error
		shown, err = showNext(ctx, p.agent, func(m agent.Message) error { p.show(m.Again); return nil })
		if err != nil {
			return err
		}
	}
	for fetched == nil && p.summary.Sent < p.texts {
		if _, err := p.agent.Send(ctx, p.to, "of "+p.name.String(), agent.Way{}); err != nil {
			return err
		}
		p.summary.Sent++
	}
	return errors.Join(fetched, p.sum())
}

// open opens her folder, and registers her if that is not done.
func (p *party) open(ctx context.Context) (err error) {
	p.agent, err = agent.Open(ctx, p.cfg)
	if errors.Is(err, agent.ErrNoIdentity) || isBegun(err) {
		p.agent, err = agent.New(ctx, p.cfg, p.name)
	}
	return err
}

// fetch takes in what waits at her home.
func (p *party) fetch(ctx context.Context) error {
	return errors.Join(p.agent.Fetch(ctx), p.sum())
}

func (p *party) sum() (err error) {
	p.summary, err = p.agent.Summary()
	return err
}

// came is how many texts have come on this walk.
func (p *party) came() int { return p.summary.Came - p.before }

// heard notes what her program told.
func (p *party) heard(e Event) {
	switch {
	case e.Shown != "":
		p.show(e.Again)
	case e.Private == nil:
		p.told = e.Progress
	}
}

func (p *party) show(again bool) {
	p.shown++
	if again {
		p.again++
	}
}

func (p *party) close() error {
	if p.agent == nil {
		return nil
	}
	open := p.agent
	p.agent = nil
	return open.Close()
}

// stored reports whether her text is stored or further, as far as she knows.
func (p *party) stored() bool { return p.told.Stored > 0 || stored(p.summary) > 0 }

// repeats reports whether something of hers is on its way.
func (p *party) repeats() bool { return len(p.summary.Outbox) > 0 || p.summary.Owed > 0 }

// arrived reports whether ann's text has come to bob and was shown, and nothing more is to
// be done for it by either.
func arrived(ann, bob *party) bool {
	return ann.summary.Sent == 1 && !ann.repeats() && bob.came() > 0 && bob.summary.Unread+bob.summary.Asked == 0 && !bob.repeats()
}

// once tells whether ann's text came to bob once and was shown once. If the program died that
// shows it, it may have been shown a second time, and that was said with it.
func once(ann, bob *party, showerDied bool) error {
	most := 0 // times that it may be shown again
	if showerDied {
		most = 1
	}
	if ann.summary.Sent != 1 || bob.came() != 1 || bob.shown-bob.again > 1 || bob.shown < 1 || bob.again > most {
		return fmt.Errorf("lost or doubled: %s", states([]*party{ann, bob}))
	}
	return nil
}

// vouched tells whether the key server of her home shows the key that she has.
func (d *mortality) vouched(ctx context.Context, p *party) error {
	self, err := p.agent.Self()
	if err != nil {
		return err
	}
	card, err := d.lab.cardOf(ctx, Map{DNS: d.dns}, p.name)
	if err != nil {
		return err
	}
	return pki.CheckPin(self.Fingerprint, card.Certificate.Key().Fingerprint(), p.name.String())
}

// states says how far users have come.
func states(who []*party) string {
	var all []string
	for _, p := range who {
		all = append(all, fmt.Sprintf("%s (registered %t) sent %d, of which %d are open, got %d, showed %d (%d of them again), owes %d",
			p.name, p.agent != nil, p.summary.Sent, len(p.summary.Outbox), p.came(), p.shown, p.again, p.summary.Owed))
	}
	return strings.Join(all, "; ")
}
