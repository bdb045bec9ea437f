package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// domainShare is the part of these, and of the letters of strangers that are left, for the users of one
	// domain, who cost it nothing: one in so many.
	domainShare = 4
	// strangerKept is how long it is remembered which texts came of a stranger who is not remembered
	// herself: copies of her last letter are all dead by then.
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
		before, err := count(tx, prefixRequest)
		if err != nil {
			return err
		}
		c, err := a.acquaint(tx, to) // who has moved is one of our choice by that already
		if err == nil {
			err = choose(tx, name, &c)
		}
		if err != nil {
			return err
		}
		after, err := count(tx, prefixRequest)
		added.Moved = before - after
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

// choose makes somebody a contact of our own choice.
func choose(tx *vault.Tx, name pki.Name, c *contact) error {
	if c.Chosen {
		return nil
	}
	c.Chosen = true
	return c.settled(tx, name)
}

// settled keeps a contact under a name. What she wrote there before she was of our own choice waits no
// more apart.
func (c contact) settled(tx *vault.Tx, name pki.Name) error {
	if err := save(tx, prefixContact+name.String(), c); err != nil || !c.Chosen {
		return err
	}
	all, err := requests(tx)
	for _, r := range all {
		if r.From == name && r.Key == c.Identity {
			tx.Delete(prefixRequest + numbered(r.Number))
			tx.Put(prefixUnread+numbered(r.Number), r.note)
		}
	}
	return err
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
	if err != nil || c.Chosen {
		return false, err
	}
	all, err := requests(tx)
	if err != nil {
		return false, err
	}
	if !has(tx, gotKey(identity, m.ID)) && noRoom(all, m.Name.Domain(), identity) {
		return true, nil
	}
	if met {
		return false, nil
	}
	return false, a.displace(tx, m.Name.Domain(), all)
}

// noRoom tells whether there is no room for one more text of a stranger.
func noRoom(all []request, of pki.Domain, by pki.Fingerprint) bool {
	theirs, hers := 0, 0
	for _, r := range all {
		if r.From.Domain() == of {
			theirs++
		}
		if r.Key == by {
			hers++
		}
	}
	return len(all) >= maxRequests || theirs >= maxRequests/domainShare || hers >= maxRequestsOne
}

// displace makes room for another stranger of a domain, if there is none, by forgetting one: of that
// domain, if it has its share, or else of the one with the most; there the one who has been silent
// longest of all whose texts were all shown or dropped. There are such, since more strangers are
// remembered than texts wait, also of a domain with its share.
func (a *Agent) displace(tx *vault.Tx, of pki.Domain, all []request) error {
	idle, total, theirs, err := strangers(tx, of, all)
	if err != nil {
		return err
	}
	most := of
	switch {
	case theirs >= maxStrangers/domainShare:
	case total < maxStrangers:
		return nil
	default:
		for domain, some := range idle {
			if len(some) > len(idle[most]) {
				most = domain
			}
		}
	}
	if len(idle[most]) == 0 {
		return nil
	}
	oldest := slices.MinFunc(idle[most], func(x, y named) int { return x.heard().Compare(y.heard()) })
	return errors.Join(a.prune(tx), a.disown(tx, oldest.name, oldest.Identity))
}

// strangers counts those that are remembered, and theirs of one domain; idle are those who have nothing
// waiting.
func strangers(tx *vault.Tx, of pki.Domain, all []request) (idle map[pki.Domain][]named, total, theirs int, err error) {
	idle, waiting := make(map[pki.Domain][]named), make(map[pki.Name]bool)
	for _, r := range all {
		waiting[r.From] = true
	}
	err = each(tx, prefixContact, func(key string, c contact) error {
		name, err := pki.ParseName(key)
		if err != nil || c.Chosen {
			return err
		}
		total++
		if name.Domain() == of {
			theirs++
		}
		if !waiting[name] {
			idle[name.Domain()] = append(idle[name.Domain()], named{c, name})
		}
		return nil
	})
	return idle, total, theirs, err
}

// prune forgets which texts came of strangers who were forgotten long ago.
func (a *Agent) prune(tx *vault.Tx) error {
	var old []string
	err := each(tx, prefixDisowned, func(identity string, at time.Time) error {
		if a.now().Sub(at) > strangerKept {
			old = append(old, identity)
		}
		return nil
	})
	for _, identity := range old {
		tx.Delete(prefixDisowned + identity)
		err = errors.Join(err, tx.Range(prefixGot+identity+"/", func(key string, _ []byte) error { tx.Delete(key); return nil }))
	}
	return err
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
		return a.disown(tx, name, c.Identity)
	})
}

// disown deletes all there is of a stranger, but for some time which texts came: another copy of one is
// not taken for new.
func (a *Agent) disown(tx *vault.Tx, name pki.Name, identity pki.Fingerprint) error {
	tx.Delete(prefixContact + name.String())
	tx.Delete(prefixCard + name.String())
	tx.Delete(prefixPlace + name.String())
	err := each(tx, prefixInbox, func(number string, m Message) error {
		if m.From == name {
			tx.Delete(prefixInbox + number)
			tx.Delete(prefixRequest + number)
		}
		return nil
	})
	return errors.Join(err, save(tx, prefixDisowned+identity.String(), a.now()))
}

// Requested returns how many texts of strangers were not shown.
func (a *Agent) Requested() (n int, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		n, err = count(tx, prefixRequest)
		return err
	})
	return n, err
}
