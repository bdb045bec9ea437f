package keyserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
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

// LabelProof shows the label of a subject in this log.
func (l *Log) LabelProof(subject string) keylog.LabelProof {
	_, proof := l.config.Labels.Label(subject)
	return proof
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

// Said is the entry of a statement about a name: a revocation or a challenge. The store writes it
// with the statement, and Again has it sealed. It is found by the hash of the record. Nil if there
// is no log.
func (l *Log) Said(kind keylog.Kind, name pki.Name, record []byte) *store.Entry {
	sum := sha256.Sum256(record)
	e := l.entry(kind, name.String(), sum)
	if e != nil {
		e.Subject = saidKey(sum)
	}
	return e
}

// saidKey is by what the store finds the leaf of a statement.
func saidKey(record [32]byte) string { return base64.RawURLEncoding.EncodeToString(record[:]) }

// Ended is the entry of a card that is taken away. The store writes it with that. Nil if there is
// no log.
func (l *Log) Ended(u store.User) *store.Entry {
	return l.entry(keylog.Ended, u.Name, sha256.Sum256(u.Card))
}

// entry is what the store is told of a record. Nil if there is no log.
func (l *Log) entry(kind keylog.Kind, subject string, record [32]byte) *store.Entry {
	if l == nil {
		return nil
	}
	label, proof := l.config.Labels.Label(subject)
	leaf := keylog.Leaf{Kind: kind, Time: l.config.Now(), Label: label, Record: record, Labels: l.config.Labels.Public()}
	return &store.Entry{Kind: uint8(kind), Subject: subject, Record: record, Leaf: leaf.Bytes(), Proof: proof[:]}
}

// Again has what is new sealed, and the newest checkpoint cosigned once more if there are other
// witnesses than before.
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
