package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// awaitsFile is beside the database as long as our log awaits what witnesses have cosigned: a line for each, its domain and
// the number of leaves.
const awaitsFile = "log.awaits"

// maxAwaitsFile is more than all peers take.
const maxAwaitsFile = 1 << 20

// ownLog is what is known of our log and not in the database.
type ownLog struct {
	showing sync.Mutex                 // for who replaces the file with its newest head
	doubted atomic.Pointer[store.Head] // a head that could not be compared yet
	awaits  awaits
}

// awaits is what peers have said that they cosigned of our log, and that is not here. Who is away has not taken it back: it
// is over when the leaves are here, when that peer names no more, or when it is a peer no more.
type awaits struct {
	mu sync.Mutex // guards by, and the file
	by map[pki.Domain]int64
}

// first is what is awaited from the first of the peers by name; nil: nothing is.
func (a *awaits) first() *awaitedError {
	a.mu.Lock()
	defer a.mu.Unlock()
	if all := awaitedFrom(a.by); len(all) > 0 {
		return all[0]
	}
	return nil
}

// awaitedFrom lists what is awaited from each peer, by name.
func awaitedFrom(by map[pki.Domain]int64) (all []*awaitedError) {
	for domain, size := range by {
		all = append(all, &awaitedError{domain, size})
	}
	slices.SortFunc(all, func(a, b *awaitedError) int { return strings.Compare(a.by.String(), b.by.String()) })
	return all
}

// change has f change what is awaited, and writes it down if it did.
func (a *awaits) change(path string, f func(by map[pki.Domain]int64)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := maps.Clone(a.by)
	if a.by == nil {
		a.by = make(map[pki.Domain]int64)
	}
	if f(a.by); maps.Equal(was, a.by) {
		return nil
	}
	if len(a.by) == 0 {
		return notFoundFileIsNil(os.Remove(path))
	}
	var text strings.Builder
	for _, one := range awaitedFrom(a.by) {
		fmt.Fprintf(&text, "%s %d\n", one.by, one.size)
	}
	return writeFile(path, []byte(text.String()))
}

func notFoundFileIsNil(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// awaitedError says that a witness has cosigned more of our log than we have.
type awaitedError struct {
	by   pki.Domain
	size int64 // leaves
}

func (e *awaitedError) Error() string {
	return fmt.Sprintf("%s says that it cosigned %d leaves of our own log, which are not all here", e.by, e.size)
}

// askCosigned asks a peer how far it has cosigned our log: by the head of no leaves, which contradicts none, and
// which a witness that has cosigned another refuses with the size of that. One that cosigns nothing of ours has none.
func (n *Node) askCosigned(ctx context.Context, d pki.SignedDescriptor) (size int64, err error) {
	if !d.HasLog() {
		return 0, nil
	}
	root, err := tlog.TreeHash(0, nil)
	if err != nil {
		return 0, err
	}
	signer, err := keylog.NewLogSigner(n.cfg.Domain, n.logging.log)
	if err != nil {
		return 0, err
	}
	signed, err := keylog.Sign(tlog.Tree{Hash: root}, signer)
	if err != nil {
		return 0, err
	}
	_, err = n.askCosigner(ctx, d, witness.Request{Checkpoint: signed})
	var conflict *witness.ConflictError
	switch {
	case errors.As(err, &conflict) && conflict.Size <= keylog.MaxLeaves:
		return conflict.Size, nil
	case errors.Is(err, witness.ErrUnknownLog):
		return 0, nil
	}
	return 0, err
}

// ours is how many leaves of the copy the database has, by the peer's word alone if our key has not signed its head:
// good enough for what the same peer says that it has cosigned.
func (c ownCopy) ours() int64 {
	if c.head.Origin == "" {
		return c.head.Size
	}
	return 0
}

// checkCosigned is an *awaitedError if a peer has cosigned more than the greatest head that we have signed, as far as
// we know, and of which all leaves are here; be it that it says so now, or that it has said so and is away. Leaves alone prove
// nothing: others may have been logged since.
func (n *Node) checkCosigned(ctx context.Context, copies []ownCopy) error {
	has, err := n.signedHere(ctx)
	if err != nil {
		return err
	}
	for _, c := range copies {
		if c.head.Origin != "" && n.checkOwn(ctx, c.head) == nil {
			has = max(has, c.head.Size)
		}
	}
	for _, c := range copies {
		if c.said && !c.peer.IsZero() && c.cosigned > max(has, c.ours()) {
			n.awaitMore(ctx, awaitedError{c.peer, c.cosigned})
		} else if c.said {
			n.changeAwaits(func(by map[pki.Domain]int64) { delete(by, c.peer) })
		}
	}
	peers := n.peers.known()
	n.changeAwaits(func(by map[pki.Domain]int64) {
		maps.DeleteFunc(by, func(domain pki.Domain, size int64) bool { _, peer := peers[domain]; return !peer || size <= has })
	})
	if more := n.ownLog.awaits.first(); more != nil {
		return more
	}
	return nil
}

// signedHere is how many leaves the greatest head has that we have signed, as far as we know, and of which all leaves are here.
func (n *Node) signedHere(ctx context.Context) (int64, error) {
	has, err := n.store.SignedSize(ctx)
	if err != nil {
		return 0, err
	}
	shown, err := n.shownHead()
	if err == nil && n.checkOwn(ctx, shown) == nil {
		has = max(has, shown.Size)
	}
	return has, err
}

// seeCosigned looks at what a peer answered that was asked to cosign our newest head: that it has cosigned more shows that
// this is an older copy of our log.
func (n *Node) seeCosigned(ctx context.Context, peer pki.Domain, size int64) {
	if has, err := n.signedHere(ctx); err != nil || size <= has {
		return // it has a newer one than was asked for
	}
	n.awaitMore(ctx, awaitedError{peer, size})
	offer(n.logBehind, struct{}{})
}

// awaitMore notes that a peer has cosigned more than is here, and tells the operator so once.
func (n *Node) awaitMore(ctx context.Context, more awaitedError) {
	fresh := false
	n.changeAwaits(func(by map[pki.Domain]int64) {
		_, known := by[more.by]
		fresh, by[more.by] = !known, more.size
	})
	if fresh {
		n.note(ctx, n.cfg.Domain, EventLog, more.Error()+"; nothing more is signed in it until a peer's copy has them")
	}
}

func (n *Node) changeAwaits(f func(by map[pki.Domain]int64)) {
	if err := n.ownLog.awaits.change(filepath.Join(n.dir, awaitsFile), f); err != nil {
		n.log.Error("what our log awaits", "err", err)
	}
}

// loadAwaits takes up what was awaited before a restart.
func (n *Node) loadAwaits() {
	all, err := readAwaits(filepath.Join(n.dir, awaitsFile))
	if err != nil {
		n.log.Error("what our log awaits", "err", err)
	}
	n.changeAwaits(func(by map[pki.Domain]int64) {
		for _, one := range all {
			by[one.by] = one.size
		}
	})
}

// readAwaits reads what change wrote.
func readAwaits(path string) (all []*awaitedError, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, notFoundFileIsNil(err)
	}
	if len(raw) > maxAwaitsFile {
		return nil, fmt.Errorf("node: %s is too long", path)
	}
	for line := range strings.Lines(string(raw)) {
		name, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		by, err := pki.ParseDomain(name)
		if err != nil {
			return nil, fmt.Errorf("node: reading %s: %w", path, err)
		}
		size, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("node: reading %s: %w", path, err)
		}
		all = append(all, &awaitedError{by, size})
	}
	return all, nil
}
