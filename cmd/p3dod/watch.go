package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

// leastEvery is the shortest time between two looks at a node.
const leastEvery = 100 * time.Millisecond

// A statusWatch looks at a node again and again.
type statusWatch struct {
	look     func(context.Context) (node.Status, error)
	every    time.Duration
	out      io.Writer
	json     bool
	terminal bool // out is one: each look takes the place of the one before

	last node.Status // zero: none yet, or the node was away
	at   time.Time   // of that look
	away bool        // it was said that the node is not there
}

// watchStatus is status --watch.
func watchStatus(c *cobra.Command, f *flags, every time.Duration) error {
	if every < leastEvery {
		return cli.Fail(cli.Input, "p3dod status --watch --every 2s", "--every is %s or more.", leastEvery)
	}
	w := &statusWatch{every: every, out: c.OutOrStdout(), json: f.json}
	if file, ok := w.out.(*os.File); ok && !f.json {
		w.terminal = term.IsTerminal(int(file.Fd()))
	}
	w.look = func(ctx context.Context) (node.Status, error) {
		control, err := f.control()
		if err != nil {
			return node.Status{}, err
		}
		return control.Status(ctx)
	}
	return w.run(c.Context())
}

// run looks until ctx ends, which is no error. A node that is not there is waited for.
func (w *statusWatch) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		s, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := w.show(s, err, time.Now()); err != nil {
			return err
		}
		timer.Reset(w.every)
	}
}

// show prints one look. That the node is away it says once.
func (w *statusWatch) show(s node.Status, away error, now time.Time) error {
	switch {
	case away != nil && w.away:
		return nil
	case away != nil:
		w.away, w.last = true, node.Status{}
		if w.json {
			return json.NewEncoder(w.out).Encode(map[string]string{"away": away.Error()})
		}
		_, err := fmt.Fprintf(w.out, "%v\nwaiting for it\n", away)
		return err
	}
	before, since := w.last, now.Sub(w.at)
	w.away, w.last, w.at = false, s, now
	if w.json {
		return json.NewEncoder(w.out).Encode(s)
	}
	text := statusText(s)
	if !before.Domain.IsZero() {
		text += rateText(before, s, since)
	}
	if w.terminal {
		text = "\x1b[H\x1b[2J" + text // from the top of an empty screen
	} else {
		text += "\n"
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// rateText is what happened between two looks, for each second. A node that was started anew counts from zero.
func rateText(before, now node.Status, since time.Duration) string {
	a, b := totals(before), totals(now)
	each := func(a, b uint64) float64 { return float64(b-min(a, b)) / since.Seconds() }
	return fmt.Sprintf("each second: packets heard %.1f, said %.1f, dropped %.1f; slots sent %.1f, received %.1f\n",
		each(a.heard, b.heard), each(a.said, b.said), each(a.dropped, b.dropped), each(a.sent, b.sent), each(a.received, b.received))
}

// sums are counters of all contexts and links.
type sums struct{ heard, said, dropped, sent, received uint64 }

func totals(s node.Status) (t sums) {
	for _, c := range s.Contexts {
		t.heard += c.Heard
		t.said += c.Rebroadcast + c.Spoken
		for _, n := range c.Dropped {
			t.dropped += n
		}
	}
	for _, l := range s.Links {
		for i := range l.Stats.Sent {
			t.sent += l.Stats.Sent[i]
			t.received += l.Stats.Received[i]
		}
	}
	return t
}
