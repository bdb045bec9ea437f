package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/node"
)

const statusHelp = `What the node hears, says and drops, context by context and link by link. With --watch it
looks again and again until it is interrupted, says what happens each second, and waits for
a node that goes away.`

func statusCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "show what the node does", Long: statusHelp, Args: cobra.NoArgs}
	var watch bool
	var every time.Duration
	c.Flags().BoolVar(&watch, "watch", false, "look again and again")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "with --watch: wait for `D` between two looks")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if watch {
			return watchStatus(c, f, every)
		}
		control, err := f.control()
		if err != nil {
			return err
		}
		status, err := control.Status(c.Context())
		if err != nil {
			return failure(err, "p3dod serve --dir "+f.dir)
		}
		return f.print(c, status, statusText(status))
	}
	return c
}

func statusText(s node.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d servers and %d contexts of others known, the keys of %d domains confirmed\n", s.Domain, s.Servers, s.Known, s.Confirmed)
	if s.LogAwaits != "" {
		fmt.Fprintf(&b, "key log: %s: nothing more is signed in it until a peer's copy has them\n", s.LogAwaits)
	}
	fmt.Fprintf(&b, "cover %s\n", s.Cover.Profile.Cost())
	if s.Peels != nil {
		fmt.Fprintf(&b, "peels: %s\n", s.Peels)
	}
	if clocks := s.Clock.String(); clocks != "" {
		fmt.Fprintf(&b, "clock: %s\n", clocks)
	}
	for _, c := range s.Contexts {
		b.WriteString(contextLine(c))
		fmt.Fprintf(&b, "  heard %d, duplicates %d, forwarded %d, rebroadcast %d, peeled %d, crossed %d, spoken %d%s\n",
			c.Heard, c.Duplicates, c.Forwarded, c.Rebroadcast, c.Peeled, c.Crossed, c.Spoken, dropText(c.Dropped))
		if c.Noticed+c.Announced > 0 {
			fmt.Fprintf(&b, "  news heard %d, told %d; packets fetched %d, given %d\n", c.Noticed, c.Announced, c.Asked, c.Given)
		}
	}
	slices.SortFunc(s.Links, func(a, b node.LinkStatus) int { return strings.Compare(a.Peer.String(), b.Peer.String()) })
	for _, l := range s.Links {
		fmt.Fprintf(&b, "link %s: %s\n", l.Peer, slotText(l))
	}
	if w := s.Wasted; w != (node.Wasted{}) {
		fmt.Fprintf(&b, "wasted: link_full %d, no_link %d, spool_full %d, marks_full %d, refused %d\n",
			w.LinkFull, w.NoLink, w.SpoolFull, w.MarksFull, w.Refused)
	}
	if l := s.Lookups; l != (node.Lookups{}) {
		fmt.Fprintf(&b, "lookups: answered %d, malformed %d, over %d, unsent %d\n", l.Answered, l.Malformed, l.Over, l.Unsent)
	}
	return b.String()
}

func contextLine(c node.ContextStatus) string {
	return fmt.Sprintf("context %s: %d listeners, %d members (%s)\n", c.Name, c.Listeners, c.Members, c.ID)
}

func dropText(dropped map[string]uint64) string {
	var parts []string
	for reason, n := range dropped {
		parts = append(parts, fmt.Sprintf("%s %d", reason, n))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return ", dropped: " + strings.Join(parts, ", ")
}

func slotText(l node.LinkStatus) string {
	var sent, received uint64
	for i := range l.Stats.Sent {
		sent += l.Stats.Sent[i]
		received += l.Stats.Received[i]
	}
	return fmt.Sprintf("%d slots sent, %d received, %d refused because it was slow", sent, received, l.Stats.Full)
}
