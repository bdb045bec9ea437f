package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Tally is what came of a scenario.
type Tally struct {
	Messages     int `json:"messages"`     // that were to be sent, all users together
	Acknowledged int `json:"acknowledged"` // of these
	Lost         int `json:"lost"`         // acknowledged and never shown to who they were for
	Twice        int `json:"twice"`        // shown more than once, and the reader was not told
	Strange      int `json:"strange"`      // shown, but nobody wrote them to that reader
	Again        int `json:"again"`        // shown once more to a reader who was told: a program was killed while it showed them
	Needless     int `json:"needless"`     // of these, more than programs of their reader were killed: a death costs one at most

	Retransmissions float64  `json:"retransmissions"`          // copies of a message beyond the first, on average
	KiBPerMessage   float64  `json:"kib_per_message_and_node"` // that each node sent to its peers, divided by the messages
	MiBPerNode      float64  `json:"mib_per_node"`             // that each node sent to its peers, on average
	Memory          []Memory `json:"memory,omitempty"`         // where the system tells
	Seconds         float64  `json:"seconds"`                  // from the first message to the last acknowledgement
}

// conclude lets the users write, while accidents happen to them, and says what came of it.
func (l *lab) conclude(ctx context.Context, m Map, talk *conversation, meter *meter, accident func(context.Context) (more bool, err error)) error {
	began := time.Now()
	failed := talk.run(ctx, accident, meter.look)
	seconds := time.Since(began).Seconds()
	if failed == nil {
		failed = talk.calm(ctx)
	}
	meter.look(ctx)
	tally := talk.tally(meter, seconds)
	l.cfg.Report(Step{Step: StepTally, Tally: &tally, Millis: int64(1000 * seconds)})
	return errors.Join(failed, tally.fault(), l.checkLogs(ctx, m, talk))
}

// tally counts. While messages are not acknowledged, it is not known which: of those that
// are, at least so many are lost.
func (c *conversation) tally(m *meter, seconds float64) Tally {
	t := Tally{Messages: len(c.users) * c.lab.cfg.Messages, Strange: c.strange, Memory: m.memory(), Seconds: seconds}
	sent, copies := 0, 0
	for _, u := range c.users {
		t.Acknowledged += u.last.Sent - u.last.Open
		sent += u.last.Sent
		copies += u.last.Copies
		t.Again += u.again
		t.Needless += max(0, u.again-u.kills)
	}
	t.Lost = max(0, t.Acknowledged-len(c.shown))
	for _, times := range c.shown { // order-free: counts
		if times > 1 {
			t.Twice++
		}
	}
	t.Retransmissions = float64(copies-sent) / float64(max(sent, 1))
	t.MiBPerNode = m.perNode() / 1024
	t.KiBPerMessage = m.perNode() / float64(t.Messages)
	return t
}

// fault is what must not be.
func (t Tally) fault() error {
	if t.Acknowledged == t.Messages && t.Lost == 0 && t.Twice == 0 && t.Strange == 0 && t.Needless == 0 {
		return nil
	}
	return fmt.Errorf("lab: of %d messages %d were acknowledged, %d lost, %d shown twice, %d shown again for no reason; %d were shown that nobody wrote",
		t.Messages, t.Acknowledged, t.Lost, t.Twice, t.Needless, t.Strange)
}

// text is the tally as a person reads it.
func (t Tally) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages in %.1f s: %d acknowledged, %d lost, %d shown twice", t.Messages, t.Seconds, t.Acknowledged, t.Lost, t.Twice)
	if t.Again > 0 {
		fmt.Fprintf(&b, " (and %d again, marked as such, by a program that was killed while it showed them)", t.Again)
	}
	fmt.Fprintf(&b, "\n%.2f retransmissions of each message; %.0f KiB sent by each node for each message, %.0f MiB in all\n",
		t.Retransmissions, t.KiBPerMessage, t.MiBPerNode)
	for _, m := range t.Memory {
		fmt.Fprintf(&b, "  %s  %.0f MiB of memory at rest, %.0f MiB at most\n", m.Domain, float64(m.Rest)/1024, float64(m.Height)/1024)
	}
	return b.String()
}
