package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// maxScanPages are read in one go. A longer log is read in several.
const maxScanPages = 64

// An ahead is what was read of a log and is under no root that was signed, yet.
type ahead struct {
	Frontier []byte    `json:"frontier"`
	Found    []strange `json:"found,omitempty"`
	Newest   int64     `json:"newest"` // the number after that of the newest card under our label
	Own      bool      `json:"own,omitempty"`
	Unshown  []unshown `json:"unshown,omitempty"`
}

// A reader reads a log to its end.
type reader struct {
	log     keylog.Log
	kept    bool // the home names a log
	watch   []keylog.Witness
	want    int // of them
	mine    []string
	scanned scanned
	now     time.Time
	abroad  bool // it is a copy that is read
	first   bool // this folder is the first with our key, so it has signed the first card of ours

	frontier keylog.Frontier
	ahead                // what was found up to the frontier
	resumed  bool        // it began with what was read in another go
	further  bool        // it has read something new
	shown    *shownEntry // what the home shows as our card, if that was asked
}

var errNoLog = errors.New("the home names no key log any more")

// read takes pages until they come to a head, which has to be the root of all that was read. Nothing of
// what was read counts before: it is kept aside, and the next go begins there. done: it has come to the end.
func (r *reader) read(ctx context.Context, page func(ctx context.Context, first int64) (session.LogPart, error), name pki.Name) (done bool, err error) {
	if !r.kept {
		return false, errNoLog
	}
	if err := r.begin(); err != nil {
		return false, err
	}
	for range maxScanPages {
		p, err := page(ctx, r.frontier.N())
		if err != nil {
			return false, err
		}
		head, err := r.head(p.Checkpoint)
		again := false
		if err == nil {
			again, err = r.label(p.Label, name)
		}
		if err != nil {
			return false, err
		}
		if again && r.frontier.N() > 0 { // from the first on
			r.frontier, r.ahead = keylog.Frontier{}, ahead{Own: r.scanned.Read}
			continue
		}
		if done, err = r.page(p.Entries, head); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// begin goes on from where the last go came to.
func (r *reader) begin() (err error) {
	s := &r.scanned
	from := s.Frontier
	if r.ahead = (ahead{Own: s.Own || s.Read}); s.Ahead != nil { // who has read it once has the name
		r.ahead, r.resumed, from = *s.Ahead, true, s.Ahead.Frontier
	}
	if len(from) > 0 {
		r.frontier, err = keylog.ParseFrontier(from)
	}
	return err
}

// page takes a page that came with a head.
func (r *reader) page(entries []byte, head keylog.Head) (done bool, err error) {
	before := r.frontier.N()
	for ; len(entries) >= keylog.LeafSize; entries = entries[keylog.LeafSize:] {
		leaf, err := keylog.ParseLeaf(entries[:keylog.LeafSize])
		if err != nil {
			return false, err
		}
		r.take(r.frontier.N(), leaf)
		r.frontier.Add(leaf)
	}
	n := r.frontier.N()
	r.further = r.further || n > before
	switch {
	case n == before && n > head.N && !r.aside():
		return true, nil // an older head: nothing new
	case n == before && n > head.N:
		return false, session.Errorf(session.Unavailable, "an older head of the key log")
	case n == before && n < head.N, n > head.N, n == head.N && r.frontier.Root() != head.Hash:
		return false, r.lied()
	}
	r.keep()
	return n == head.N, nil
}

// aside tells whether anything was read that is under no head yet.
func (r *reader) aside() bool {
	return string(r.frontier.Bytes()) != string(r.scanned.Frontier)
}

// keep has the next go begin here.
func (r *reader) keep() {
	kept := r.ahead
	kept.Frontier = r.frontier.Bytes()
	r.scanned.Ahead = &kept
}

// confirm takes what was read for read.
func (r *reader) confirm() {
	s := &r.scanned
	s.Frontier, s.Own, s.Ahead = r.frontier.Bytes(), r.ahead.Own, nil
}

// lied drops what was read. It is the fault of who was asked now only if all was read now, at our home.
func (r *reader) lied() error {
	r.scanned.Ahead, r.further = nil, false
	if r.resumed || r.abroad {
		return session.Errorf(session.Unavailable, "what was read of the key log does not fit its head")
	}
	return fmt.Errorf("%w: what %s shows of its key log is not what it has signed", keylog.ErrCheckpoint, r.log.Domain)
}

func (r *reader) head(checkpoint []byte) (keylog.Head, error) {
	if r.want > len(r.watch) {
		return keylog.Head{}, keylog.ErrQuorum
	}
	policy, err := keylog.Quorum(r.want, r.watch)
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
	s.keepLabel(r.log.Labels, label)
	s.Frontier, s.Ahead, s.Last, s.Own, s.At = nil, nil, nil, false, time.Time{}
	r.resumed = false
	return true, nil
}

// take looks at an entry: a card under our label that we have not signed is found. What was there of the
// name and was ended before the first card of ours was of who had the name before us.
func (r *reader) take(number int64, leaf keylog.Leaf) {
	switch label, shown := r.scanned.labelBy(leaf.Labels); {
	case !shown:
		r.ahead.Unshown = addUnshown(r.ahead.Unshown, unshown{Labels: leaf.Labels, Number: number})
		return
	case !slices.Equal(leaf.Label[:], label):
		return
	}
	switch leaf.Kind {
	case keylog.Ended:
		if r.first && !r.ahead.Own {
			r.ahead.Found = nil
		}
	case keylog.Card:
		r.ahead.Newest = number + 1
		one := strange{Number: number, Time: leaf.Time, Record: hex.EncodeToString(leaf.Record[:])}
		if slices.Contains(r.mine, one.Record) {
			r.ahead.Own = true
			return
		}
		r.ahead.Found = append(r.ahead.Found, one)
		r.ahead.Found = r.ahead.Found[max(0, len(r.ahead.Found)-maxStrange):]
	}
}
