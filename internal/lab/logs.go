package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/p3do/p3do/pki"
)

// checkLogs searches the logs of all nodes, and what the users' programs wrote to their
// standard error, for all that they may not show. Whatever is found is an error, and named.
// In a lab that ends it first ends the nodes, so that their last words are searched too.
func (l *lab) checkLogs(ctx context.Context, m Map, talk *conversation) error {
	private, err := l.privateTraces(ctx, m, talk)
	if err != nil {
		return err
	}
	talk.end()
	if l.cfg.Once {
		err = l.stop()
	}
	var found []Found
	for _, log := range l.logs(talk) {
		content, failed := os.ReadFile(log.path)
		err = errors.Join(err, failed)
		found = append(found, Found{Domain: log.of, Files: 1, Bytes: len(content), What: shownBy(content, private, l.explained())})
	}
	l.cfg.Report(Step{Step: StepLogs, Found: found})
	return errors.Join(err, logsFault(found))
}

// A placedLog is a log and whose it is.
type placedLog struct{ of, path string }

func (l *lab) logs(talk *conversation) (all []placedLog) {
	for _, p := range l.nodes {
		all = append(all, placedLog{p.domain.String(), filepath.Join(p.dir, logFile)})
	}
	for _, u := range talk.users {
		all = append(all, placedLog{u.name, talk.logPath(u)})
	}
	return all
}

func logsFault(found []Found) error {
	var faults []error
	for _, f := range found {
		if len(f.What) > 0 {
			faults = append(faults, fmt.Errorf("lab: the log of %s shows %s", f.Domain, f.words()))
		}
	}
	return errors.Join(faults...)
}

func logsText(found []Found) string {
	var b strings.Builder
	b.WriteString("the logs, searched for names, addresses, fingerprints and mailboxes of the users, ids of\nmessages, and whatever looks like a key:\n")
	for _, f := range found {
		fmt.Fprintf(&b, "  %s  %d bytes: %s\n", f.Domain, f.Bytes, f.words())
	}
	return b.String()
}

// privateTraces are all that is known of the users that no log may show.
func (l *lab) privateTraces(ctx context.Context, m Map, talk *conversation) ([]trace, error) {
	traces := slices.Clone(talk.private)
	for _, u := range talk.users {
		name, err := pki.ParseName(u.name)
		if err != nil {
			return nil, err
		}
		mailbox, err := l.requestsOf(ctx, m, name)
		if err != nil {
			return nil, err
		}
		traces = append(traces, nameTraces(u.name)...)
		traces = append(traces, logTrace("the public mailbox of "+u.name, mailbox[:]))
	}
	return traces, nil
}

// explained lists what looks like a key and may stand in a log all the same: the folder of
// the lab, which its operator named, and the fingerprints of the domains, which are public
// and are told when a key is refused.
func (l *lab) explained() []string {
	known := []string{l.cfg.Dir}
	for _, p := range l.nodes {
		known = append(known, p.fingerprint.String())
		for _, former := range p.former {
			known = append(known, former.Fingerprint().String())
		}
	}
	return known
}

// runs are letters in a row that may be a key, an address or an id: 16 or more of
// hexadecimal, or of base64 in one of its alphabets.
var runs = regexp.MustCompile(`[0-9A-Za-z+/_-]{16,}`)

// words are runs that are not random: letters of one case and what joins them. Of random
// base64 of this length one in two hundred thousand looks like that.
var words = regexp.MustCompile(`^([a-z/_-]+|[A-Z/_-]+)$`)

// shownBy says which traces are in a log, and which runs are there that nobody has
// explained.
func shownBy(log []byte, traces []trace, explained []string) []string {
	what := []string{}
	for _, t := range traces {
		if t.in(log) && !slices.Contains(what, t.what) {
			what = append(what, t.what)
		}
	}
	text := string(log)
	for _, known := range explained {
		text = strings.ReplaceAll(text, known, " ")
	}
	for _, run := range runs.FindAllString(text, -1) {
		if strange := fmt.Sprintf("%q, which nobody has explained", run); !words.MatchString(run) && !slices.Contains(what, strange) {
			what = append(what, strange)
		}
	}
	return what
}
