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

// A stranger is who wrote to us and is not a contact of our own choice: not written to, not added,
// not verified, not invited by us. What she writes waits apart, until it is asked for or she is a
// contact. Bounds, beyond which her letters are left at the home like those that cannot be judged
// (hold), and not acknowledged:
const (
	maxRequests    = 100 // texts of strangers that were not shown
	maxRequestsOne = 10  // of these, of one stranger
	maxStrangers   = 500 // strangers that are remembered
	// strangerKept is how long one is remembered who is silent and has nothing waiting, if another
	// wants her place: copies of her last letter are all dead by then.
	strangerKept = longestWait
)

// ErrNoRequest: nobody of that name is a stranger who wrote to us.
var ErrNoRequest = errors.New("nothing of that name waits in requests")

// An Added is what came of adding somebody.
type Added struct {
	Name pki.Name `json:"name"`
	Standing
	Moved int `json:"moved"` // texts of hers that waited in requests, and now wait with the others
}

// Add makes somebody a contact before anything is sent to her, or takes what she has sent for
// welcome: her key is looked up, judged and pinned as for Send. Errors are those of Send, but
// for routes and lengths.
func (a *Agent) Add(ctx context.Context, name pki.Name) (added Added, err error) {
	if err := a.Connect(ctx); err != nil {
		return added, err
	}
	to, err := a.addressee(ctx, name)
	if err != nil {
		return added, err
	}
	name = to.name
	err = a.vault.Update(func(tx *vault.Tx) error {
		c, err := a.acquaint(tx, to)
		if err != nil {
			return err
		}
		added.Moved, err = choose(tx, name, &c)
		return err
	})
	if err == nil {
		err = a.claim(ctx)
	}
	if err == nil {
		added.Name = name
		added.Standing, err = a.Standing(name)
	}
	return added, err
}

// choose makes somebody a contact of our own choice. What she wrote before waits no more apart;
// moved says how many texts that were.
func choose(tx *vault.Tx, name pki.Name, c *contact) (moved int, err error) {
	if c.Chosen {
		return 0, nil
	}
	c.Chosen = true
	if err := save(tx, prefixContact+name.String(), *c); err != nil {
		return 0, err
	}
	all, err := requests(tx)
	for _, r := range all {
		if r.From == name && r.Key == c.Identity {
			tx.Delete(prefixRequest + numbered(r.Number))
			tx.Put(prefixUnread+numbered(r.Number), r.note)
			moved++
		}
	}
	return moved, err
}

// A request is a stranger's text that was not shown.
type request struct {
	Message
	note []byte // what stands there of its showing
}

func requests(tx *vault.Tx) (all []request, err error) {
	err = tx.Range(prefixRequest, func(key string, note []byte) error {
		m, ok, err := load[Message](tx, prefixInbox+key[len(prefixRequest):])
		if err == nil && !ok {
			err = fmt.Errorf("agent: request %s has no text", key)
		}
		all = append(all, request{m, note})
		return err
	})
	return all, err
}

// crowded tells whether a text must be left at the home because strangers have no more room, and
// makes some if it can.
func (a *Agent) crowded(tx *vault.Tx, m message.Content, identity pki.Fingerprint) (bool, error) {
	c, met, err := load[contact](tx, prefixContact+m.Name.String())
	if err == nil && !met {
		c, _, err = inherited(tx, m.Name, identity) // a contact who has moved is none
	}
	if err != nil || c.Chosen || has(tx, gotKey(identity, m.ID)) {
		return false, err
	}
	all, err := requests(tx)
	if err != nil {
		return false, err
	}
	waiting, hers := make(map[pki.Name]bool), 0
	for _, r := range all {
		waiting[r.From] = true
		if r.Key == identity {
			hers++
		}
	}
	if len(all) >= maxRequests || hers >= maxRequestsOne {
		return true, nil
	}
	if met {
		return false, nil
	}
	return a.displace(tx, waiting)
}

// displace makes room for another stranger, if there is none, by forgetting the one who has been
// silent longest. full is true if none has been so for long enough.
func (a *Agent) displace(tx *vault.Tx, waiting map[pki.Name]bool) (full bool, err error) {
	var oldest pki.Name
	var silent time.Time
	n := 0
	err = each(tx, prefixContact, func(key string, c contact) error {
		if c.Chosen {
			return nil
		}
		n++
		name, err := pki.ParseName(key)
		if last := c.heard(); err == nil && !waiting[name] && (oldest.IsZero() || last.Before(silent)) {
			oldest, silent = name, last
		}
		return err
	})
	if err != nil || n < maxStrangers {
		return false, err
	}
	if oldest.IsZero() || a.now().Sub(silent) < strangerKept {
		return true, nil
	}
	c, _, err := load[contact](tx, prefixContact+oldest.String())
	if err != nil {
		return false, err
	}
	err = tx.Range(prefixGot+c.Identity.String()+"/", func(key string, _ []byte) error { tx.Delete(key); return nil })
	return false, errors.Join(err, disown(tx, oldest))
}

// heard is when we last heard of a contact, or met her.
func (c contact) heard() time.Time {
	if c.Stated.After(c.Met) {
		return c.Stated
	}
	return c.Met
}

// Drop forgets a stranger, and all that she wrote, shown or not. She is not told; what she writes
// from now on is of somebody unknown. Errors: ErrNoRequest.
func (a *Agent) Drop(name pki.Name) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		c, ok, err := load[contact](tx, prefixContact+name.String())
		if err != nil {
			return err
		}
		if !ok || c.Chosen {
			return ErrNoRequest
		}
		return disown(tx, name)
	})
}

// disown deletes all there is of a stranger, but which texts came: another copy of one is not
// taken for new.
func disown(tx *vault.Tx, name pki.Name) error {
	tx.Delete(prefixContact + name.String())
	tx.Delete(prefixCard + name.String())
	return each(tx, prefixInbox, func(number string, m Message) error {
		if m.From == name {
			tx.Delete(prefixInbox + number)
			tx.Delete(prefixRequest + number)
		}
		return nil
	})
}

// Requested returns how many texts of strangers were not shown.
func (a *Agent) Requested() (n int, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		n, err = count(tx, prefixRequest)
		return err
	})
	return n, err
}
