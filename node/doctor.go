package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// A Doctor looks a node's folder, records and addresses through for what is wrong (rows
// K5, P4b). It works beside a node that serves, and without one.
type Doctor struct {
	Dir    string
	Dial   dial.Func // the one door to the network; needed
	DNS    string    // resolver to ask, as dnstxt.ParseServer reads it; empty: the one in the configuration
	Repair bool      // mend what can be mended without a decision: modes, and the two copies of keys
}

// A Finding is one thing that a [Doctor] found.
type Finding struct {
	Check string `json:"check"` // which check found it: "permissions", "ring", "dns" and so on
	State State  `json:"state"`
	Text  string `json:"finding"` // one line
	Hint  string `json:"hint"`    // a command or line that mends it; empty if it is mended
}

// A State says what became of a finding.
type State string

// The states of a finding.
const (
	Wrong   State = "wrong"
	Unknown State = "unknown" // it could not be judged
	Advised State = "advice"  // nothing is wrong, and it could be better
	Mended  State = "mended"
)

// examination is one run of a Doctor: what it has read so far, and found.
type examination struct {
	Doctor
	now      time.Time
	findings []Finding

	cfg       *Config        // nil: could not be read
	authority *pki.Authority // nil: could not be read
	link      pki.LinkKey
	serves    bool
	running   Running               // if it serves
	store     *store.Store          // nil: there is none, or it could not be read
	own       *pki.SignedDescriptor // the last that we published; nil: none
	others    []pki.SignedDescriptor
}

// Examine makes all checks and returns what they found, in their order; none: nothing is
// wrong. It returns an error, fs.ErrNotExist, only if there is no node in the folder.
func (d Doctor) Examine(ctx context.Context, now time.Time) ([]Finding, error) {
	_, noConfig := os.Stat(filepath.Join(d.Dir, ConfigFile))
	_, noKeys := os.Stat(filepath.Join(d.Dir, keysFolder))
	if errors.Is(noConfig, fs.ErrNotExist) && errors.Is(noKeys, fs.ErrNotExist) {
		return nil, fmt.Errorf("node: %w", noConfig)
	}
	e := &examination{Doctor: d, now: now, findings: []Finding{}}
	if e.serves = errors.Is(checkAlone(ctx, d.Dir), ErrServing); e.serves {
		e.running, _ = ReadRunning(d.Dir) // checkAlone has read it
	}
	e.permissions()
	e.readConfig()
	e.readKeys()
	e.offline()
	e.disk()
	e.memory(swapsFile)
	e.openStore(ctx)
	if e.store != nil {
		defer e.store.Close()
		e.database(ctx)
		e.ring(ctx)
		e.records(ctx)
		e.promisedKeys()
		e.keyLog(ctx)
		e.peers(ctx)
	}
	e.validity(ctx)
	e.clock()
	e.peersClocks(ctx)
	e.ports(ctx)
	e.dns(ctx)
	return e.findings, nil
}

func (e *examination) add(check string, state State, hint, text string) {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	e.findings = append(e.findings, Finding{check, state, text, hint})
}

func (e *examination) wrong(check, hint, format string, args ...any) {
	e.add(check, Wrong, hint, fmt.Sprintf(format, args...))
}

func (e *examination) unknown(check, hint, format string, args ...any) {
	e.add(check, Unknown, hint, fmt.Sprintf(format, args...))
}

// command is a command of p3dod for this folder.
func (e *examination) command(words string) string { return "p3dod " + words + " --dir " + e.Dir }

// restart is how the node begins anew.
func (e *examination) restart() string {
	if !e.serves {
		return e.command("serve")
	}
	return fmt.Sprintf("kill -INT %d; %s", e.running.PID, e.command("serve"))
}

func (e *examination) path(names ...string) string {
	return filepath.Join(append([]string{e.Dir}, names...)...)
}

// permissions: folders and files are for their owner only.
func (e *examination) permissions() {
	paths := []string{e.Dir, e.path(keysFolder)}
	for _, name := range []string{ConfigFile, databaseFile, databaseFile + "-wal", databaseFile + "-shm", runningFile} {
		paths = append(paths, e.path(name))
	}
	keys, err := filepath.Glob(e.path(keysFolder, "*"))
	if err == nil {
		paths = append(paths, keys...)
	}
	if e.serves {
		paths = append(paths, e.running.Control)
	}
	for _, path := range paths {
		e.permission(path)
	}
}

func (e *examination) permission(path string) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // that is for other checks to judge
	}
	if err != nil {
		e.unknown("permissions", "run p3dod doctor as the user that the node runs as", "%v", err)
		return
	}
	mode := info.Mode().Perm()
	if mode&0o077 == 0 {
		return
	}
	own := mode & 0o700
	text := fmt.Sprintf("%s has mode %03o: others may look into it", path, mode)
	if e.Repair && os.Chmod(path, own) == nil {
		e.add("permissions", Mended, "", fmt.Sprintf("%s had mode %03o: others could look into it", path, mode))
		return
	}
	e.wrong("permissions", fmt.Sprintf("chmod %03o %s", own, path), "%s", text)
}

func (e *examination) readConfig() {
	cfg, err := ReadConfig(e.path(ConfigFile))
	switch {
	case err == nil:
		e.cfg = &cfg
	case errors.Is(err, fs.ErrNotExist):
		e.wrong("configuration", e.command("init DOMAIN"), "%s is missing", e.path(ConfigFile))
	case errors.Is(err, fs.ErrPermission):
		e.unknown("configuration", "run p3dod doctor as the user that the node runs as", "%v", err)
	default:
		e.wrong("configuration", "edit "+e.path(ConfigFile), "%v", err)
	}
}

// published are the addresses that others connect to: those of the configuration, or else
// the one that the node listens on; none if it does not serve.
func (e *examination) published(configured []string, listening string) []string {
	if len(configured) == 0 && e.serves {
		return []string{listening}
	}
	return configured
}

// latest is the later of two moments that must not lie in the future, and what it is of.
func latest(of string, at time.Time, newOf string, newAt time.Time) (string, time.Time) {
	if newAt.After(at) {
		return newOf, newAt
	}
	return of, at
}

// clockHint is what sets a clock right.
const clockHint = "timedatectl set-ntp true"

// clock judges what can be judged without asking anybody for the time: nothing that was
// signed or written lies in the future. A clock that is ahead is noticed only when it has
// all descriptors of others run out.
func (e *examination) clock() {
	var of string
	var at time.Time
	ended := 0
	for _, d := range e.others {
		of, at = latest(of, at, "the descriptor of "+d.Domain.String()+" was signed", d.Issued)
		if d.Expires.Before(e.now) {
			ended++
		}
	}
	if e.own != nil {
		of, at = latest(of, at, "our descriptor was signed", e.own.Issued)
	}
	for _, path := range slices.Concat([]string{e.path(ConfigFile), e.path(databaseFile), e.path(runningFile)}, e.keyFiles()) {
		if info, err := os.Stat(path); err == nil {
			of, at = latest(of, at, path+" was written", info.ModTime())
		}
	}
	if ahead := at.Sub(e.now); ahead > pki.ClockSkew {
		e.wrong("clock", clockHint, "the clock is at least %v behind: %s at %s", ahead.Round(time.Second), of, at.UTC().Format(time.RFC3339))
	}
	if e.serves && len(e.others) > 0 && ended == len(e.others) {
		e.wrong("clock", clockHint+"; "+e.command("status"),
			"the descriptors of all %d other domains have run out: the clock is ahead, or no peer has been reached for days", ended)
	}
}
