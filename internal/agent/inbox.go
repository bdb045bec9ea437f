package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A Message is a text that came.
type Message struct {
	Number uint64    `json:"number"` // of this folder, counting from 1
	From   pki.Name  `json:"from"`
	Text   string    `json:"text"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`              // by the sender's clock
	Came   time.Time `json:"came"`            // when it was fetched
	Again  bool      `json:"again,omitempty"` // it may have been shown before: the program that did so was ended

	Key       pki.Fingerprint `json:"key"`                 // of her identity, that wrote it
	Elsewhere bool            `json:"elsewhere,omitempty"` // she was logged in at another server than her home
	Standing  Standing        `json:"-"`                   // how she stands when the message is shown
}

// shelve keeps a text and returns its number.
func (a *Agent) shelve(tx *vault.Tx, m message.Content, by contact) (uint64, error) {
	number, _, err := load[uint64](tx, keyNext)
	if err != nil {
		return 0, err
	}
	number++
	text := Message{
		Number: number, From: m.Name, Text: m.Text, ID: m.ID.String(), At: m.At, Came: a.now().UTC(),
		Key: by.Identity, Elsewhere: len(m.Spools) > 0 && m.Spools[0] != m.Name.Domain(),
	}
	box := prefixRequest
	if by.Chosen {
		box = prefixUnread
	}
	tx.Put(box+numbered(number), nil)
	if err := save(tx, prefixInbox+numbered(number), text); err != nil {
		return 0, err
	}
	return number, save(tx, keyNext, number)
}

// numbered sorts as the numbers do.
func numbered(n uint64) string { return fmt.Sprintf("%020d", n) }

// What stands at an unread message, besides nothing.
var showing = []byte("showing") // its showing was begun

// ErrShowing: another program on the same folder is showing a message, and did not end in
// the time that was given.
var ErrShowing = errors.New("another program is showing your messages")

// Show calls show with the oldest message of a contact that was not shown yet, and takes it for shown when
// show returns nil; ok is false if there is none. Of programs that share a folder one shows at
// a time, and the others wait for it until ctx ends; the error is ErrShowing then. An error of
// show is returned, and the message is as unshown as before.
//
// That a message is being shown is durable before show is called. If the program ends before
// show has returned and that is durable too, nobody knows what the reader saw: the message is
// shown once more, with Again.
func (a *Agent) Show(ctx context.Context, show func(Message) error) (ok bool, err error) {
	return a.showOf(ctx, prefixUnread, show)
}

// ShowRequest is Show for messages of strangers: of whom the user has not written to, added,
// verified or invited.
func (a *Agent) ShowRequest(ctx context.Context, show func(Message) error) (ok bool, err error) {
	return a.showOf(ctx, prefixRequest, show)
}

// showOf is Show for the messages that are noted under one prefix.
func (a *Agent) showOf(ctx context.Context, box string, show func(Message) error) (ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		number, _, err := unread(tx, box)
		ok = number != ""
		return err
	})
	if err != nil || !ok {
		return false, err
	}
	release, err := a.vault.Turn(ctx)
	switch {
	case err != nil && errors.Is(err, ctx.Err()): // of nothing else that failed
		return false, errors.Join(ErrShowing, err)
	case err != nil:
		return false, err
	}
	defer func() { err = errors.Join(err, release()) }()
	m, ok, err := a.beginShowing(box)
	if err != nil || !ok {
		return false, err
	}
	if err := show(m); err != nil {
		return false, errors.Join(err, a.endShowing(m, false))
	}
	return true, a.endShowing(m, true)
}

// beginShowing notes that the oldest unread message is being shown, and returns it.
func (a *Agent) beginShowing(box string) (m Message, ok bool, err error) {
	err = a.vault.Update(func(tx *vault.Tx) error {
		number, note, err := unread(tx, box)
		if err != nil || number == "" {
			return err
		}
		tx.Put(box+number, showing)
		if m, ok, err = load[Message](tx, prefixInbox+number); err != nil {
			return err
		}
		m.Again = len(note) > 0
		m.Standing, err = a.writer(tx, m)
		return err
	})
	return m, ok, err
}

// writer is how the writer of a message stands now.
func (a *Agent) writer(tx *vault.Tx, m Message) (Standing, error) {
	p, err := a.person(tx, m.From, m.Key)
	if err != nil {
		return Standing{}, err
	}
	s := p.standing()
	s.Offline = s.Offline || m.Elsewhere
	return s, nil
}

// endShowing notes that the message was shown, or not.
func (a *Agent) endShowing(m Message, shown bool) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		key := prefixUnread + numbered(m.Number)
		if asked := prefixRequest + numbered(m.Number); has(tx, asked) {
			key = asked // its writer may have become a contact meanwhile
		}
		switch {
		case shown:
			tx.Delete(key)
		case !has(tx, key): // or was dropped
		case !m.Again: // else it may have been shown before all the same
			tx.Put(key, nil)
		}
		return nil
	})
}

// unread returns the number of the oldest unread message in a box as it stands in a key, and what
// is noted of it; no number if there is none.
func unread(tx *vault.Tx, box string) (number string, note []byte, err error) {
	err = tx.Range(box, func(key string, value []byte) error {
		number, note = key[len(box):], value
		return errEnough
	})
	return number, note, ignoring(err, errEnough)
}
