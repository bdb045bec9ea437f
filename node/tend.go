package node

import (
	"context"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
)

// tendEvery is how often a node looks for what time asks of it.
const tendEvery = 10 * time.Minute

// tend does what time asks for: it turns server-key periods, moves hints on, renews
// certificates, our descriptor and our view, and forgets what has run out.
func (n *Node) tend(ctx context.Context, listener *link.Listener) error {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := n.tendOnce(ctx, time.Now(), listener); err != nil && ctx.Err() == nil {
			n.log.Error("tending", "err", err)
		}
	}
}

// tendOnce does each thing whatever became of the others.
func (n *Node) tendOnce(ctx context.Context, now time.Time, listener *link.Listener) error {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	_, dropped := n.store.DropExpired(ctx, now)
	return errors.Join(
		n.turn(ctx, now),
		n.renew(ctx, now, listener),
		n.peers.renew(ctx, now),
		n.directory.publishOwn(ctx, now),
		n.stateView(ctx, now),
		n.sweepChallenges(ctx),
		dropped,
		n.makeUp(ctx, now),
	)
}

// makeUp replaces the keys that a dropped peer knows, if that could not be done at once.
func (n *Node) makeUp(ctx context.Context, now time.Time) error {
	_, err := n.answerDrops(ctx, now)
	return err
}

// turn gives the router the server keys of now, and writes down its contexts with the hints
// of now: the older hints are then gone for good.
func (n *Node) turn(ctx context.Context, now time.Time) error {
	servers, err := n.keys.openers(now)
	if err != nil {
		return err
	}
	own, err := ask(ctx, n.loop, func(l *loop, _ time.Time) map[string]mor.OwnContext {
		l.router.SetServers(servers)
		return l.contexts(now)
	})
	for name, c := range own {
		err = errors.Join(err, n.keys.writeContext(name, c))
	}
	return err
}
