package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// atOnce is how many messages of one user may be unfinished at a time.
const atOnce = 16

// UserPassphrase seals the folders of a scenario's users, who have nothing to hide.
const UserPassphrase = "of a user in a lab"

// A UserConfig is what a user of a scenario does: she writes Count texts to somebody, and
// reads what comes.
type UserConfig struct {
	Agent agent.Config
	Name  pki.Name
	To    pki.Name
	Count int
	Pace  time.Duration // the least time between two texts; zero: as fast as she may
	Check time.Duration // how often she looks at the keys of To and of her home; zero: never
	Out   io.Writer     // gets an Event a line
}

// An Event is what a user of a scenario tells the lab: something that she was shown,
// something that no log may show, or how far she has come.
type Event struct {
	Shown string `json:"shown,omitempty"` // a text that came, as a reader would see it
	From  string `json:"from,omitempty"`
	ID    string `json:"id,omitempty"`
	Again bool   `json:"again,omitempty"` // it may have been shown before, by a life that was ended

	Private *Private `json:"private,omitempty"`

	Alarm   string `json:"alarm,omitempty"`   // what she was told of keys
	Checked bool   `json:"checked,omitempty"` // she looked at keys, and was told nothing

	Progress
}

// Progress is how far a user has come, in this life and all before it.
type Progress struct {
	Sent   int  `json:"sent"`   // texts put into the outbox
	Stored int  `json:"stored"` // of these, stored or further
	Open   int  `json:"open"`   // not acknowledged yet
	Came   int  `json:"came"`   // texts that came, shown or not
	Owed   int  `json:"owed"`   // acknowledgements of them that are on their way
	Copies int  `json:"copies"` // made of the texts sent
	Done   bool `json:"done"`   // all are sent and acknowledged
}

// A user is one that runs.
type user struct {
	cfg      UserConfig
	agent    *agent.Agent
	from     *addresses // of her connections
	progress Progress
	wrote    time.Time // when the last text was sent
	checked  time.Time // when keys were looked at last
}

// User writes and reads until ctx ends. It may be killed at any instant, and goes on where
// it was when it is started again.
func User(ctx context.Context, cfg UserConfig) error {
	from := new(addresses)
	cfg.Agent.Dial = from.through(cfg.Agent.Dial)
	a, err := agent.Open(ctx, cfg.Agent)
	if errors.Is(err, agent.ErrNoIdentity) || isBegun(err) {
		a, err = agent.New(ctx, cfg.Agent, cfg.Name)
	}
	if err != nil {
		return fmt.Errorf("lab: %s: %w", cfg.Name, err)
	}
	defer a.Close()
	u := &user{cfg: cfg, agent: a, from: from}
	if err := u.introduce(); err != nil {
		return err
	}
	err = a.Follow(ctx, func() error { return u.round(ctx) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func isBegun(err error) bool {
	var taken *agent.TakenError
	return errors.As(err, &taken) && taken.Begun
}

// introduce tells whose fingerprint no log may show.
func (u *user) introduce() error {
	self, err := u.agent.Self()
	if err != nil {
		return err
	}
	return u.tell(Event{Private: &Private{Fingerprint: self.Fingerprint[:]}})
}

// round shows what came, counts what was acknowledged, and writes more.
func (u *user) round(ctx context.Context) error {
	if fresh := u.from.fresh(); len(fresh) > 0 {
		if err := u.tell(Event{Private: &Private{Addresses: fresh}}); err != nil {
			return err
		}
	}
	for {
		ok, err := showNext(ctx, u.agent, func(m agent.Message) error {
			return u.tell(Event{Shown: m.Text, From: m.From.String(), ID: m.ID, Again: m.Again})
		})
		if err != nil {
			return err
		}
		if !ok {
			break
		}
	}
	if err := u.count(); err != nil {
		return err
	}
	if err := u.check(ctx); err != nil {
		return err
	}
	for u.progress.Sent < u.cfg.Count && u.progress.Open < atOnce && time.Since(u.wrote) >= u.cfg.Pace {
		_, err := u.agent.Send(ctx, u.cfg.To, textOf(u.cfg.Name.String(), u.progress.Sent+1), agent.Way{})
		if ctx.Err() != nil || isPassing(err) {
			return nil // nothing was kept; it is tried again
		}
		if err != nil {
			return err
		}
		u.wrote = time.Now()
		u.progress.Sent++
		u.progress.Open++
	}
	return u.tell(Event{Progress: u.progress})
}

// showNext shows the next message, of a contact or else of a stranger: people of a lab read all
// that comes.
func showNext(ctx context.Context, a *agent.Agent, show func(agent.Message) error) (ok bool, err error) {
	if ok, err = a.Show(ctx, show); err != nil || ok {
		return ok, err
	}
	return a.ShowRequest(ctx, show)
}

// check looks at the keys of the other one and of her own home, if that is due, and tells of
// all that speaks against them.
func (u *user) check(ctx context.Context) error {
	var alarms []error
	due := u.cfg.Check > 0 && time.Since(u.checked) >= u.cfg.Check && u.progress.Sent > 0
	if due {
		u.checked = time.Now()
		for _, subject := range []agent.Subject{{Name: u.cfg.To, Domain: u.cfg.To.Domain()}, {Domain: u.cfg.Name.Domain()}} {
			report, err := u.agent.Check(ctx, subject)
			switch {
			case err == nil:
				err = report.Problem()
			case isPassing(err):
				due, err = false, nil
			}
			alarms = append(alarms, err)
		}
	}
	alarms = append(append(alarms, u.agent.Trouble()...), u.agent.Warnings()...)
	for _, alarm := range alarms {
		if alarm == nil || ctx.Err() != nil {
			continue
		}
		due = false
		if err := u.tell(Event{Alarm: alarm.Error()}); err != nil {
			return err
		}
	}
	if due && ctx.Err() == nil {
		return u.tell(Event{Checked: true})
	}
	return nil
}

// textOf is the n-th text that a user writes, from 1.
func textOf(name string, n int) string { return fmt.Sprintf("%s %d", name, n) }

// isPassing tells errors that time mends: the home is away, its peers are, or the other
// one has no home yet.
func isPassing(err error) bool {
	var (
		away    *agent.HomeError
		nobody  *agent.NoUserError
		route   *mor.RouteError
		refused *session.Error
		trust   *agent.TrustError
	)
	return errors.As(err, &trust) && trust.Pinned.IsZero() || // nobody vouches for her home yet
		errors.As(err, &away) || errors.As(err, &nobody) || errors.As(err, &route) ||
		errors.As(err, &refused) && refused.Code == session.Unavailable
}

// count brings the progress up to date: with what is durable, so that nothing is missing
// that an earlier life has done.
func (u *user) count() error {
	summary, err := u.agent.Summary()
	if err != nil {
		return err
	}
	u.progress = Progress{
		Sent: summary.Sent, Stored: stored(summary), Open: len(summary.Outbox),
		Came: summary.Came, Owed: summary.Owed, Copies: summary.Copies,
	}
	u.progress.Done = u.progress.Sent == u.cfg.Count && u.progress.Open == 0
	return nil
}

// stored counts the texts that are stored or further.
func stored(s agent.Summary) int {
	n := s.Sent
	for _, text := range s.Outbox {
		if !text.Reached(mor.StoredThere) {
			n--
		}
	}
	return n
}

func (u *user) tell(e Event) error {
	raw, err := json.Marshal(e)
	if err == nil {
		_, err = u.cfg.Out.Write(append(raw, '\n'))
	}
	return err
}
