package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A watching is ann, who watches the log of her home.
type watching struct {
	*world
	log  *keptLog
	made int
}

func newWatching(t *testing.T) *watching {
	t.Helper()
	w := newWorld(t, "a.test")
	return &watching{world: w, log: newKeptLog(t)}
}

// card logs a card under her name, by that key. It is her folder's if own.
func (w *watching) card(key pki.IdentityKey, own bool) []byte {
	w.t.Helper()
	w.made++
	w.now = w.now.Add(time.Minute)
	raw := w.certified(w.domains["a.test"], annAt(w.t), key).card.Raw()
	if own {
		must(w.t, w.a.noteOwnCard(raw))
	}
	w.log.add(keylog.Card, "ann@a.test", string(raw))
	return raw
}

// thief is a key that is not hers.
func (w *watching) thief() pki.IdentityKey { return w.user(w.domains["a.test"]).key }

// go1 is one go, while the home shows that card. It returns whether that came to the end.
func (w *watching) go1(shown []byte) bool {
	w.t.Helper()
	r := &reader{log: w.log.reader, kept: true, now: w.now}
	must(w.t, w.a.vault.View(func(tx *vault.Tx) (err error) {
		if r.scanned, _, err = load[scanned](tx, keyScanned); err != nil {
			return err
		}
		t, _, err := load[twin](tx, keyTwin)
		must(w.t, err)
		r.first = !t.Restored
		r.mine, _, err = load[[]string](tx, keyOwnCards)
		return err
	}))
	done, err := r.read(w.t.Context(), w.log.page, w.a.self.name)
	if err == nil && !done {
		err = errLongLog
	}
	if err != nil {
		must(w.t, w.a.unread(r, err))
		return false
	}
	if r.newestFound() {
		r.shown = w.a.shownEntry(shown)
	}
	must(w.t, w.a.endScan(r))
	return true
}

// found is what she has found, by number: true is what no folder of hers can have made.
func (w *watching) found() map[int64]bool {
	w.t.Helper()
	all := make(map[int64]bool)
	for _, one := range w.state().Strange {
		all[one.Number] = !one.Unsure
	}
	return all
}

func (w *watching) state() (s scanned) {
	w.t.Helper()
	must(w.t, w.a.vault.View(func(tx *vault.Tx) (err error) {
		s, _, err = load[scanned](tx, keyScanned)
		return err
	}))
	return s
}

// What is in the log from before the owner reads it first, or under a new label key, is not forgiven; what
// was of who had the name before her is no matter of hers.
func TestEntriesBeforeTheFirstRead(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		do   func(w *watching)
		want []int64
	}{
		"a thief's before hers":      {func(w *watching) { w.card(w.thief(), false); w.card(w.a.self.key, true) }, []int64{0}},
		"a thief's between hers":     {func(w *watching) { w.card(w.a.self.key, true); w.card(w.thief(), false); w.card(w.a.self.key, true) }, []int64{1}},
		"of who had the name before": {func(w *watching) { w.ended(w.card(w.thief(), false)); w.card(w.a.self.key, true) }, nil},
		"a thief's, ended, between hers": {func(w *watching) {
			w.card(w.a.self.key, true)
			w.ended(w.card(w.thief(), false))
			w.card(w.a.self.key, true)
		}, []int64{1}},
		"a thief's under a new label key": {newLabels, []int64{3}},
		"her own":                         {func(w *watching) { w.card(w.a.self.key, true); w.card(w.a.self.key, true) }, nil},
	} {
		w := newWatching(t)
		c.do(w)
		if !w.go1(nil) {
			t.Fatalf("%s: not read", what)
		}
		found := w.found()
		for _, n := range c.want {
			if !found[n] {
				t.Errorf("%s: entry %d is not found: %v", what, n, found)
			}
		}
		if wrong, err := w.a.Own(); err != nil || len(found) != len(c.want) || (wrong != nil) != (len(c.want) > 0) {
			t.Errorf("%s: found %v, want %v; %v, %v", what, found, c.want, wrong, err)
		}
	}
}

func (w *watching) ended(card []byte) { w.log.add(keylog.Ended, "ann@a.test", string(card)) }

// newLabels has the home take another label key after she has read all.
func newLabels(w *watching) {
	w.card(w.a.self.key, true)
	w.log.add(keylog.Card, "bob@a.test", "card")
	if !w.go1(nil) || len(w.found()) > 0 {
		w.t.Errorf("before: %v", w.found())
	}
	other := newKeptLog(w.t)
	w.log.labels, w.log.reader.Labels = other.labels, other.reader.Labels
	w.card(w.a.self.key, true)
	w.card(w.thief(), false)
	w.card(w.a.self.key, true)
}

// Two folders with one key do not accuse each other: what is of her key is hers. Where nobody can tell any
// more, because a later card has taken the place of the entry's, she is told once, and her key does not object.
func TestFoldersOfOneKey(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.card(w.a.self.key, true)
	shown := w.card(w.a.self.key, false) // of the other folder
	if !w.go1(shown) || len(w.found()) > 0 || len(w.a.Warnings()) > 0 {
		t.Fatalf("of the other folder: %v", w.found())
	}
	w.card(w.a.self.key, false)
	shown = w.card(w.a.self.key, false)
	var unsure *UnsureEntryError
	if !w.go1(shown) || len(w.found()) != 1 || w.found()[2] {
		t.Fatalf("two of the other folder: %v", w.found())
	}
	if told := w.a.Warnings(); len(told) != 1 || !errors.As(told[0], &unsure) || unsure.Entry != 3 || unsure.More != 0 {
		t.Errorf("told: %v", told)
	}
	w.card(w.a.self.key, true)
	if wrong, err := w.a.Own(); !w.go1(nil) || err != nil || wrong != nil || len(w.a.Warnings()) > 0 || w.state().sure() != nil {
		t.Errorf("told again, or accused: %v, %v", wrong, err)
	}
	shown = w.card(w.thief(), false)
	if !w.go1(shown) || !w.found()[5] || w.state().sure() == nil {
		t.Errorf("a thief's that is shown: %v", w.found())
	}
}

// A folder that was restored does not know what the one before it has signed: of that she is told, once. What
// comes afterwards is as for any other folder.
func TestEntriesFromBeforeARestore(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.card(w.a.self.key, false)
	before := w.card(w.a.self.key, false)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyTwin, twin{Restored: true, Began: w.now.UTC()}) }))
	w.card(w.a.self.key, true)
	var unsure *UnsureEntryError
	if !w.go1(nil) || w.state().sure() != nil {
		t.Fatalf("%v", w.found())
	}
	if told := w.a.Warnings(); len(told) != 1 || !errors.As(told[0], &unsure) || unsure.Entry != 2 || unsure.More != 1 {
		t.Errorf("told: %v", told)
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return w.a.noteShownCard(tx, before) })) // as proof of another folder
	w.card(w.thief(), false)
	w.card(w.a.self.key, true)
	if !w.go1(nil) || !w.found()[3] {
		t.Errorf("a thief's afterwards: %v", w.found())
	}
}

// Before a folder publishes a card it remembers the one that it takes the place of, if that is of its key.
func TestOwnCardOfAnotherFolderIsRemembered(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	must(t, ann.Connect(t.Context()))
	must(t, ann.client.Publish(t.Context(), cardElsewhere(t, ann)))
	must(t, ann.lookBefore(t.Context()))
	must(t, ann.vault.View(func(tx *vault.Tx) error {
		mine, _, err := load[[]string](tx, keyOwnCards)
		if s, ok, failed := load[twin](tx, keyTwin); failed != nil || !ok || s.Seen.IsZero() || len(mine) != 2 {
			t.Errorf("%+v, %d cards, %v", s, len(mine), failed)
		}
		return err
	}))
}

// A log that is longer than one go is read in several, and nothing is judged before its end. What another
// node made up in between accuses nobody.
func TestScanGoesOn(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.log.most = 1
	for range 3 {
		w.log.add(keylog.Card, "bob@a.test", "card")
	}
	w.card(w.a.self.key, true)
	w.card(w.thief(), false)
	for range 2 * maxScanPages {
		w.log.add(keylog.Card, "bob@a.test", "card")
	}
	w.card(w.a.self.key, true)
	w.card(w.a.self.key, true)
	for n := range 3 {
		if s := w.state(); len(s.Strange) > 0 || len(w.a.Warnings()) > 0 || (s.Ahead != nil) != (n > 0) {
			t.Fatalf("before go %d: %+v", n, s)
		}
		if done := w.go1(nil); done != (n == 2) {
			t.Fatalf("go %d: done %t", n, done)
		}
	}
	want := make([]int64, len(w.log.leaves))
	for i := range want {
		want[i] = int64(i)
	}
	if found := w.found(); !slices.Equal(w.log.asked, want) || len(found) != 1 || !found[4] {
		t.Errorf("found %v, asked for %v", found, w.log.asked)
	}

	w = newWatching(t)
	w.log.most = 1
	for range maxScanPages + 3 {
		w.log.add(keylog.Card, "bob@a.test", "card")
	}
	w.log.leaves[1].Record[0] ^= 1
	w.go1(nil)
	w.log.leaves[1].Record[0] ^= 1 // and the home shows what is true
	for n := range 3 {
		if done := w.go1(nil); done != (n == 2) || len(w.a.Warnings()) > 0 {
			t.Fatalf("after a lie of somebody else's, go %d: done %t", n, done)
		}
	}
}

// A home that does not show its log, or no cosigned one, is told of once after 48 h, and not when it shows it again.
func TestUnreadLogIsTold(t *testing.T) {
	t.Parallel()
	for what, why := range map[string]error{
		"refuses":     session.Errorf(session.Refused, "no"),
		"too few":     keylog.ErrQuorum,
		"no log":      errNoLog,
		"no answer":   context.DeadlineExceeded,
		"other pages": session.Errorf(session.Unavailable, "later"),
	} {
		w := newWatching(t)
		w.card(w.a.self.key, true)
		fails := func(after time.Duration) (told []*UnreadLogError) {
			w.now = w.now.Add(after)
			must(t, w.a.unread(&reader{scanned: w.state()}, why))
			for _, warning := range w.a.Warnings() {
				var unread *UnreadLogError
				if errors.As(warning, &unread) {
					told = append(told, unread)
				}
			}
			return told
		}
		if told := append(fails(0), fails(unreadLong-time.Hour)...); len(told) > 0 {
			t.Errorf("%s: told of %v before it is time", what, told)
		}
		if told := fails(2 * time.Hour); len(told) != 1 || told[0].Domain != w.a.home() {
			t.Errorf("%s: told of %v", what, told)
		}
		s, err := w.a.Summary()
		if told := fails(time.Hour); err != nil || len(told) > 0 || s.Log == "" {
			t.Errorf("%s: told again: %v; status %q, %v", what, told, s.Log, err)
		}
		if s, err = w.a.Summary(); !w.go1(nil) || err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if s, err = w.a.Summary(); err != nil || s.Log != "" || len(fails(time.Hour)) > 0 {
			t.Errorf("%s: shown again: %q, %v", what, s.Log, err)
		}
	}
}

// Reading a log that is longer every time is not done for ever: who shows more and more, and no end, is told of, too.
func TestEndlessLogIsTold(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	var told []error
	for at := time.Duration(0); at <= unreadLongest; at += 24 * time.Hour {
		if len(told) > 0 {
			t.Fatalf("after %s: %v", at, told)
		}
		must(t, w.a.unread(&reader{scanned: w.state(), further: true}, errLongLog))
		told = w.a.Warnings()
		w.now = w.now.Add(24 * time.Hour)
	}
	if len(told) != 1 {
		t.Errorf("told %v", told)
	}
}

// What a program from before wrote of its reading is read, and gone on from: who has read once has the name, so
// nothing that is ended later is of somebody before her.
func TestScannedOfBefore(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.card(w.a.self.key, true)
	if !w.go1(nil) {
		t.Fatal("not read")
	}
	s := w.state()
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		old := fmt.Sprintf(`{"at":"2026-01-02T03:04:05Z","frontier":%q,"labels":%q,"label":%q,"last":{"number":0,"time":"2026-01-02T03:04:05Z","record":"00"},"read":true,"objected":0}`,
			base64.StdEncoding.EncodeToString(s.Frontier), base64.StdEncoding.EncodeToString(s.Labels), base64.StdEncoding.EncodeToString(s.Label))
		tx.Put(keyScanned, fmt.Appendf(nil, `{"v":%d,"r":%s}`, recordVersion, old))
		return nil
	}))
	w.ended(w.card(w.thief(), false))
	if !w.go1(nil) || !w.found()[1] {
		t.Errorf("a thief's, ended: %v", w.found())
	}
}
