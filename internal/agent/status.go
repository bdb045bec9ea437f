package agent

import (
	"errors"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A Status is how far a text of ours has come.
type Status struct {
	ID       string    `json:"id"`
	State    mor.State `json:"state"`
	To       pki.Name  `json:"to"`
	Text     string    `json:"text"`
	Route    mor.Route `json:"route"`    // of the last copy
	Attempts int       `json:"attempts"` // copies made
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"` // when it came into this state
}

// Reached tells whether the message is at least as far as want, or at its end.
func (s Status) Reached(want mor.State) bool { return rank(s.State) >= rank(want) }

func rank(s mor.State) int {
	switch s {
	case mor.Sent:
		return 1
	case mor.StoredThere:
		return 2
	case mor.Acknowledged, mor.Expired, mor.UsedUp:
		return 3
	}
	return 0
}

// written begins the history of a text.
func (a *Agent) written(tx *vault.Tx, to pki.Name, text string, o mor.Outgoing) error {
	if err := save(tx, prefixCopies+o.ID.String(), copiesOf(o)); err != nil {
		return err
	}
	return save(tx, prefixSent+o.ID.String(), Status{
		ID: o.ID.String(), State: o.State, To: to, Text: text, Route: o.Last, Attempts: 1, Created: o.Created, Changed: o.Created,
	})
}

// progress notes what a Sender says of a text.
func (a *Agent) progress(tx *vault.Tx, o mor.Outgoing) error {
	key := prefixSent + o.ID.String()
	s, ok, err := load[Status](tx, key)
	if err != nil || !ok {
		return err
	}
	if s.State != o.State {
		s.State, s.Changed = o.State, a.now()
	}
	s.Route, s.Attempts = o.Last, o.Copies
	if err := save(tx, prefixCopies+o.ID.String(), copiesOf(o)); err != nil {
		return err
	}
	return save(tx, key, s)
}

// Status returns how far the text id has come, as this folder knows. ErrNoMessage: it is
// none of ours.
func (a *Agent) Status(id mor.MessageID) (s Status, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		var ok bool
		s, ok, err = load[Status](tx, prefixSent+id.String())
		if err == nil && !ok {
			err = ErrNoMessage
		}
		return err
	})
	return s, err
}

// A Summary is what there is in a folder.
type Summary struct {
	Outbox []Status `json:"outbox"` // texts that are on their way, by id
	Sent   int      `json:"sent"`   // texts ever sent
	Copies int      `json:"copies"` // made of them, the first ones and all that followed
	Came   int      `json:"came"`   // texts ever received
	Unread int      `json:"unread"`
	Asked  int      `json:"requests"` // texts of strangers that were not shown
	Owed   int      `json:"owed"`     // acknowledgements that are on their way
	Counts Counts   `json:"counts"`
	Own    string   `json:"own,omitempty"` // what is wrong with the user's own name or key
	Log    string   `json:"log,omitempty"` // that the home has not shown its key log for long

	Expires  time.Time `json:"expires,omitzero"` // of the certificate; zero: there is none
	DaysLeft int       `json:"daysLeft"`         // whole days until then
}

// Summary returns what there is in the folder.
func (a *Agent) Summary() (s Summary, err error) {
	s.Outbox, s.Counts = []Status{}, a.counts
	if wrong, err := a.Own(); err != nil {
		return s, err
	} else if wrong != nil {
		s.Own = wrong.Error()
	}
	if unread, err := a.LogUnread(); err != nil {
		return s, err
	} else if unread != nil {
		s.Log = unread.Error()
	}
	id, _, err := a.identity()
	if err != nil {
		return s, err
	}
	if t, ok := termOf(id.Certificate); ok {
		s.Expires, s.DaysLeft = t.until, daysLeft(t.until, a.now())
	}
	err = a.vault.View(func(tx *vault.Tx) error {
		err := each(tx, prefixSent, func(_ string, text Status) error {
			s.Sent, s.Copies = s.Sent+1, s.Copies+text.Attempts
			if !finished(kindText, text.State) {
				s.Outbox = append(s.Outbox, text)
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = each(tx, prefixOutbox, func(_ string, o outgoing) error {
			if o.Kind == kindAck {
				s.Owed++
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.Came, err = count(tx, prefixInbox); err != nil {
			return err
		}
		if s.Asked, err = count(tx, prefixRequest); err != nil {
			return err
		}
		s.Unread, err = count(tx, prefixUnread)
		return err
	})
	return s, err
}

func count(tx *vault.Tx, prefix string) (n int, err error) {
	err = tx.Range(prefix, func(string, []byte) error { n++; return nil })
	return n, err
}

// ignoring is err, or nil if err is the one that only ended a Range.
func ignoring(err, end error) error {
	if errors.Is(err, end) {
		return nil
	}
	return err
}
