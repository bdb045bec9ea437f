package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const keysAuditHelp = `Show what has happened to the keys of other domains, and who vouched: keys that were
pinned, keys that gave way to others, DNS records and servers that show another key than
before, key logs with two histories, peers added and dropped.

--evidence DIR writes down what proves that a domain signed two histories of its key log: plain
signed notes, keys and policies that other tools read too, with a README.txt for each domain.`

// keysAudit is the command that shows the journal of keys (row C7).
func keysAudit(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "show what has happened to keys", Long: keysAuditHelp, Args: cobra.NoArgs}
	since := c.Flags().String("since", "24h", "how far back: 90m, 24h, 7d")
	evidence := c.Flags().String("evidence", "", "folder to write the evidence of forked logs to")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *evidence != "" {
			return writeEvidence(c, f, *evidence)
		}
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
		forks, err := control.Forks(c.Context())
		if err != nil {
			return failure(err, "")
		}
		return f.print(c, events, auditText(events)+forksText(forks))
	}
	return c
}

// forksText says whose keys are frozen, however long since.
func forksText(forks []witness.Fork) (text string) {
	for _, f := range forks {
		text += fmt.Sprintf("frozen  %s: %s   (p3dod keys audit --evidence DIR)\n", f.Domain, f)
	}
	return text
}

// A written says where the evidence of a fork is.
type written struct {
	Domain pki.Domain `json:"domain"`
	Words  string     `json:"words"`
	Folder string     `json:"folder"`
}

// writeEvidence writes one folder for each domain whose log forked.
func writeEvidence(c *cobra.Command, f *flags, dir string) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	forks, err := control.Forks(c.Context())
	if err != nil {
		return failure(err, "")
	}
	all, text := make([]written, 0, len(forks)), ""
	for _, fork := range forks {
		w := written{fork.Domain, fork.String(), filepath.Join(dir, fork.Domain.String())}
		if err := writeFork(w.Folder, fork); err != nil {
			return cli.Fail(cli.Input, "p3dod keys audit --evidence ANOTHER", "%v", err)
		}
		all, text = append(all, w), text+fmt.Sprintf("%s: %s\n", w.Folder, w.Words)
	}
	if len(all) == 0 {
		text = "no log is known to have forked\n"
	}
	return f.print(c, all, text)
}

func writeFork(folder string, fork witness.Fork) error {
	files, err := fork.Files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(folder, file.Name), file.Content, 0o644); err != nil {
			return err
		}
	}
	return nil
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
