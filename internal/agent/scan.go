package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Our own name in the key log of our home. All entries are read (reader.go), and compared with the head that
// was signed and that others have cosigned, so nobody can leave out one; those under our label are ours, or
// somebody made them without us (strange.go).
const (
	scanEvery = 24 * time.Hour
	scanPause = 10 * time.Minute // after a try that came to nothing
	// unreadLong is for how long a home may not show its log before its user is told; unreadLongest if more of
	// it is read each time, for she may be connected for moments only.
	unreadLong    = 48 * time.Hour
	unreadLongest = 14 * 24 * time.Hour
)

// A scanned is how far the log of our home was read.
type scanned struct {
	Name     pki.Name  `json:"name,omitzero"` // ours then; of another one nothing here counts
	At       time.Time `json:"at"`
	Frontier []byte    `json:"frontier"`          // keylog.Frontier of what was read and has the root that was signed
	Ahead    *ahead    `json:"ahead,omitempty"`   // what was read beyond that
	Labels   []byte    `json:"labels"`            // by whose key our label is
	Label    []byte    `json:"label,omitempty"`   // ours, of 32 bytes; none: it was not shown yet
	Former   []labeled `json:"former,omitempty"`  // by earlier keys
	Unshown  []unshown `json:"unshown,omitempty"` // keys under which there are entries, and our label was not shown
	Last     *strange  `json:"last,omitempty"`    // of an earlier version, and not used
	Read     bool      `json:"read"`              // to the end, once
	Since    int64     `json:"since,omitempty"`   // entries there were when it was read to the end first
	Own      bool      `json:"own,omitempty"`     // a card of ours is among what was read
	Strange  []strange `json:"strange,omitempty"`
	Objected int64     `json:"objected"`          // the number after that of the newest entry to which our key has objected
	Unread   time.Time `json:"unread,omitzero"`   // since when our home does not show it; zero: it does
	Why      string    `json:"why,omitempty"`     // of Unread
	Told     bool      `json:"told,omitempty"`    // the user was told of Unread
	Noticed  int64     `json:"noticed,omitempty"` // the number after that of the newest unsure entry of which she was told
}

// An UnreadLogError says that our home does not show its key log.
type UnreadLogError struct {
	Domain pki.Domain
	Since  time.Time
	Why    string
}

func (e *UnreadLogError) Error() string {
	return fmt.Sprintf("your home %s has not shown its key log since %s (%s): whether it holds another key for your name cannot be seen", e.Domain, e.Since.UTC().Format("2 Jan 15:04 UTC"), e.Why)
}

// scan reads what is new in the log of our home, on each link and once a day, and objects to what we did
// not make. That it cannot be read now is no error; that it cannot for long is told.
func (a *Agent) scan(ctx context.Context) error {
	if a.self.linked() {
		return nil
	}
	r, due, err := a.beginScan()
	if err != nil || !due {
		return err
	}
	if a.scanned != a.client {
		a.scanned, a.scanTried = a.client, time.Time{}
	}
	if now := a.now(); !a.scanTried.IsZero() && now.Sub(a.scanTried).Abs() < scanPause {
		return nil
	}
	done, err := r.read(ctx, a.client.Entries, a.self.name)
	if err == nil && !done {
		return a.unread(r, errLongLog)
	}
	if err == nil {
		err = a.askNewest(ctx, r)
	}
	if err != nil {
		var refused *session.Error
		if !r.further || errors.As(err, &refused) {
			a.scanTried = a.now()
		}
		return a.unread(r, err)
	}
	if err := a.endScan(r); err != nil {
		return err
	}
	return a.objectToEntry(&r.scanned)
}

// beginScan is a reader that goes on where we had stopped. due is false if it is not time, or our home keeps
// no log.
func (a *Agent) beginScan() (r *reader, due bool, err error) {
	r = &reader{now: a.now(), abroad: a.abroad()}
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		if r.scanned, _, err = load[scanned](tx, keyScanned); err != nil {
			return err
		}
		if name := r.scanned.Name; !name.IsZero() && name != a.self.name {
			r.scanned = scanned{}
		}
		r.scanned.Name = a.self.name
		if due = a.scanned != a.client || r.now.Sub(r.scanned.At).Abs() >= scanEvery || r.scanned.Ahead != nil; !due {
			return nil
		}
		if due, err = a.keepsLog(tx, a.home()); err != nil || !due {
			return err
		}
		if r.mine, _, err = load[[]string](tx, keyOwnCards); err != nil {
			return err
		}
		t, _, err := load[twin](tx, keyTwin)
		if err != nil {
			return err
		}
		r.first = !t.Restored
		d, _, err := a.serverOf(tx, a.home())
		if err != nil {
			return err
		}
		if r.log, r.kept = keylog.Of(d.Descriptor); r.kept {
			r.watch, r.want, err = a.quorum(tx, a.home())
		}
		return err
	})
	return r, due, err
}

// quorum is quorumOf, for who needs no bench otherwise.
func (a *Agent) quorum(tx *vault.Tx, of pki.Domain) ([]keylog.Witness, int, error) {
	b, err := a.bench(tx)
	if err != nil {
		return nil, 0, err
	}
	return a.quorumOf(tx, b, of)
}

// endScan judges what was found, when all is read, and keeps that.
func (a *Agent) endScan(r *reader) error {
	s := &r.scanned
	return a.vault.Update(func(tx *vault.Tx) error {
		s.At, s.Last, s.Unread, s.Why, s.Told = a.now(), nil, time.Time{}, "", false
		if err := a.judgeFound(tx, r); err != nil {
			return err
		}
		return save(tx, keyScanned, *s)
	})
}

// errLongLog: there is more than is read in one go.
var errLongLog = errors.New("there is more to read")

// unread keeps how far a go came that did not come to the end, and that our home does not show its log, if
// it was our home that was asked. The user is told when that was so for long. What is shown and is a lie is
// told at once.
func (a *Agent) unread(r *reader, why error) error {
	s, now := &r.scanned, a.now()
	a.cfg.Log.Debug("reading the key log of our home", "err", why)
	if errors.Is(why, keylog.ErrCheckpoint) || errors.Is(why, keylog.ErrProof) {
		a.warning["key log"] = why
	}
	if !r.abroad {
		patience := unreadLong
		if r.further {
			patience = unreadLongest
		}
		if s.Why = unreadWhy(why); s.Unread.IsZero() || s.Unread.After(now) {
			s.Unread = now
		}
		if now.Sub(s.Unread) >= patience && !s.Told {
			s.Told = true
			a.warning["key log of "+a.home().String()] = &UnreadLogError{a.home(), s.Unread, s.Why}
		}
	}
	return a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyScanned, *s) })
}

// unreadWhy is why a log cannot be read, in few words of ours.
func unreadWhy(err error) string {
	var refused *session.Error
	switch {
	case errors.Is(err, errNoLog):
		return "it names none any more"
	case errors.Is(err, keylog.ErrQuorum):
		return "too few others have cosigned it"
	case errors.Is(err, keylog.ErrCheckpoint), errors.Is(err, keylog.ErrProof):
		return "what it shows is not what it has signed"
	case errors.Is(err, errLongLog):
		return "it is not read to the end yet"
	case errors.As(err, &refused):
		return "it refuses: " + string(refused.Code)
	}
	return "it does not answer"
}

// LogUnread is since when, and why, our home does not show its key log, if that is so for long; nil if not.
func (a *Agent) LogUnread() (unread *UnreadLogError, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		s, _, err := load[scanned](tx, keyScanned)
		if err == nil && s.Told {
			unread = &UnreadLogError{a.home(), s.Unread, s.Why}
		}
		return err
	})
	return unread, err
}
