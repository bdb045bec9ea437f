package keyserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// LogConfig is what the key log of a domain is made of.
type LogConfig struct {
	Store  *store.Store
	Domain pki.Domain
	Key    pki.LogKey
	Labels keylog.LabelKey

	// Cosign has witnesses cosign a checkpoint, and gives each signature that it has verified to
	// take, one at a time. prove makes the consistency proof from an older size. It returns when
	// all have answered or ctx ends. Nil: there are no witnesses.
	Cosign func(ctx context.Context, tree tlog.Tree, signed []byte, prove func(old int64) (tlog.TreeProof, error), take func(note.Signature))

	// Quorum is how many cosignatures the domain wants. Nil: none.
	Quorum func() int

	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Log is the key log of a domain: what its [Server] publishes, as commitments. Its methods may be
// called concurrently; Run is called once.
type Log struct {
	config LogConfig
	signer note.Signer
	grown  chan struct{} // has room for one: something may be new

	mu    sync.Mutex // for who replaces heads
	heads atomic.Pointer[heads]
}

// Names of checkpoints in the store.
const (
	newestHead   = "newest"
	cosignedHead = "cosigned"
)

// head is a checkpoint that was published.
type head struct {
	tlog.Tree
	signed []byte // nil: none yet
	given  *given
}

// heads are replaced, never changed.
type heads struct {
	newest   head
	cosigned head          // the newest with a quorum
	next     chan struct{} // closed when others take their place
}

// OpenLog takes up the log where it was left.
func OpenLog(ctx context.Context, config LogConfig) (*Log, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	signer, err := keylog.NewLogSigner(config.Domain, config.Key)
	if err != nil {
		return nil, err
	}
	l := &Log{config: config, signer: signer, grown: make(chan struct{}, 1)}
	h := &heads{next: make(chan struct{})}
	if h.newest, err = l.load(ctx, newestHead); err != nil {
		return nil, err
	}
	if h.cosigned, err = l.load(ctx, cosignedHead); err != nil {
		return nil, err
	}
	l.heads.Store(h)
	return l, nil
}

// load reads a checkpoint from the disk. One by a key of the log that was lost is none any more:
// the same tree is signed again.
func (l *Log) load(ctx context.Context, name string) (head, error) {
	signed, err := l.config.Store.LogHead(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return newHead(tlog.Tree{}, nil), nil
	}
	if err != nil {
		return head{}, fmt.Errorf("keyserver: reading checkpoint: %w", err)
	}
	v, err := l.Reader().Open(signed, nil)
	if err != nil {
		return newHead(tlog.Tree{}, nil), nil
	}
	if root, err := tlog.TreeHash(v.N, l.config.Store.LogHashes(ctx)); err != nil || root != v.Hash {
		return head{}, errors.New("keyserver: the log on the disk is not the one that was signed")
	}
	return newHead(v.Tree, signed), nil
}

func newHead(tree tlog.Tree, signed []byte) head {
	return head{tree, signed, &given{known: map[int64]provenCard{}}}
}

// Reader is what others know of this log by the domain's descriptor.
func (l *Log) Reader() keylog.Log {
	return keylog.Log{Domain: l.config.Domain, Key: l.config.Key.Public(), Labels: l.config.Labels.Public()}
}

// Published returns the newest checkpoint, and the newest with a quorum of cosignatures, nil if
// there is none yet; and what is closed when there are others.
func (l *Log) Published() (newest, cosigned []byte, next <-chan struct{}) {
	h := l.heads.Load()
	return h.newest.signed, h.cosigned.signed, h.next
}

// Consistency proves that the tree of size leaves continues that of old leaves.
func (l *Log) Consistency(ctx context.Context, old, size int64) (tlog.TreeProof, error) {
	if old < 1 || old > size {
		return nil, fmt.Errorf("keyserver: no tree of %d leaves continues one of %d", size, old)
	}
	return tlog.ProveTree(size, old, l.config.Store.LogHashes(ctx))
}

// Append puts a record into the log that is not published otherwise: a revocation, a challenge, the
// end of a name. One that is the newest of its subject already is not put there again.
func (l *Log) Append(ctx context.Context, kind keylog.Kind, subject string, record []byte) error {
	if _, err := l.config.Store.AppendLog(ctx, *l.entry(kind, subject, sha256.Sum256(record))); err != nil {
		return fmt.Errorf("keyserver: logging a %s: %w", kind, err)
	}
	l.kick()
	return nil
}

// entry is what the store is told of a record. Nil if there is no log.
func (l *Log) entry(kind keylog.Kind, subject string, record [32]byte) *store.Entry {
	if l == nil {
		return nil
	}
	label, proof := l.config.Labels.Label(subject)
	leaf := keylog.Leaf{Kind: kind, Time: l.config.Now(), Label: label, Record: record}
	return &store.Entry{Kind: uint8(kind), Subject: subject, Record: record, Leaf: leaf.Bytes(), Proof: proof[:]}
}

// Again has the newest checkpoint cosigned once more: there are other witnesses than before.
func (l *Log) Again() { l.kick() }

// kick tells Run that something may be new.
func (l *Log) kick() {
	if l == nil {
		return
	}
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

// fillBatch is how many records of an older file get their leaves in one transaction.
const fillBatch = 256

// Fill gives leaves to what was published before there was a log, or was restored without its
// leaf, or has its label by a key that was lost: the cards of the domain's users, and the key of
// the domain. It is called before the domain publishes anything else.
func (l *Log) Fill(ctx context.Context) error {
	own, relabel, err := l.authority(ctx)
	if err == nil {
		err = l.fillCards(ctx, relabel)
	}
	if err == nil { // last: by its label the next start sees that this is done
		_, err = l.config.Store.AppendLog(ctx, own...)
	}
	if err != nil {
		return fmt.Errorf("keyserver: filling the log: %w", err)
	}
	l.kick()
	return nil
}

// authority is the entry of the domain's key, if a descriptor was published; and whether the one in
// the log has another label, so that all have.
func (l *Log) authority(ctx context.Context) (own []store.Entry, relabel bool, err error) {
	domain := l.config.Domain.String()
	v, err := l.config.Store.Server(ctx, domain)
	if errors.Is(err, store.ErrNotFound) || err == nil && v.Origin != store.Home {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	e := l.entry(keylog.Authority, domain, v.CA)
	has, err := l.config.Store.Logged(ctx, e.Kind, domain)
	if errors.Is(err, store.ErrNotFound) {
		return []store.Entry{*e}, false, nil
	}
	if relabel = !bytes.Equal(has.Proof, e.Proof); err == nil && (relabel || has.Record != e.Record) {
		own = []store.Entry{*e}
	}
	return own, relabel, err
}

func (l *Log) fillCards(ctx context.Context, relabel bool) error {
	for after := ""; ; {
		users, err := l.config.Store.OwnUsers(ctx, after)
		if err != nil || len(users) == 0 {
			return err
		}
		after = users[len(users)-1].Name
		for some := range slices.Chunk(users, fillBatch) {
			var batch []store.Entry
			for _, u := range some {
				if batch, err = l.missing(ctx, batch, u.Name, relabel); err != nil {
					return err
				}
			}
			if len(batch) == 0 {
				continue
			}
			if _, err := l.config.Store.AppendLog(ctx, batch...); err != nil {
				return err
			}
		}
	}
}

// missing adds the entry of a user whose card is not the newest that was logged.
func (l *Log) missing(ctx context.Context, batch []store.Entry, name string, relabel bool) ([]store.Entry, error) {
	u, err := l.config.Store.User(ctx, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && (len(u.Card) == 0 || u.Origin != store.Home) {
		return batch, nil
	}
	if err != nil {
		return batch, err
	}
	has, err := l.config.Store.Logged(ctx, uint8(keylog.Card), name)
	sum := sha256.Sum256(u.Card)
	if errors.Is(err, store.ErrNotFound) || err == nil && (relabel || has.Record != sum) {
		return append(batch, *l.entry(keylog.Card, name, sum)), nil
	}
	return batch, err
}
