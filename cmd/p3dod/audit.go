package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

const keysAuditHelp = `Show what has happened to the keys of other domains, and who vouched: keys that were
pinned, keys that gave way to others, DNS records and servers that show another key than
before, peers added and dropped.`

// keysAudit is the command that shows the journal of keys (row C7).
func keysAudit(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "show what has happened to keys", Long: keysAuditHelp, Args: cobra.NoArgs}
	since := c.Flags().String("since", "24h", "how far back: 90m, 24h, 7d")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ago, err := parseAgo(*since)
		if err != nil {
			return cli.Fail(cli.Input, "p3dod keys audit --since 7d", "--since is %q, no time like 90m, 24h or 7d.", *since)
		}
		control, err := f.control()
		if err != nil {
			return err
		}
		events, err := control.Events(c.Context(), time.Now().Add(-ago))
		if err != nil {
			return failure(err, "")
		}
		return f.print(c, events, auditText(events))
	}
	return c
}

// parseAgo reads a time.Duration of no less than nothing, or days.
func parseAgo(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	ago, err := time.ParseDuration(text)
	if err == nil && ago < 0 {
		err = fmt.Errorf("%s is not in the past", text)
	}
	return ago, err
}

func auditText(events []node.Event) string {
	if len(events) == 0 {
		return "nothing has happened\n"
	}
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s  %s  %s: %s\n", e.Time.Format(time.DateTime), e.Kind, e.Domain, e.Words)
	}
	return b.String()
}
