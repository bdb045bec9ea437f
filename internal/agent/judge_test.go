package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// The certificate of a writer may end while her letter waits: it is judged by the time of the
// letter then, if hers is the pinned key.
func TestCertificateEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	if longest := mor.LetterLifetime + store.ItemLife + mostAhead; longestWait < longest {
		t.Errorf("a letter may be %s old", longest)
	}
	m := here(t)
	bob, _ := m.user(t, "b.test")
	must(t, bob.refreshDirectory(t.Context(), 0))
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		later        time.Duration // that it is fetched
		dated        time.Duration // before or after it was written
		known        bool
		shown, stays bool
	}{
		"a stranger's, at once":                  {0, 0, false, true, false},
		"a contact's, at once":                   {0, 0, true, true, false},
		"a contact's, dated back, at once":       {0, -20 * day, true, true, false},
		"a contact's, after its end":             {35 * day, 0, true, true, true}, // no server is left to acknowledge by
		"a contact's, later than mail can wait":  {41 * day, 0, true, false, false},
		"a contact's, dated after its end":       {35 * day, 32 * day, true, false, false},
		"a contact's, dated before its start":    {35 * day, -1 * day, true, false, false},
		"a stranger's, after its end":            {35 * day, 0, false, false, true},
		"a contact's, by a clock that is behind": {-12 * time.Hour, 0, true, false, true},
	} {
		ann, _ := m.user(t, "a.test")
		now := time.Now().Add(c.later)
		bob.cfg.Now = func() time.Time { return now }
		if c.known {
			pinContact(t, bob, ann)
		}
		before := len(keysOf(t, bob, prefixInbox))
		done, err := bob.take(t.Context(), letterOf(t, ann, bob, func(l *message.Content) { l.At = l.At.Add(c.dated) }))
		must(t, err)
		if shown := len(keysOf(t, bob, prefixInbox)) > before; shown != c.shown || done == c.stays {
			t.Errorf("%s: shown %t, stays %t", name, shown, !done)
		}
	}
}

// pinContact has a meet another user, as if it had looked her up.
func pinContact(t *testing.T, a, other *Agent) {
	t.Helper()
	self, err := other.Self()
	must(t, err)
	must(t, a.vault.Update(func(tx *vault.Tx) error {
		return meetPinned(tx, a, self.Name, self.Fingerprint, self.HomeKey)
	}))
}

// meetPinned has a know somebody by her own choice, and her key, if her home is confirmed.
func meetPinned(tx *vault.Tx, a *Agent, name pki.Name, key, by pki.Fingerprint) error {
	c, err := a.meet(tx, name, key, by)
	if err == nil && c.Provisional {
		c.Trust, c.Provisional, c.Chosen = pki.FirstSeen, false, true
		return c.settled(tx, name)
	}
	return errors.Join(err, choose(tx, name, &c))
}

// letterOf is a letter as the home hands it out, of a text that is changed after it was made
// and signed as it should be.
func letterOf(t *testing.T, from, to *Agent, change func(*message.Content)) session.Item {
	t.Helper()
	id, _, err := from.identity()
	must(t, err)
	c := message.Content{
		Kind: message.Text, At: time.Now().Truncate(time.Second), Text: "hello", Name: id.Name,
		Certificate: id.Certificate, Spools: []pki.Domain{id.Name.Domain()},
	}
	c.ID, err = from.messageID()
	must(t, err)
	c.Sign(from.self.key, from.self.keys.Public())
	change(&c)
	sealed, err := message.Seal(rand.Reader, from.self.keys, to.self.keys.Public(), to.self.name, c)
	must(t, err)
	return session.Item{Body: mor.Letter{ID: c.ID, Day: mor.DayAt(c.At), Sealed: [mor.SealedSize]byte(sealed)}.Marshal()}
}

// Of letters that cannot be judged as many are left at the home as there is room for, and as
// long as it takes, by our own clock.
func TestHeldLetters(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	eve, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	pinContact(t, bob, ann)
	now := time.Now()
	bob.cfg.Now = func() time.Time { return now }
	other, err := pki.NewAuthority(rand.Reader, ann.self.name.Domain(), now)
	must(t, err)
	by := func(who *Agent, ahead time.Duration) session.Item {
		certificate := certify(t, other, who.self.name, who.self.key)
		return letterOf(t, who, bob, func(c *message.Content) {
			c.Certificate = certificate
			if c.At = c.At.Add(ahead); ahead < 0 {
				c.At = time.Unix(1<<40, 0)
			}
		})
	}
	stays := func(item session.Item) bool {
		done, err := bob.take(t.Context(), item)
		must(t, err)
		return !done
	}

	for ahead, want := range map[time.Duration]bool{-1: false, mostAhead + time.Hour: false} {
		if stays(by(eve, ahead)) != want {
			t.Errorf("dated %s ahead: it is left", ahead)
		}
	}
	first := by(eve, mostAhead-time.Hour)
	for i := range maxHeldUnknown {
		item := first
		if i > 0 {
			item = by(eve, 0)
		}
		if !stays(item) {
			t.Fatalf("the letter %d is not left", i)
		}
	}
	if stays(by(eve, 0)) || bob.counts.Crowded != 1 || !stays(first) {
		t.Errorf("of one too many %d were dropped, or not the newest", bob.counts.Crowded)
	}
	for i := range maxHeldContact {
		if !stays(by(ann, 0)) {
			t.Fatalf("the contact's letter %d is not left", i)
		}
	}
	if stays(by(ann, 0)) || bob.counts.Crowded != 2 {
		t.Errorf("of one too many of a contact %d were dropped", bob.counts.Crowded)
	}
	noted := len(keysOf(t, bob, prefixHeld))

	now = now.Add(holdFor - time.Minute)
	if !stays(first) {
		t.Error("it is not left as long as it should be")
	}
	now = now.Add(2 * time.Minute)
	if stays(first) || len(keysOf(t, bob, prefixHeld)) != noted-1 {
		t.Error("it is left too long, or noted")
	}
	now = now.Add(longestWait) // all of them have gone from the home
	if !stays(by(eve, longestWait)) || len(keysOf(t, bob, prefixHeld)) != 1 {
		t.Error("what has gone is noted")
	}
}

// A letter that can be taken in at last is not noted any more.
func TestHeldAndTaken(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	must(t, bob.refreshDirectory(t.Context(), 0))
	now := time.Now().Add(-12 * time.Hour) // a clock that is behind
	bob.cfg.Now = func() time.Time { return now }
	item := letterOf(t, ann, bob, func(*message.Content) {})
	for range 2 {
		if done, err := bob.take(t.Context(), item); err != nil || done || len(keysOf(t, bob, prefixHeld)) != 1 {
			t.Fatalf("not left at the home: %t, %v", done, err)
		}
	}
	now = time.Now()
	if done, err := bob.take(t.Context(), item); err != nil || !done || len(keysOf(t, bob, prefixHeld)) != 0 || len(keysOf(t, bob, prefixInbox)) != 1 {
		t.Errorf("not taken: %t, %v", done, err)
	}
}

// Who states another seal key than her card has cannot be answered. Her texts are shown; they
// do not fill up the mailbox, nor is she looked up for each time that they are fetched.
func TestNoKeyToAnswer(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	pinContact(t, bob, eve)
	var first session.Item
	for i := range maxHeldContact + 1 {
		item := letterOf(t, eve, bob, func(c *message.Content) {
			keys := eve.self.keys.Public()
			keys.Seal[i] ^= 1
			c.Sign(eve.self.key, keys)
			c.Text = string(make([]byte, 4200))
		})
		if i == 0 {
			first = item
		}
		done, err := bob.take(t.Context(), item)
		must(t, err)
		if done != (i == maxHeldContact) {
			t.Fatalf("text %d: done %t", i, done)
		}
	}
	if n := len(keysOf(t, bob, prefixInbox)); n != maxHeldContact+1 {
		t.Errorf("%d texts are shown", n)
	}
	row := keptCard(t, bob, eve)
	if len(row.Card) == 0 {
		t.Error("the card is not kept")
	}
	if done, err := bob.take(t.Context(), first); err != nil || done || !keptCard(t, bob, eve).At.Equal(row.At) {
		t.Errorf("looked up again, %t, %v", done, err)
	}
}

// Of whom a card cannot be had the home is not asked again before long.
func TestNoCardIsKept(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	away := session.Errorf(session.Unavailable, "b.test's key server does not answer")
	if _, err := ann.unlooked(bob.self.name, away); !errors.Is(err, away) {
		t.Errorf("of a stranger: %v", err)
	}
	s := send(t, ann, bob.self.name, "hello", mor.StoredThere)
	read(t, bob)
	wait(t, ann, s, mor.Acknowledged)
	_, err := ann.unlooked(bob.self.name, away)
	must(t, err)
	row := keptCard(t, ann, bob)
	if to, ok := ann.looked(bob.self.name); !ok || to.card != nil || to.address.Secret == [32]byte{} || len(row.Card) > 0 {
		t.Errorf("not kept: %t, %t", to.card == nil, ok)
	}
	undo := spoil(t, ann, prefixPin+"b.test") // and what was seen there since counts
	must(t, ann.vault.Update(func(tx *vault.Tx) error { tx.Delete(keyFetched); return nil }))
	must(t, ann.refreshDirectory(t.Context(), 0))
	if _, ok := ann.looked(bob.self.name); ok {
		t.Error("another key of the home does not matter")
	}
	undo()
	keepCard(t, ann, bob, looked{nil, time.Now().Add(-cardKept)})
	to, err := ann.correspondent(t.Context(), bob.self.name)
	must(t, err)
	if to.card == nil {
		t.Error("never asked again")
	}
}

// While another program shows messages, following goes on with all else.
func TestFollowPassesOver(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, bobs := m.user(t, "b.test")
	_, err := bob.Add(t.Context(), ann.self.name)
	must(t, err)
	pager := open(t, bobs)
	release, err := pager.vault.Turn(t.Context())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	followed := make(chan error, 1)
	go func() {
		followed <- bob.Follow(ctx, func() error {
			turn, stop := context.WithTimeout(ctx, firstBackoff)
			defer stop()
			ok, err := bob.Show(turn, func(Message) error { return nil })
			if ok {
				cancel()
			}
			return err
		})
	}()
	first := send(t, ann, bob.self.name, "first", mor.Acknowledged)
	second := send(t, ann, bob.self.name, "second", mor.Acknowledged) // fetched while the first waits to be shown
	if first.State != mor.Acknowledged || second.State != mor.Acknowledged {
		t.Errorf("%s and %s", first.State, second.State)
	}
	must(t, release())
	if err := <-followed; err != nil || len(keysOf(t, pager, prefixUnread)) != 1 {
		t.Errorf("followed: %v", err)
	}
}

// That ctx has ended does not hide what is wrong with the folder.
func TestTurnFails(t *testing.T) {
	t.Parallel()
	a, folder := inbox(t, 1)
	must(t, os.Symlink("elsewhere", filepath.Join(folder, "turn")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var cause *os.PathError
	if _, err := a.Show(ctx, func(Message) error { return nil }); errors.Is(err, ErrShowing) || !errors.As(err, &cause) {
		t.Errorf("shown: %v", err)
	}
}
