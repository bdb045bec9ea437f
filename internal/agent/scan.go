package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Our own name in the key log of our home. All entries are read, and compared with the head that was
// signed and that others have cosigned, so nobody can leave out one; those under our label are ours, or
// somebody made them without us.
const (
	scanEvery    = 24 * time.Hour
	maxScanPages = 64  // in one go
	maxOwnCards  = 256 // of which we remember that we signed them
	maxStrange   = 16  // entries that are kept which we did not make
)

// A scanned is how far the log of our home was read.
type scanned struct {
	At       time.Time `json:"at"`
	Frontier []byte    `json:"frontier"`        // keylog.Frontier
	Labels   []byte    `json:"labels"`          // by whose key our label is
	Label    []byte    `json:"label,omitempty"` // ours, of 32 bytes; none: it was not shown yet
	Last     *strange  `json:"last,omitempty"`  // the newest card entry, while we have not read to the end once
	Read     bool      `json:"read"`            // to the end, once
	Strange  []strange `json:"strange,omitempty"`
	Objected int64     `json:"objected"` // the number after that of the newest entry to which our key has objected
}

// A strange is an entry for our name that is not of a card that this folder signed.
type strange struct {
	Number int64     `json:"number"`
	Time   time.Time `json:"time"` // as the home says
	Record string    `json:"record"`
}

// noteOwnCard remembers a card of ours before anybody else has it.
func (a *Agent) noteOwnCard(raw []byte) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		all, _, err := load[[]string](tx, keyOwnCards)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(raw)
		all = append(all, hex.EncodeToString(sum[:]))
		return save(tx, keyOwnCards, all[max(0, len(all)-maxOwnCards):])
	})
}

// scan reads what is new in the log of our home, on each link and once a day, and objects to what we did
// not make. That it cannot be read now is no error.
func (a *Agent) scan(ctx context.Context) error {
	if a.self.linked() {
		return nil
	}
	d, ok, err := a.descriptor(a.home())
	log, keeps := keylog.Of(d.Descriptor)
	if err != nil || !ok || !keeps {
		return err
	}
	var s scanned
	var mine []string
	var watch []keylog.Witness
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		if s, _, err = load[scanned](tx, keyScanned); err != nil {
			return err
		}
		if mine, _, err = load[[]string](tx, keyOwnCards); err != nil {
			return err
		}
		b, err := a.bench(tx)
		if err == nil {
			watch, err = a.watchers(tx, b, a.home())
		}
		return err
	})
	if now := a.now(); err != nil || a.scanned == a.client && now.Sub(s.At).Abs() < scanEvery {
		return err
	}
	a.scanned = a.client
	r := reader{log: log, watch: watch, mine: mine, scanned: s, now: a.now()}
	if err := r.read(ctx, a.client.Entries, a.self.name); err != nil {
		var refused *session.Error
		if errors.As(err, &refused) || errors.Is(err, keylog.ErrQuorum) {
			return nil // there is none here, or it is to be cosigned yet
		}
		if errors.Is(err, keylog.ErrCheckpoint) || errors.Is(err, keylog.ErrProof) {
			a.warning["key log"] = err
		}
		return err
	}
	if r.scanned.At = a.now(); !r.scanned.Read {
		if err := a.firstRead(ctx, &r); err != nil {
			return err
		}
	}
	if err := a.objectTo(ctx, &r.scanned); err != nil {
		a.cfg.Log.Debug("objecting to an entry of the key log", "err", err)
	}
	return a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyScanned, r.scanned) })
}

// firstRead judges the newest card of what was there before this folder watched: it is ours if we signed
// it. Older ones may be of a folder that was lost.
func (a *Agent) firstRead(ctx context.Context, r *reader) error {
	last := r.scanned.Last
	r.scanned.Read, r.scanned.Last = true, nil
	if last == nil || slices.Contains(r.mine, last.Record) {
		return nil
	}
	found, err := a.client.Lookup(ctx, a.self.name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(found.Card)
	card, err := pki.ParseCard(found.Card)
	if err != nil || hex.EncodeToString(sum[:]) != last.Record || card.Key() != a.self.public {
		r.found(*last)
	}
	return nil
}

// objectTo has our key say that what was found is not ours, when there is something new.
func (a *Agent) objectTo(ctx context.Context, s *scanned) error {
	if len(s.Strange) == 0 {
		return nil
	}
	newest := s.Strange[len(s.Strange)-1]
	if newest.Number < s.Objected {
		return nil
	}
	var record [32]byte
	if _, err := hex.Decode(record[:], []byte(newest.Record)); err != nil {
		return err
	}
	_, err := a.Challenge(ctx, pki.Domain{}, record)
	if err == nil {
		s.Objected = newest.Number + 1
	}
	return err
}

// A reader reads a log to its end.
type reader struct {
	log     keylog.Log
	watch   []keylog.Witness
	mine    []string
	scanned scanned
	now     time.Time
}

// read takes pages until they come to a head, which has to be the root of all that was read. Nothing of
// what was read counts before.
func (r *reader) read(ctx context.Context, page func(ctx context.Context, first int64) (session.LogPart, error), name pki.Name) error {
	frontier, err := keylog.ParseFrontier(r.scanned.Frontier)
	if len(r.scanned.Frontier) > 0 && err != nil {
		return err
	}
	for range maxScanPages {
		p, err := page(ctx, frontier.N())
		if err != nil {
			return err
		}
		head, err := r.head(p.Checkpoint)
		again := false
		if err == nil {
			again, err = r.label(p.Label, name)
		}
		if err != nil {
			return err
		}
		if again && frontier.N() > 0 { // from the first on
			frontier = keylog.Frontier{}
			continue
		}
		for entries := p.Entries; len(entries) >= keylog.LeafSize; entries = entries[keylog.LeafSize:] {
			leaf, err := keylog.ParseLeaf(entries[:keylog.LeafSize])
			if err != nil {
				return err
			}
			r.take(frontier.N(), leaf)
			frontier.Add(leaf)
		}
		switch {
		case frontier.N() == head.N && frontier.Root() != head.Hash, len(p.Entries) == 0 && frontier.N() < head.N:
			return fmt.Errorf("%w: what %s shows of its key log is not what it has signed", keylog.ErrCheckpoint, r.log.Domain)
		case frontier.N() >= head.N: // or an older head: nothing new
			r.scanned.Frontier = frontier.Bytes()
			return nil
		}
	}
	return nil // there is more than is read in one go
}

func (r *reader) head(checkpoint []byte) (keylog.Head, error) {
	policy, err := keylog.Quorum(wanted(len(r.watch)), r.watch)
	if err != nil {
		return keylog.Head{}, err
	}
	return r.log.Open(checkpoint, keylog.Fresh(policy, r.now))
}

// label has our label, by the proof of it or as it was shown before. again: it is another one than
// before, and all is to be read for it.
func (r *reader) label(proof []byte, name pki.Name) (again bool, err error) {
	s := &r.scanned
	if len(s.Label) > 0 && slices.Equal(s.Labels, r.log.Labels[:]) {
		return false, nil
	}
	if len(proof) != keylog.LabelProofSize {
		return false, session.Errorf(session.NotFound, "our label is not known yet")
	}
	label, err := keylog.VerifyLabel(r.log.Labels, name.String(), keylog.LabelProof(proof))
	if err != nil {
		return false, fmt.Errorf("%w: %w", keylog.ErrCheckpoint, err)
	}
	*s = scanned{Label: label[:], Labels: r.log.Labels[:], Strange: s.Strange, Objected: s.Objected}
	return true, nil
}

// take judges an entry.
func (r *reader) take(number int64, leaf keylog.Leaf) {
	if leaf.Kind != keylog.Card || !slices.Equal(leaf.Label[:], r.scanned.Label) {
		return
	}
	one := strange{number, leaf.Time, hex.EncodeToString(leaf.Record[:])}
	switch {
	case !r.scanned.Read:
		r.scanned.Last = &one
	case !slices.Contains(r.mine, one.Record):
		r.found(one)
	}
}

func (r *reader) found(one strange) {
	r.scanned.Strange = append(r.scanned.Strange, one)
	r.scanned.Strange = r.scanned.Strange[max(0, len(r.scanned.Strange)-maxStrange):]
}
