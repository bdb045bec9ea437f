package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Heads of key logs travel like views: whoever sees one signed hands it on, so that a domain
// which shows two people two histories is found out as soon as these have one way to each other.

// witnessDoor is what our key server shows as a witness of the logs of our peers.
func (n *Node) witnessDoor() (witness.Door, error) {
	signer, err := witness.Signer(n.cfg.Domain, n.logging.witness)
	if err != nil {
		return witness.Door{}, fmt.Errorf("node: %w", err)
	}
	w := witness.New(witness.Config{Store: n.store, Signer: signer, Log: n.logOfPeer, Seen: n.sawHead})
	return witness.Door{Witness: w, Store: n.store}, nil
}

// logOfPeer finds the key of a log that we cosign: that of a peer, whose key is not frozen.
func (n *Node) logOfPeer(origin string) (note.Verifier, bool) {
	domain, err := witness.DomainOf(origin)
	if err != nil {
		return nil, false
	}
	_, peer := n.peers.crossOf(domain)
	is, known := n.directory.find(domain)
	if !peer || !known || is.log.IsZero() || n.frozen(domain) {
		return nil, false
	}
	verifier, err := witness.LogVerifier(domain, is.log)
	return verifier, err == nil
}

// sawHead hands on what a log asked us to cosign.
func (n *Node) sawHead(ctx context.Context, checkpoint []byte) {
	fresh, err := n.acceptHead(context.WithoutCancel(ctx), checkpoint)
	if fresh {
		n.tell()
	}
	var soon *tooSoonError
	if errors.As(err, &soon) {
		n.mirrors.tell(checkpoint)
	} else if err != nil && ctx.Err() == nil {
		n.log.Warn("a head of a key log", "err", err)
	}
}

// originOf is the first line of a checkpoint.
func originOf(checkpoint []byte) string {
	origin, _, _ := strings.Cut(string(checkpoint), "\n")
	return origin
}

// acceptHead compares a head that a log has signed with all that we hold of that log, and keeps
// it if it is the greatest.
func (n *Node) acceptHead(ctx context.Context, body []byte) (fresh bool, err error) {
	domain, err := witness.DomainOf(originOf(body))
	if err != nil {
		return false, err
	}
	if domain == n.cfg.Domain {
		return false, n.seeOwn(ctx, body)
	}
	old, err := n.store.Statement(ctx, uint8(pki.StatementHead), domain.String(), [32]byte{})
	if err == nil && string(old.Raw) == string(body) || notFoundIsNil(err) != nil {
		return false, notFoundIsNil(err)
	}
	d, head, err := n.headOf(ctx, domain, body)
	if err != nil {
		return false, err
	}
	if string(head.Checkpoint) != string(body) {
		return false, fmt.Errorf("node: a head of %s with more than its signature", domain)
	}
	if err := n.compareHead(ctx, d, head); err != nil {
		return false, err
	}
	if head.Size <= int64(old.Serial) && len(old.Raw) > 0 {
		return false, nil
	}
	if left := n.headed.take(domain, time.Now(), n.cfg.viewPace()); left > 0 {
		return false, &tooSoonError{"a head of the log of " + domain.String(), left}
	}
	return n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementHead), Issuer: domain.String(), Serial: uint64(head.Size), Raw: body,
	}, n.room(domain, 1, maxHeadBytes))
}

// headOf verifies a head by the newest descriptor of its domain. By another key it may be judged
// when a newer one is here.
func (n *Node) headOf(ctx context.Context, domain pki.Domain, checkpoint []byte) (pki.SignedDescriptor, store.Head, error) {
	d, err := n.directory.descriptor(ctx, domain)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: %s", errUnknownDomain, domain)
	}
	if err != nil {
		return d, store.Head{}, err
	}
	head, err := witness.HeadBy(d.Descriptor, checkpoint)
	if errors.Is(err, witness.ErrSignature) || errors.Is(err, witness.ErrUnknownLog) {
		err = fmt.Errorf("%w: the log of %s: %w", errUnknownDomain, domain, err)
	}
	return d, head, err
}

// compareHead looks for a fork between a head and those that we hold of its log. One that goes
// beyond our copy is compared when the copy has come as far.
func (n *Node) compareHead(ctx context.Context, d pki.SignedDescriptor, head store.Head) error {
	if n.frozen(d.Domain) {
		return nil
	}
	mirrored, _, err := n.store.Mirror(ctx, head.Origin)
	if notFoundIsNil(err) != nil {
		return err
	}
	for _, held := range n.heldHeads(ctx, d, head.Origin) {
		if held.Size == head.Size && held.Root != head.Root {
			return n.proveFork(ctx, d, held, head, nil)
		}
	}
	if head.Size > mirrored.Size {
		n.mirrors.want(d.Domain, head)
		return nil
	}
	if 0 < head.Size && head.Size < mirrored.Size {
		return n.compareTree(ctx, d, head, mirrored)
	}
	return nil
}

// heldHeads are those of a log that we have from different sides.
func (n *Node) heldHeads(ctx context.Context, d pki.SignedDescriptor, origin string) (held []store.Head) {
	add := func(checkpoint []byte, err error) {
		if err == nil {
			if h, err := witness.HeadBy(d.Descriptor, checkpoint); err == nil { // else by a key that was lost
				held = append(held, h)
			}
		}
	}
	told, err := n.store.Statement(ctx, uint8(pki.StatementHead), d.Domain.String(), [32]byte{})
	add(told.Raw, err)
	cosigned, err := n.store.Witnessed(ctx, origin)
	add(cosigned.Checkpoint, err)
	copied, _, err := n.store.Mirror(ctx, origin)
	add(copied.Checkpoint, err)
	return held
}

// compareTree compares a head with the beginning of a copy that has more leaves.
func (n *Node) compareTree(ctx context.Context, d pki.SignedDescriptor, head, mirrored store.Head) error {
	tree := witness.NewCopy(n.store, head.Origin, nil).Tree(ctx, mirrored)
	root, err := tlog.TreeHash(head.Size, tree)
	if err != nil || root == head.Root {
		return err
	}
	return n.proveFork(ctx, d, head, mirrored, tree)
}

// proveFork makes evidence of two heads that contradict each other, and obeys it. tree is that
// of the one with more leaves.
func (n *Node) proveFork(ctx context.Context, d pki.SignedDescriptor, a, b store.Head, tree tlog.HashReader) error {
	f, err := witness.NewFork([2]pki.SignedDescriptor{d, d}, [2]store.Head{a, b}, tree)
	if err != nil {
		return err
	}
	fresh, err := n.acceptFork(ctx, f.Marshal())
	if fresh {
		n.tell()
	}
	return err
}

// acceptFork keeps the proof that a domain's log has two histories, and freezes the domain (row
// 13). The first one stays: one is enough.
func (n *Node) acceptFork(ctx context.Context, body []byte) (fresh bool, err error) {
	f, err := witness.ParseFork(body)
	if err != nil {
		return false, err
	}
	if _, held := n.beliefs.fork(f.Domain); held {
		return false, nil
	}
	ca := n.authority().CA()
	if f.Domain != n.cfg.Domain {
		var ok bool
		if ca, ok = n.directory.authority(f.Domain); !ok {
			return false, fmt.Errorf("%w: %s", errUnknownDomain, f.Domain)
		}
	}
	for _, key := range f.Authorities() {
		if key != ca.Fingerprint() {
			return false, fmt.Errorf("%w: a fork of the log of %s, by another key", errUnknownDomain, f.Domain)
		}
	}
	fresh, err = n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementFork), Issuer: f.Domain.String(), Serial: 1, Raw: body,
	}, n.room(f.Domain, 1, maxForkBytes))
	if fresh {
		n.beliefs.setFork(f)
		n.note(ctx, f.Domain, EventForked, f.String()+"; its key is frozen: nothing new is believed of it")
		n.bench.again(f.Domain)
	}
	return fresh, err
}

// frozen reports whether a domain was found to have two histories of its log.
func (n *Node) frozen(domain pki.Domain) bool {
	p, _ := n.beliefs.pin(domain)
	return n.logEvidence(domain, p).State == pki.LogForked
}

// logEvidence is what is known of a domain's log. A fork by a key that is not the pinned one and
// never was is none of the domain's.
func (n *Node) logEvidence(domain pki.Domain, p pinned) pki.LogEvidence {
	f, ok := n.beliefs.fork(domain)
	for _, key := range f.Authorities() {
		if ok && (p.Key.IsZero() || key == p.Key || slices.Contains(p.Former, key)) {
			return pki.LogEvidence{State: pki.LogForked}
		}
	}
	return pki.LogEvidence{}
}

// maxForks is how many forks the operator is shown at once: the answer has a bound.
const maxForks = 128

// Forks are the proofs of the forks of key logs that are known, by domain.
func (n *Node) Forks() [][]byte {
	forks := n.beliefs.allForks()
	raws := make([][]byte, 0, len(forks))
	for _, f := range forks[:min(len(forks), maxForks)] {
		raws = append(raws, f.Marshal())
	}
	return raws
}

func (b *beliefs) allForks() []witness.Fork {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.forks), func(a, b witness.Fork) int {
		return strings.Compare(a.Domain.String(), b.Domain.String())
	})
}

func (b *beliefs) loadForks(ctx context.Context, s *store.Store) error {
	rows, err := s.Statements(ctx, uint8(pki.StatementFork))
	if err != nil {
		return err
	}
	for _, row := range rows {
		f, err := witness.ParseFork(row.Raw)
		if err != nil {
			return err
		}
		b.setFork(f)
	}
	return nil
}

func (b *beliefs) setFork(f witness.Fork) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forks[f.Domain] = f
}

func (b *beliefs) fork(domain pki.Domain) (witness.Fork, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.forks[domain]
	return f, ok
}
