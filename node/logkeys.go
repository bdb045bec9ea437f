package node

import (
	"context"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// seenEvery is how often it is written down that a log is still cosigned.
const seenEvery = time.Hour

// readKeys looks through what is new in our copy of a domain's log for a new key of that domain, and notes
// from when on as many of our peers as are wanted have cosigned it, by our clock. Under one label or another:
// whatever leaf of an authority a log has, its owner signed.
func (m *mirrors) readKeys(ctx context.Context, domain pki.Domain) error {
	held, _, err := m.n.store.Mirror(ctx, keylog.Origin(domain))
	if err != nil {
		return notFoundIsNil(err)
	}
	was := m.n.beliefs.logKey(domain)
	is := was
	if held.Size > is.Read {
		err = witness.NewCopy(m.n.store, held.Origin, nil).Leaves(ctx, held, is.Read, func(_ int64, leaves [][]byte) error {
			is = newestKey(is, leaves)
			return nil
		})
		is.Read = held.Size
	}
	if err != nil {
		return err
	}
	is = stood(is, m.n.cosignedAt(domain, held.Checkpoint), m.n.keyQuorum(domain), time.Now())
	if is == was {
		return nil
	}
	if err := m.n.store.SetLogKey(ctx, held.Origin, is); err != nil {
		return notFoundIsNil(err) // it was forgotten meanwhile
	}
	m.n.beliefs.setLogKey(domain, is)
	if is.Key != was.Key || is.Since != was.Since {
		m.n.bench.again(domain)
	}
	return nil
}

// newestKey goes on with more leaves.
func newestKey(is store.LogKey, leaves [][]byte) store.LogKey {
	for _, raw := range leaves {
		leaf, err := keylog.ParseLeaf(raw)
		if err == nil && leaf.Kind == keylog.Authority && leaf.Record != is.Key {
			is = store.LogKey{Key: leaf.Record} // whose clock begins
		}
	}
	return is
}

// stood is a key whose log's head was cosigned at those times: from now on, if it was not before, and if
// enough of them are of late. What their clocks say sets nothing back.
func stood(is store.LogKey, cosigned []time.Time, quorum int, now time.Time) store.LogKey {
	cosigned = slices.DeleteFunc(slices.Clone(cosigned), func(at time.Time) bool {
		return at.After(now.Add(keylog.Skew)) || now.Sub(at) > pki.LogFreshness
	})
	if len(cosigned) < quorum || is.Key == [32]byte{} {
		return is
	}
	if now = now.UTC().Truncate(time.Second); is.Since.IsZero() {
		is.Since = now
	}
	if now.Sub(is.Seen).Abs() >= seenEvery {
		is.Seen = now
	}
	return is
}

// keyQuorum is how many of our peers are to have cosigned the log of another domain: fewer than there are, so
// that one that is gone stops nothing, and one at least.
func (n *Node) keyQuorum(domain pki.Domain) int {
	return max(1, min(enoughPeers, n.peers.countBut(domain)-1))
}

// cosignedAt is when peers of ours cosigned a checkpoint of a domain's log, that domain not counted.
func (n *Node) cosignedAt(domain pki.Domain, checkpoint []byte) (times []time.Time) {
	var by []note.Verifier
	for peer := range n.peers.known() {
		is, ok := n.directory.find(peer)
		if !ok || peer == domain || is.witness.IsZero() {
			continue
		}
		if v, err := keylog.WitnessVerifier(peer, is.witness); err == nil {
			by = append(by, v)
		}
	}
	signed, err := note.Open(checkpoint, note.VerifierList(by...))
	if err != nil {
		return nil
	}
	for _, sig := range signed.Sigs {
		if at, ok := keylog.CosignedAt(sig); ok {
			times = append(times, at)
		}
	}
	return times
}

// newKey is [loggedKey] of our copy.
func (n *Node) newKey(e pki.Evidence, p pinned, now time.Time) pki.LogEvidence {
	view, _ := n.beliefs.view(e.Domain)
	return loggedKey(e, p.since, n.beliefs.logKey(e.Domain), view.Issued, now)
}

// loggedKey is what the log of a domain says of its key: that it has another one than the pinned, in its log
// since after that was pinned. A log that agrees, or of which we have no copy, or whose head is old, adds
// nothing: a hand-over does not wait for our copy. What the pinned key has said after that, a view or a
// hand-over to a third key, is its challenge.
func loggedKey(e pki.Evidence, pinnedAt time.Time, k store.LogKey, said, now time.Time) pki.LogEvidence {
	is := pki.Fingerprint(k.Key)
	if e.Pin.Key.IsZero() || is.IsZero() || is == e.Pin.Key || !k.Since.After(pinnedAt) || now.Sub(k.Seen) > pki.LogFreshness {
		return pki.LogEvidence{}
	}
	elsewhere := !e.Rotation.IsZero() && e.Rotation != is
	return pki.LogEvidence{State: pki.LogCurrent, Newest: is, Since: k.Since, Challenged: said.After(k.Since) || elsewhere}
}

func (b *beliefs) loadLogKeys(ctx context.Context, s *store.Store) error {
	all, err := s.LogKeys(ctx)
	if err != nil {
		return err
	}
	for origin, k := range all {
		domain, err := witness.DomainOf(origin)
		if err != nil {
			return err
		}
		b.logKeys[domain] = k
	}
	return nil
}

func (b *beliefs) logKey(domain pki.Domain) store.LogKey {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logKeys[domain]
}

func (b *beliefs) setLogKey(domain pki.Domain, k store.LogKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logKeys[domain] = k
}
