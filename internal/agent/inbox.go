package agent

import (
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A Trust is what is known of the key behind a name, in a word (row H3).
type Trust string

// FirstSeen: the key was taken as the name's when it was first seen, and is the same since.
const FirstSeen Trust = "first seen"

// A Message is a text that came.
type Message struct {
	Number uint64    `json:"number"` // of this folder, counting from 1
	From   pki.Name  `json:"from"`
	Trust  Trust     `json:"trust"`
	Text   string    `json:"text"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`   // by the sender's clock
	Came   time.Time `json:"came"` // when it was fetched
}

// shelve keeps a text and returns its number.
func (a *Agent) shelve(tx *vault.Tx, m message.Content) (uint64, error) {
	number, _, err := load[uint64](tx, keyNext)
	if err != nil {
		return 0, err
	}
	number++
	text := Message{
		Number: number, From: m.Name, Trust: FirstSeen, Text: m.Text, ID: m.ID.String(), At: m.At, Came: a.now().UTC(),
	}
	tx.Put(prefixUnread+numbered(number), nil)
	if err := save(tx, prefixInbox+numbered(number), text); err != nil {
		return 0, err
	}
	return number, save(tx, keyNext, number)
}

// numbered sorts as the numbers do.
func numbered(n uint64) string { return fmt.Sprintf("%020d", n) }

// Next returns the oldest message that was not shown yet, and takes it for shown; false if
// there is none. Of programs that share a folder, one gets it.
func (a *Agent) Next() (m Message, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error { ok, err = unread(tx, nil); return err })
	if err != nil || !ok {
		return Message{}, false, err
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		ok, err = unread(tx, func(key string) error {
			tx.Delete(prefixUnread + key)
			m, _, err = load[Message](tx, prefixInbox+key)
			return err
		})
		return err
	})
	return m, ok && err == nil, err
}

// unread calls f with the first unread message's number, if there is one.
func unread(tx *vault.Tx, f func(key string) error) (ok bool, err error) {
	first := ""
	err = tx.Range(prefixUnread, func(key string, _ []byte) error {
		first = key[len(prefixUnread):]
		return errEnough
	})
	if first == "" || f == nil {
		return first != "", ignoring(err, errEnough)
	}
	return true, f(first)
}

// Unshown takes back that a message was shown: it could not be.
func (a *Agent) Unshown(m Message) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		tx.Put(prefixUnread+numbered(m.Number), nil)
		return nil
	})
}
