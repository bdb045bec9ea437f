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

	mu  sync.Mutex // guards what follows, and the file
	all []finding
}

// A finding as it is kept. While it is not mended it goes on.
type finding struct {
	witness.Finding
	Mended bool `json:"mended,omitempty"`
}

// openFindings reads what is in the folder. What nobody can read is begun anew: it is found again
// while it is so. Of a kind that is not known here nothing is taken.
func openFindings(dir string) (*findings, error) {
	f := &findings{path: filepath.Join(dir, findingsFile)}
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
	if err != nil {
		f.all = nil
		return f, fmt.Errorf("node: reading %s: %w", f.path, err)
	}
	f.all = slices.DeleteFunc(f.all, func(x finding) bool {
		strange := !slices.Contains(witness.Kinds(), x.Kind)
		if strange {
			err = fmt.Errorf("node: reading %s: %q is no kind of finding", f.path, x.Kind)
		}
		return strange
	})
	f.all = f.all[max(0, len(f.all)-maxFindings):]
	return f, err
}

// at is where the finding of a domain and kind is; -1: nowhere.
func (f *findings) at(domain pki.Domain, kind string) int {
	return slices.IndexFunc(f.all, func(x finding) bool { return x.Domain == domain && x.Kind == kind })
}

// add keeps a finding, unless one of its domain and kind goes on.
func (f *findings) add(x witness.Finding) (fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.at(x.Domain, x.Kind)
	if i >= 0 && !f.all[i].Mended {
		return false, nil
	}
	if i >= 0 {
		f.all = slices.Delete(f.all, i, i+1)
	}
	f.all = append(f.all[max(0, len(f.all)-maxFindings+1):], finding{Finding: x}) // one that is forgotten for others is told again
	return true, f.write()
}

// mended says that a domain has nothing of a kind any more.
func (f *findings) mended(domain pki.Domain, kind string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.at(domain, kind)
	if i < 0 || f.all[i].Mended {
		return nil
	}
	f.all[i].Mended = true
	return f.write()
}

func (f *findings) write() error {
	raw, err := json.Marshal(f.all)
	if err == nil {
		err = writeFile(f.path, raw)
	}
	return err
}

func (f *findings) list() []witness.Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]witness.Finding, len(f.all))
	for i, x := range f.all {
		all[i] = x.Finding
	}
	return all
}

// goesOn reports whether a domain has something of a kind.
func (f *findings) goesOn(domain pki.Domain, kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.at(domain, kind)
	return i >= 0 && !f.all[i].Mended
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

// mended notes that an audit found no more of a kind at a domain.
func (n *Node) mended(domain pki.Domain, kind string) {
	if err := n.findings.mended(domain, kind); err != nil {
		n.log.Error("keeping what an audit found", "err", err)
	}
}
