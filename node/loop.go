package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

const (
	// maxJobs is how much may wait for the loop. When it is full, the links that have
	// something for it wait as well, and TCP tells their other ends.
	maxJobs = 1024
	// maxSpooling is how many deliveries may wait for the disk. When it is full, further
	// ones are dropped and counted; their senders repeat them.
	maxSpooling = 1024
	// idleTick is how often a router that wants no timer is called all the same, to tidy up.
	idleTick = time.Minute
)

// A loop is the goroutine that owns the router, and the table of links that the router
// speaks on. Everybody else hands it jobs.
type loop struct {
	router *mor.Router
	names  map[string]mor.ContextID // of our contexts
	links  map[pki.Domain]*peerLink
	jobs   chan job

	entries chan entry // to the scribe
	waiting int        // entries that are with it
	spooled chan mor.Delivery
	log     *slog.Logger
	wasted  Wasted
	tracer  *tracer // nil but in a lab
}

// Wasted counts what was not handed on.
type Wasted struct {
	LinkFull  uint64 `json:"link_full"`  // packets that a slow link did not take
	NoLink    uint64 `json:"no_link"`    // forwards for an owner whose link is gone
	SpoolFull uint64 `json:"spool_full"` // deliveries while the disk was behind
	MarksFull uint64 `json:"marks_full"` // of our own making, not done because it could not be remembered
	Refused   uint64 `json:"refused"`    // deliveries that no mailbox took
}

// A job is done by the loop's goroutine. It returns what the router wants done; ok false
// means that the router was not asked for anything.
type job func(l *loop, now time.Time) (out mor.Output, ok bool)

// run does one job after another, and wakes the router when it wants to be.
func (l *loop) run(ctx context.Context) error {
	timer := time.NewTimer(idleTick)
	defer timer.Stop()
	wake := time.Now().Add(idleTick)
	for {
		var j job
		select {
		case <-ctx.Done():
			return nil
		case j = <-l.jobs:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(wake) { // first, or jobs that never pause could put it off
			out := l.router.Tick(now)
			l.carryOut(out)
			wake = nextWake(out, now)
		}
		if j != nil {
			if out, ok := j(l, now); ok {
				l.carryOut(out)
				wake = nextWake(out, now)
			}
		}
		timer.Reset(time.Until(wake))
	}
}

func nextWake(out mor.Output, now time.Time) time.Time {
	if out.Wake.IsZero() {
		return now.Add(idleTick)
	}
	return out.Wake
}

// carryOut does what the router wants. Rebroadcasts leave at once, as they do at every
// other node. What is of our own making, and all deliveries, wait until everything that was
// to be remembered before them is durable.
func (l *loop) carryOut(out mor.Output) {
	l.tracer.made(out.Trail)
	for _, s := range out.Broadcast {
		if s.Again {
			l.say(s)
		}
	}
	for _, a := range out.Announce {
		if a.Again {
			l.announce(a)
		}
	}
	for _, f := range out.Fetch {
		l.retort(fetches, f)
	}
	for _, p := range out.Prune {
		l.retort(prunes, p)
	}
	for _, f := range out.Forward {
		if f.Again {
			l.forward(f)
		}
	}
	e := entry{slices.Clone(out.Remember), owned(out)}
	switch {
	case len(e.marks) == 0 && l.waiting == 0:
		l.doOwn(e.then)
	case len(e.marks) == 0 && isNothing(e.then):
	default:
		l.write(e)
	}
}

// write hands an entry to the scribe.
func (l *loop) write(e entry) {
	select {
	case l.entries <- e:
		l.waiting++
	default:
		l.wasted.MarksFull++
	}
}

// doOwn says and delivers what is of our own making.
func (l *loop) doOwn(out mor.Output) {
	for _, s := range out.Broadcast {
		l.say(s)
	}
	for _, a := range out.Announce {
		l.announce(a)
	}
	for _, f := range out.Forward {
		l.forward(f)
	}
	for _, d := range out.Deliver {
		select {
		case l.spooled <- d:
		default:
			l.wasted.SpoolFull++
		}
	}
}

// say speaks on a context of ours.
func (l *loop) say(s mor.Speech) {
	for _, to := range s.To {
		if p := l.links[to]; p != nil && p.spoken == s.On {
			l.count(p.conn.SendPacket(ownChannel, s.Packet.Bytes()))
		}
	}
}

// forward hands a packet to its owner.
func (l *loop) forward(f mor.Forward) {
	if p := l.links[f.To]; p != nil && p.spoken == f.On {
		l.count(p.conn.Forward(ownChannel, f.Packet.Bytes()))
	} else {
		l.wasted.NoLink++
	}
}

func (l *loop) count(err error) {
	if errors.Is(err, link.ErrFull) {
		l.wasted.LinkFull++
	}
}

// join makes p the link with its peer, who is a member of one of our contexts from now on. An
// older link with it ends. ok is false if we have no context of that name.
func (l *loop) join(now time.Time, p *peerLink, context string) (spoken mor.ContextID, ok bool) {
	if spoken, ok = l.names[context]; !ok {
		return spoken, false
	}
	if old := l.links[p.domain]; old != nil {
		l.leave(now, old)
		old.end()
	}
	l.links[p.domain], p.spoken = p, spoken
	l.router.Found(p.domain)
	return spoken, l.router.Admit(spoken, p.domain)
}

// leave ends the memberships of both sides, unless a newer link has taken them over, and leaves
// the peer out of legs.
func (l *loop) leave(now time.Time, p *peerLink) {
	if l.links[p.domain] != p {
		return
	}
	delete(l.links, p.domain)
	l.router.Lost(now, p.domain)
	l.router.Dismiss(p.spoken, p.domain)
	for _, id := range p.listening {
		l.router.Unlisten(id)
	}
}

// listen makes a listener for each context of the peer, all or, if they are too many, none.
func (l *loop) listen(p *peerLink, contexts []mor.ContextID) bool {
	if l.links[p.domain] != p {
		return false
	}
	for i, id := range contexts {
		if l.router.Listen(p.domain, id, p.spoken) {
			continue
		}
		for _, id := range contexts[:i] {
			l.router.Unlisten(id)
		}
		return false
	}
	p.listening = contexts
	return true
}

// do hands a job to the loop, and waits for room if there is none.
func (l *loop) do(ctx context.Context, j job) error {
	select {
	case l.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask has the loop call f, which wants nothing done, and returns its answer.
func ask[A any](ctx context.Context, l *loop, f func(l *loop, now time.Time) A) (answer A, err error) {
	answered := make(chan A, 1)
	err = l.do(ctx, func(l *loop, now time.Time) (mor.Output, bool) {
		answered <- f(l, now)
		return mor.Output{}, false
	})
	if err != nil {
		return answer, err
	}
	select {
	case answer = <-answered:
		return answer, nil
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// hear tells the router of a packet that a peer said, or forwarded to us, as heard on a context.
func (l *loop) hear(ctx context.Context, from pki.Domain, on mor.ContextID, raw *[onion.Size]byte, forwarded bool) error {
	p, err := onion.Parse(raw[:]) // here, so that the hashing is not the loop's
	if err != nil {
		return fmt.Errorf("node: a malformed packet: %w", err)
	}
	return l.do(ctx, func(l *loop, now time.Time) (mor.Output, bool) {
		l.tracer.heard(now, from, p)
		if forwarded {
			return l.router.Handed(now, on, p), true
		}
		return l.router.Hear(now, on, p), true
	})
}

// submit hands in a user's packet.
func (l *loop) submit(ctx context.Context, entry onion.Entry) error {
	return l.try(ctx, func(r *mor.Router, now time.Time) (mor.Output, error) { return r.Submit(now, entry) })
}

// reply sends a payload back over a SURB.
func (l *loop) reply(ctx context.Context, surb onion.SURB, payload []byte) error {
	return l.try(ctx, func(r *mor.Router, now time.Time) (mor.Output, error) { return r.Reply(now, surb, payload) })
}

// try is ask for what may fail.
func (l *loop) try(ctx context.Context, f func(*mor.Router, time.Time) (mor.Output, error)) error {
	failed := make(chan error, 1)
	err := l.do(ctx, func(l *loop, now time.Time) (mor.Output, bool) {
		out, err := f(l.router, now)
		failed <- err
		return out, true // whatever the error
	})
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
