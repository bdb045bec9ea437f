package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// atOnce is how many messages of one user may be unfinished at a time.
const atOnce = 16

// A UserConfig is what a user of a scenario does: she writes Count texts to somebody, and
// reads what comes.
type UserConfig struct {
	Agent agent.Config
	Name  pki.Name
	To    pki.Name
	Count int
	Out   io.Writer // gets an Event a line
}

// An Event is what a user of a scenario tells the lab.
type Event struct {
	Shown string `json:"shown,omitempty"` // a text that came, as a reader would see it
	From  string `json:"from,omitempty"`

	Sent     int  `json:"sent"`     // texts put into the outbox so far, in this life or an earlier one
	Open     int  `json:"open"`     // of these, not acknowledged yet
	Came     int  `json:"came"`     // texts that came, shown or not
	Attempts int  `json:"attempts"` // copies of the texts of this life that are finished
	Finished int  `json:"finished"` // texts of this life that are acknowledged
	Done     bool `json:"done"`     // all are acknowledged
}

// A user is one that runs.
type user struct {
	cfg   UserConfig
	agent *agent.Agent
	mine  []mor.MessageID // sent in this life and not finished
	event Event
}

// User writes and reads until ctx ends. It may be killed at any instant, and goes on where
// it was when it is started again.
func User(ctx context.Context, cfg UserConfig) error {
	a, err := agent.Open(ctx, cfg.Agent)
	if errors.Is(err, agent.ErrNoIdentity) || isBegun(err) {
		a, err = agent.New(ctx, cfg.Agent, cfg.Name)
	}
	if err != nil {
		return fmt.Errorf("lab: %s: %w", cfg.Name, err)
	}
	defer a.Close()
	u := &user{cfg: cfg, agent: a}
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

// round shows what came, counts what was acknowledged, and writes more.
func (u *user) round(ctx context.Context) error {
	for {
		m, ok, err := u.agent.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := u.tell(Event{Shown: m.Text, From: m.From.String()}); err != nil {
			return err
		}
	}
	if err := u.count(); err != nil {
		return err
	}
	for u.event.Sent < u.cfg.Count && u.event.Open < atOnce {
		status, err := u.agent.Send(ctx, u.cfg.To, fmt.Sprintf("%s %d", u.cfg.Name, u.event.Sent+1), agent.Way{})
		if ctx.Err() != nil || isPassing(err) {
			return nil // nothing was kept; it is tried again
		}
		if err != nil {
			return err
		}
		id, err := mor.ParseMessageID(status.ID)
		if err != nil {
			return err
		}
		u.mine = append(u.mine, id)
		u.event.Sent++
		u.event.Open++
	}
	return u.tell(u.event)
}

// isPassing tells errors that time mends: the home is away, its peers are, or the other
// one has no home yet.
func isPassing(err error) bool {
	var (
		away    *agent.HomeError
		nobody  *agent.NoUserError
		route   *mor.RouteError
		refused *session.Error
	)
	return errors.As(err, &away) || errors.As(err, &nobody) || errors.As(err, &route) ||
		errors.As(err, &refused) && refused.Code == session.Unavailable
}

// count brings the event up to date.
func (u *user) count() error {
	summary, err := u.agent.Summary()
	if err != nil {
		return err
	}
	u.event.Sent, u.event.Open, u.event.Came = summary.Sent, len(summary.Outbox), summary.Came
	u.event.Done = u.event.Sent == u.cfg.Count && u.event.Open == 0
	var open []mor.MessageID
	for _, id := range u.mine {
		status, err := u.agent.Status(id)
		if err != nil {
			return err
		}
		if !status.Reached(mor.Acknowledged) {
			open = append(open, id)
			continue
		}
		u.event.Finished++
		u.event.Attempts += status.Attempts
	}
	u.mine = open
	return nil
}

func (u *user) tell(e Event) error {
	raw, err := json.Marshal(e)
	if err == nil {
		_, err = u.cfg.Out.Write(append(raw, '\n'))
	}
	return err
}
