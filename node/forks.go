package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// speaks says by whose word a domain speaks: the key that is pinned, or, if none is, the one that
// it is known by; and those that handed over to it by themselves. False: nothing is known.
func (n *Node) speaks(domain pki.Domain) (by func(pki.Fingerprint) bool, ok bool) {
	is := n.authorityKey(domain)
	if domain == n.cfg.Domain {
		is = n.authority().CA().Fingerprint()
	} else if p, pinned := n.beliefs.pin(domain); pinned {
		is = p.Key
	}
	return func(key pki.Fingerprint) bool { return key == is || n.handsOver(domain, key, is) }, !is.IsZero()
}

// forkReader is what we judge a fork of a domain's log by.
func (n *Node) forkReader(domain pki.Domain) (by witness.Reader, ok bool) {
	by = witness.Reader{Witnesses: n.witnessKeys()}
	by.Speaks, ok = n.speaks(domain)
	if is, known := n.directory.find(domain); ok && known && by.Speaks(is.ca.Fingerprint()) {
		by.Log = is.log
	}
	return by, ok
}

// proveFork makes evidence of a head and one of those that we hold, which all contradict it, and
// obeys it. tree is that of the head; nil: each is of the copy's, or has as many leaves. If none
// convinces us we tell our operator, once: the log does not go on from what we have.
func (n *Node) proveFork(ctx context.Context, domain pki.Domain, head store.Head, held []store.Head, tree tlog.HashReader) error {
	var failed error
	for _, h := range held {
		reads := tree
		if reads == nil {
			reads = witness.NewCopy(n.store, h.Origin, nil).Tree(ctx, h)
		}
		f, err := witness.NewFork([2]store.Head{h, head}, reads, n.witnessKeys()...)
		if err != nil {
			if !errors.Is(err, witness.ErrNoFork) {
				failed = err
			}
			continue
		}
		fresh, err := n.acceptFork(ctx, f.Marshal())
		if fresh {
			n.tell()
		}
		if !errors.Is(err, errUnknownDomain) {
			return err
		}
	}
	if failed == nil && n.mirrors.parts(domain) {
		n.note(ctx, domain, EventLog, "its log does not go on from what we hold of it, and no two heads prove that to others: it is cosigned no further")
	}
	return failed
}

// acceptFork keeps the proof that a domain's log has two histories, and freezes the domain (row
// 13). The first one that convinces us stays: one is enough, as long as the domain speaks by the
// word of whoever signed it.
func (n *Node) acceptFork(ctx context.Context, body []byte) (fresh bool, err error) {
	f, err := witness.ParseFork(body)
	if err != nil {
		return false, err
	}
	n.beliefs.forking.Lock()
	defer n.beliefs.forking.Unlock()
	if held, ok := n.beliefs.fork(f.Domain); ok && (n.frozen(f.Domain) || string(held.Marshal()) == string(body)) {
		return false, nil
	}
	by, ok := n.forkReader(f.Domain)
	if !ok {
		return false, fmt.Errorf("%w: %s", errUnknownDomain, f.Domain)
	}
	if err := f.Check(by); err != nil { // we may learn more
		return false, fmt.Errorf("%w: %w", errUnknownDomain, err)
	}
	old, err := n.store.Statement(ctx, uint8(pki.StatementFork), f.Domain.String(), [32]byte{})
	if notFoundIsNil(err) != nil {
		return false, err
	}
	fresh, err = n.store.AddStatement(ctx, store.Statement{
		Kind: uint8(pki.StatementFork), Issuer: f.Domain.String(), Serial: old.Serial + 1, Raw: body,
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
	return n.logEvidence(domain).State == pki.LogForked
}

// logEvidence is what is known of a domain's log. What proved a fork once does so as long as the
// domain speaks by the word of the authorities in it. Those that the offline root had to replace
// are no authority any more; but the pin of a domain that is frozen moves by our operator's word
// only.
func (n *Node) logEvidence(domain pki.Domain) pki.LogEvidence {
	f, ok := n.beliefs.fork(domain)
	if by, known := n.speaks(domain); ok && (!known || by(f.Descriptors[0].CA.Fingerprint()) && by(f.Descriptors[1].CA.Fingerprint())) {
		return pki.LogEvidence{State: pki.LogForked}
	}
	return pki.LogEvidence{}
}

// maxForks is how many forks the operator is shown at once: the answer has a bound.
const maxForks = 128

// Forks are the proofs of the forks of key logs by which domains are frozen, by domain.
func (n *Node) Forks() [][]byte {
	forks := slices.DeleteFunc(n.beliefs.allForks(), func(f witness.Fork) bool { return !n.frozen(f.Domain) })
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
