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
	"github.com/p3do/p3do/pki"
)

const (
	maxOwnCards = 256 // of which we remember that they are of our key
	maxStrange  = 16  // entries that are kept which this folder did not make
)

// A strange is an entry for our name that is not of a card that this folder signed.
type strange struct {
	Number int64     `json:"number"`
	Time   time.Time `json:"time"` // as the home says
	Record string    `json:"record"`
	Unsure bool      `json:"unsure,omitempty"` // another folder with our key may have made it
}

// A twin is what we know of other folders with our key.
type twin struct {
	Restored bool      `json:"restored,omitempty"` // this one was restored: there was one before it
	Began    time.Time `json:"began,omitzero"`     // when it was
	Seen     time.Time `json:"seen,omitzero"`      // when a card was seen last that our key had signed elsewhere
}

// A shownEntry is what our home shows as our card.
type shownEntry struct {
	record string // its SHA-256
	raw    []byte
	own    bool // it is of our key
}

// An UnsureEntryError says that another folder with her key has made an entry, or somebody else has.
type UnsureEntryError struct {
	Name  pki.Name
	Entry int64 // its number, from 1
	More  int   // others of that kind
}

func (e *UnsureEntryError) Error() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf(" (and %d more)", e.More)
	}
	return fmt.Sprintf("entry %d%s of the key log of %s is for your name %s, and this folder did not make it: if no other folder with your key has, somebody else did",
		e.Entry, more, e.Name.Domain(), e.Name)
}

// noteOwnCard remembers a card of ours before anybody else has it.
func (a *Agent) noteOwnCard(raw []byte) error {
	return a.vault.Update(func(tx *vault.Tx) error { _, err := rememberCard(tx, raw); return err })
}

// rememberCard remembers that a card is of our key. known: it was.
func rememberCard(tx *vault.Tx, raw []byte) (known bool, err error) {
	all, _, err := load[[]string](tx, keyOwnCards)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(raw)
	record := hex.EncodeToString(sum[:])
	if slices.Contains(all, record) {
		return true, nil
	}
	all = append(all, record)
	return false, save(tx, keyOwnCards, all[max(0, len(all)-maxOwnCards):])
}

// noteShownCard remembers a card of ours that our home shows. If this folder did not sign it, another one
// with our key has. It verifies by itself: nobody else can have made it.
func (a *Agent) noteShownCard(tx *vault.Tx, raw []byte) error {
	shown, err := pki.ParseCard(raw)
	if err != nil || shown.Name() != a.self.name {
		return nil
	}
	card, err := shown.Own(a.self.public)
	if err != nil {
		return nil
	}
	known, err := rememberCard(tx, raw)
	if err != nil || known {
		return err
	}
	t, _, err := load[twin](tx, keyTwin)
	if err != nil || !card.Issued.After(t.Began) { // it is of the folder before this one, and whoever kept it may show it
		return err
	}
	t.Seen = a.now().UTC()
	return save(tx, keyTwin, t)
}

// lookBefore remembers the card of ours that the one which is published next takes the place of: it cannot
// be had afterwards.
func (a *Agent) lookBefore(ctx context.Context) error {
	if a.abroad() || a.self.linked() {
		return nil
	}
	found, err := a.client.Lookup(ctx, a.self.name)
	var refused *session.Error
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error { return a.noteShownCard(tx, found.Card) })
}

// askNewest has the home show our card, if the newest entry is not of one that we know.
func (a *Agent) askNewest(ctx context.Context, r *reader) error {
	if !r.newestFound() {
		return nil
	}
	found, err := a.client.Lookup(ctx, a.self.name)
	var refused *session.Error
	if errors.As(err, &refused) && refused.Code == session.NotFound && !a.abroad() {
		r.shown = &shownEntry{}
		return nil
	}
	if err != nil {
		return err
	}
	r.shown = a.shownEntry(found.Card)
	if a.abroad() && !r.shown.of(r.ahead.Found) {
		return session.Errorf(session.Unavailable, "the newest card is not shown here")
	}
	return nil
}

func (a *Agent) shownEntry(raw []byte) *shownEntry {
	sum := sha256.Sum256(raw)
	card, err := pki.ParseCard(raw)
	return &shownEntry{record: hex.EncodeToString(sum[:]), raw: raw, own: err == nil && card.Key() == a.self.public && card.Name() == a.self.name}
}

// newestFound tells whether the newest card under our label is not known to be ours.
func (r *reader) newestFound() bool {
	n := len(r.ahead.Found)
	return n > 0 && r.ahead.Found[n-1].Number+1 == r.ahead.Newest
}

// of tells whether what is shown is the newest of what was found.
func (e *shownEntry) of(found []strange) bool { return e.record == found[len(found)-1].Record }

// judgeFound judges what was found in a log that was read to its end. Whatever is of our own key is ours, if a
// record shows that, whichever folder made it. Of an entry whose record nobody has any more another folder
// may be the maker, if there is one, or this one was restored and it is from before that.
func (a *Agent) judgeFound(tx *vault.Tx, r *reader) error {
	s := &r.scanned
	if r.shown != nil && r.shown.own {
		if err := a.noteShownCard(tx, r.shown.raw); err != nil {
			return err
		}
	}
	mine, _, err := load[[]string](tx, keyOwnCards)
	if err != nil {
		return err
	}
	t, _, err := load[twin](tx, keyTwin)
	if err != nil {
		return err
	}
	if !s.Read {
		s.Read, s.Since = true, r.frontier.N()
	}
	for _, one := range r.ahead.Found {
		if slices.Contains(mine, one.Record) || slices.ContainsFunc(s.Strange, func(o strange) bool { return o.Record == one.Record && o.Number == one.Number }) {
			continue
		}
		another := r.shown != nil && r.shown.record == one.Record // and not ours
		one.Unsure = !another && (!t.Seen.IsZero() || t.Restored && one.Number < s.Since)
		s.addStrange(one)
	}
	a.tellUnsure(s)
	a.tellUnshown(s, r.ahead.Unshown)
	r.confirm()
	return nil
}

// addStrange keeps an entry, in place of the oldest one that is less sure if there are too many.
func (s *scanned) addStrange(one strange) {
	if s.Strange = append(s.Strange, one); len(s.Strange) > maxStrange {
		gone := max(0, slices.IndexFunc(s.Strange, func(o strange) bool { return o.Unsure }))
		s.Strange = slices.Delete(s.Strange, gone, gone+1)
	}
}

// tellUnsure has the user told of new entries that another folder of hers may have made, once.
func (a *Agent) tellUnsure(s *scanned) {
	unsure := slices.DeleteFunc(slices.Clone(s.Strange), func(one strange) bool { return !one.Unsure || one.Number < s.Noticed })
	if n := len(unsure); n > 0 {
		s.Noticed = unsure[n-1].Number + 1
		a.warning["entries"] = &UnsureEntryError{a.self.name, s.Noticed, n - 1}
	}
}

// sure is the newest entry that none of our folders made; nil if there is none.
func (s scanned) sure() *strange {
	for i := len(s.Strange) - 1; i >= 0; i-- {
		if !s.Strange[i].Unsure {
			return &s.Strange[i]
		}
	}
	return nil
}

// objectToEntry has our key say that what was found is not ours, when there is something new. It is handed in
// by press.
func (a *Agent) objectToEntry(s *scanned) error {
	newest := s.sure()
	if newest == nil || newest.Number < s.Objected {
		return nil
	}
	var record [32]byte
	if _, err := hex.Decode(record[:], []byte(newest.Record)); err != nil {
		return err
	}
	if _, err := a.object(record); err != nil {
		a.cfg.Log.Debug("objecting to an entry of the key log", "err", err)
		return nil
	}
	s.Objected = newest.Number + 1
	return a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyScanned, *s) })
}
