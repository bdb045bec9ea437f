package main

import (
	"errors"
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
before, key logs with two histories, peers added and dropped; and what the node found at the key
servers of its peers, all of which it audits every ten minutes or so: one that shows an older log
than it has signed (rollback), a record that is not in its log or a log without its leaves
(omission), a record that gave way to another (stale), or nothing for long (silent).

--evidence DIR writes down what proves that: plain signed notes, keys, proofs and policies that
other tools read too, with a README.txt in each folder that says what they prove, and what not.`

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
		found, err := control.Findings(c.Context())
		if err != nil {
			return failure(err, "")
		}
		return f.print(c, events, auditText(events)+forksText(forks)+foundText(found))
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

// foundText says at whose key servers audits found something, however long since.
func foundText(found []witness.Finding) (text string) {
	for _, x := range found {
		text += fmt.Sprintf("%s  %s: %s   (p3dod keys audit --evidence DIR)\n", x.Kind, x.Domain, x.Words)
	}
	return text
}

// A written says where the evidence of a fork or of a finding is.
type written struct {
	Domain pki.Domain `json:"domain"`
	Words  string     `json:"words"`
	Folder string     `json:"folder"`
}

// writeEvidence writes one folder for each domain whose log forked, and for each finding.
func writeEvidence(c *cobra.Command, f *flags, dir string) error {
	control, err := f.control()
	if err != nil {
		return err
	}
	forks, err := control.Forks(c.Context())
	if err != nil {
		return failure(err, "")
	}
	found, err := control.Findings(c.Context())
	if err != nil {
		return failure(err, "")
	}
	all, text := make([]written, 0, len(forks)+len(found)), ""
	write := func(w written, files []witness.File, err error) error {
		w.Folder = filepath.Join(dir, w.Folder)
		if err = errors.Join(err, writeFiles(w.Folder, files)); err != nil {
			return cli.Fail(cli.Input, "p3dod keys audit --evidence ANOTHER", "%v", err)
		}
		all, text = append(all, w), text+fmt.Sprintf("%s: %s\n", w.Folder, w.Words)
		return nil
	}
	for _, fork := range forks {
		files, err := fork.Files()
		if err := write(written{fork.Domain, fork.String(), fork.Domain.String()}, files, err); err != nil {
			return err
		}
	}
	for _, x := range found {
		if err := write(written{x.Domain, x.Words, x.Domain.String() + "." + x.Kind}, x.Files, nil); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		text = "no log is known to have forked, and no audit has found anything\n"
	}
	return f.print(c, all, text)
}

// writeFiles writes files of these names into a folder that may be there.
func writeFiles(folder string, files []witness.File) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if file.Name != filepath.Base(file.Name) {
			return fmt.Errorf("%q is no name of a file", file.Name)
		}
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
