package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
)

const (
	// maxEntries is how many entries may wait for the scribe. When there are more, what they
	// are about is not done, and counted: its sender repeats it.
	maxEntries = 1024
	// maxBatch is how many entries are made durable at once.
	maxBatch = 64
)

// A scribe makes the router's marks durable beside the loop, and hands back what had to
// wait for them. Rebroadcasts wait for nothing: whoever watches a node sees the same
// whether it had something to remember or not.
type scribe struct {
	store   *store.Store
	entries chan entry
	loop    *loop
}

// An entry is what is to be remembered, and what may only be done after it.
type entry struct {
	marks []mor.Mark
	then  mor.Output
}

// run writes down one batch after another. A disk that fails ends the node, which must not
// repeat itself.
func (s *scribe) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-s.entries:
			batch := s.more([]entry{first})
			kept, err := s.remember(ctx, batch)
			if err != nil {
				return err
			}
			if err := s.loop.do(ctx, handBack(len(batch), kept)); err != nil {
				return nil // the node ends
			}
		}
	}
}

// more takes what else waits, up to maxBatch.
func (s *scribe) more(batch []entry) []entry {
	for len(batch) < maxBatch {
		select {
		case e := <-s.entries:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// remember makes the marks of a batch durable, in one transaction if the table has room.
// It returns the entries of which that is true.
func (s *scribe) remember(ctx context.Context, batch []entry) (kept []entry, err error) {
	var all []mor.Mark
	for _, e := range batch {
		all = append(all, e.marks...)
	}
	err = s.write(ctx, all)
	if err == nil || !errors.Is(err, store.ErrFull) {
		return batch, err
	}
	for _, e := range batch {
		if err := s.write(ctx, e.marks); err == nil {
			kept = append(kept, e)
		} else if !errors.Is(err, store.ErrFull) {
			return nil, err
		}
	}
	return kept, nil
}

func (s *scribe) write(ctx context.Context, marks []mor.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	rows := make([]store.Mark, len(marks))
	for i, m := range marks {
		rows[i] = store.Mark{ID: m.ID, Kind: uint8(m.Kind), Until: m.Until}
	}
	if err := s.store.Remember(ctx, rows); err != nil {
		return fmt.Errorf("node: remembering what was peeled: %w", err)
	}
	return nil
}

// handBack has the loop do what kept waited for; of the others of all entries it is counted
// that they were not.
func handBack(all int, kept []entry) job {
	return func(l *loop, _ time.Time) (mor.Output, bool) {
		l.waiting -= all
		l.wasted.MarksFull += uint64(all - len(kept))
		for _, e := range kept {
			l.doOwn(e.then)
		}
		return mor.Output{}, false
	}
}

// owned is what out says and delivers of the node's own making, copied out of the router's
// hands.
func owned(out mor.Output) mor.Output {
	own := mor.Output{Deliver: slices.Clone(out.Deliver)}
	for _, s := range out.Broadcast {
		if !s.Again {
			own.Broadcast = append(own.Broadcast, s)
		}
	}
	for _, a := range out.Announce {
		if !a.Again {
			own.Announce = append(own.Announce, a)
		}
	}
	for _, f := range out.Forward {
		if !f.Again {
			own.Forward = append(own.Forward, f)
		}
	}
	return own
}

func isNothing(out mor.Output) bool {
	return len(out.Remember)+len(out.Broadcast)+len(out.Forward)+len(out.Deliver) == 0
}
