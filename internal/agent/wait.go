package agent

import (
	"context"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
)

// Fetch connects, hands in what is due, and takes in all that the home holds now.
func (a *Agent) Fetch(ctx context.Context) error {
	for {
		n, err := a.round(ctx, 0)
		if err != nil || n == 0 {
			return err
		}
	}
}

// Wait goes on until the text id has come as far as until, and tells seen each state that
// it comes to. It connects again when the link fails. When ctx ends before, the error is
// an *UnfinishedError; the message stays in the outbox.
func (a *Agent) Wait(ctx context.Context, id mor.MessageID, until mor.State, seen func(Status)) (Status, error) {
	var last mor.State
	began := a.now()
	for backoff := firstBackoff; ; {
		s, err := a.Status(id)
		if err != nil {
			return s, err
		}
		if s.State != last {
			last = s.State
			seen(s)
		}
		if s.Reached(until) {
			return s, nil
		}
		if ctx.Err() != nil {
			return s, &UnfinishedError{Status: s, Until: until, After: a.now().Sub(began)}
		}
		if _, err := a.round(ctx, pollSlice); err == nil {
			backoff = firstBackoff
		} else if err := a.pause(ctx, err, &backoff); err != nil {
			return s, err
		}
	}
}

// Follow goes on until ctx ends: it takes in what comes, calls came after each time that
// something may have, and connects again when the link fails. It returns the error of
// came, or one that waiting does not mend. That another program is showing messages
// (ErrShowing) ends nothing: came should not wait for it long, and is called again.
func (a *Agent) Follow(ctx context.Context, came func() error) error {
	for backoff := firstBackoff; ; {
		err := came()
		if errors.Is(err, ErrShowing) {
			err = nil // in the next round, or it ended with ctx
		}
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // it ended with ctx, as was asked
		} else if err != nil || ctx.Err() != nil {
			return err
		}
		if _, err := a.round(ctx, pollSlice); err == nil {
			backoff = firstBackoff
		} else if err := a.pause(ctx, err, &backoff); err != nil {
			return err
		}
	}
}

// pause waits before the next try, longer each time. It returns err if trying again is of
// no use: a changed key, a refusal, a damaged folder.
func (a *Agent) pause(ctx context.Context, err error, backoff *time.Duration) error {
	if !passing(err) && ctx.Err() == nil {
		return err
	}
	a.cfg.Log.Debug("waiting before the next try", "err", err)
	select {
	case <-time.After(*backoff):
	case <-ctx.Done():
	}
	*backoff = min(2**backoff, longestBackoff)
	return nil
}

// passing tells whether trying again later may mend what err says.
func passing(err error) bool {
	var home *HomeError
	var refused *session.Error
	return errors.As(err, &home) ||
		errors.As(err, &refused) && (refused.Code == session.Unavailable || refused.Code == session.Full)
}

// round is one turn of all there is to do: connect, renew, hand in what is due, and take
// in what the home holds, waiting for it no longer than wait or until the next copy is due.
func (a *Agent) round(ctx context.Context, wait time.Duration) (items int, err error) {
	if err := a.Connect(ctx); err != nil {
		return 0, err
	}
	if err := a.claim(ctx); err != nil {
		return 0, a.dead(err)
	}
	if err := a.attend(ctx); err != nil {
		return 0, err
	}
	if err := a.freshen(ctx); err != nil {
		return 0, err
	}
	copies, wake, err := a.tick()
	if err != nil {
		return 0, err
	}
	if err := a.submit(ctx, copies); err != nil {
		return 0, err
	}
	if !wake.IsZero() {
		wait = min(wait, max(0, wake.Sub(a.now())))
	}
	return a.fetch(ctx, wait)
}
