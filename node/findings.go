package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// findingsFile is in the node's folder once an audit has found something.
const findingsFile = "audit.json"

const (
	maxFindings     = 32       // for one more the oldest is forgotten; what it said is in the journal
	maxFindingsFile = 16 << 20 // none is longer than 128 KiB
)

// Findings are what audits found at key servers, of each domain and kind the last. The operator is
// told when one begins; it goes on until an audit finds it mended, and its evidence stays.
type findings struct {
	path string

	mu   sync.Mutex // guards what follows, and the file
	all  []witness.Finding
	open map[finding]bool
}

type finding struct {
	domain pki.Domain
	kind   string
}

// openFindings reads what is in the folder. What nobody can read is begun anew: it is found again
// while it is so.
func openFindings(dir string) (*findings, error) {
	f := &findings{path: filepath.Join(dir, findingsFile), open: make(map[finding]bool)}
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil && info.Size() > maxFindingsFile {
		err = errors.New("it is too long")
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(f.path)
	}
	if err == nil {
		err = json.Unmarshal(raw, &f.all)
	}
	for _, x := range f.all {
		if x.Kind != witness.Rollback && x.Kind != witness.Omission && x.Kind != witness.Stale && err == nil {
			err = fmt.Errorf("%q is no kind of finding", x.Kind)
		}
	}
	if err != nil {
		f.all = nil
		return f, fmt.Errorf("node: reading %s: %w", f.path, err)
	}
	f.all = f.all[max(0, len(f.all)-maxFindings):]
	for _, x := range f.all {
		f.open[finding{x.Domain, x.Kind}] = true
	}
	return f, nil
}

// add keeps a finding, unless one of its domain and kind goes on.
func (f *findings) add(x witness.Finding) (fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := finding{x.Domain, x.Kind}
	if f.open[of] {
		return false, nil
	}
	all := slices.DeleteFunc(slices.Clone(f.all), func(y witness.Finding) bool { return y.Domain == x.Domain && y.Kind == x.Kind })
	all = append(all[max(0, len(all)-maxFindings+1):], x)
	f.open[of], f.all = true, all
	raw, err := json.Marshal(all)
	if err == nil {
		err = writeFile(f.path, raw)
	}
	return true, err
}

// mended says that a domain has nothing of a kind any more.
func (f *findings) mended(domain pki.Domain, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, finding{domain, kind})
}

func (f *findings) list() []witness.Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

// Findings are what audits found at the key servers of others, the oldest first.
func (n *Node) Findings() []witness.Finding { return n.findings.list() }

// found keeps a finding and tells the operator, once.
func (n *Node) found(ctx context.Context, x witness.Finding) {
	fresh, err := n.findings.add(x)
	if err != nil {
		n.log.Error("keeping what an audit found", "err", err)
	}
	if fresh {
		n.note(ctx, x.Domain, EventLog, x.Words)
	}
}
