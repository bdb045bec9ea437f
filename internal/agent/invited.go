package agent

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

const (
	// maxInvited is how many invitations of ours are open at a time, and longestInvited how long
	// one may be good: less than a home remembers that it was used.
	maxInvited     = 16
	longestInvited = 28 * 24 * time.Hour

	helloText = "I have taken your invitation."
)

// ErrInvitations: maxInvited invitations of ours are open already.
var ErrInvitations = fmt.Errorf("%d invitations of yours are open already", maxInvited)

// An InvitedError says that an invitation is of no use any more.
type InvitedError struct {
	By   pki.Name
	Used bool // else it is too old
	At   time.Time
}

func (e *InvitedError) Error() string {
	if e.Used {
		return "this invitation was used on " + e.At.Format("2 Jan")
	}
	return "this invitation was good until " + e.At.Format("2 Jan")
}

// An invited is an invitation of ours.
type invited struct {
	Secret secret32  `json:"secret"`
	Until  time.Time `json:"until"`
	By     string    `json:"by,omitempty"` // who has taken it
}

func (i invited) personal() invitation.Personal {
	return invitation.Personal{Secret: i.Secret.array()}
}

// A takenOne is an invitation of somebody else that we have taken.
type takenOne struct {
	ID string    `json:"id"` // of the message that says so
	At time.Time `json:"at"`
}

func mailboxKey(prefix string, i invitation.Personal) string {
	at := i.Mailbox()
	return prefix + hex.EncodeToString(at[:])
}

// Invite makes an invitation for one person, who is a contact as soon as she has taken it. Our home
// keeps its mailbox, so it has to be there. Errors beside those of Connect: ErrInvitations.
func (a *Agent) Invite(ctx context.Context, life time.Duration) (i invitation.Personal, err error) {
	if err := a.Connect(ctx); err != nil {
		return i, err
	}
	if a.abroad() {
		return i, &HomeError{Domain: a.home(), Cause: errors.New("an invitation needs it")}
	}
	s, err := a.standing(a.home())
	if err != nil {
		return i, err
	}
	i = invitation.Personal{
		Expires: a.now().Add(min(life, longestInvited)), Name: a.self.name, Identity: a.self.public.Fingerprint(), Home: s.key(),
	}
	if i.Others, err = a.othersKnown(s.verdict.For); err != nil {
		return i, err
	}
	if i, err = invitation.NewPersonal(a.cfg.Rand, i); err != nil {
		return i, err
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		open, err := a.openInvited(tx)
		if err == nil && len(open) >= maxInvited {
			err = ErrInvitations
		}
		return errors.Join(err, save(tx, mailboxKey(prefixInvited, i), invited{Secret: i.Secret[:], Until: i.Expires}))
	})
	if err == nil {
		err = a.claimInvited(ctx)
	}
	return i, err
}

// othersKnown are domains with the keys by which they are pinned.
func (a *Agent) othersKnown(domains []pki.Domain) (all []invitation.Known, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		for _, d := range domains {
			p, ok, err := loadPin(tx, d)
			if err != nil {
				return err
			}
			if ok && len(all) < invitation.MaxOthers {
				all = append(all, invitation.Known{Domain: d, Key: p.Key})
			}
		}
		return nil
	})
	return all, err
}

// openInvited are our invitations that may be taken yet. Those that are long over are forgotten.
func (a *Agent) openInvited(tx *vault.Tx) (open []invited, err error) {
	err = each(tx, prefixInvited, func(key string, i invited) error {
		switch now := a.now(); {
		case now.Sub(i.Until) > longestWait:
			tx.Delete(prefixInvited + key)
		case i.By == "" && now.Before(i.Until):
			open = append(open, i)
		}
		return nil
	})
	return open, err
}

// claimInvited claims the mailboxes of our open invitations. The home lets one letter into each.
func (a *Agent) claimInvited(ctx context.Context) error {
	wanted, err := a.invitedMailboxes()
	if err != nil || len(wanted) == 0 {
		return err
	}
	if err := a.client.Claim(ctx, wanted); err != nil {
		return a.dead(err)
	}
	return nil
}

func (a *Agent) invitedMailboxes() (wanted []session.Mailbox, err error) {
	if a.abroad() {
		return nil, nil
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		open, err := a.openInvited(tx)
		for _, i := range open {
			wanted = append(wanted, session.Mailbox{Address: i.personal().Mailbox(), Kind: session.Invitation, Until: uint32(mor.DayAt(i.Until))})
		}
		return err
	})
	return wanted, err
}

// welcome finds the invitation of ours that a hello shows: its key; none if it shows none that is
// open. That it was in time is the word of our home, which keeps the mailbox, and of its writer.
func (a *Agent) welcome(tx *vault.Tx, m message.Content, identity pki.Fingerprint) (found string, err error) {
	if m.Kind != message.Hello {
		return "", nil
	}
	err = each(tx, prefixInvited, func(key string, i invited) error {
		if i.By == "" && !m.At.After(i.Until) && i.personal().Proves(identity, m.About) {
			found = prefixInvited + key
		}
		return nil
	})
	return found, err
}

// welcomed takes somebody who has shown an invitation for a contact; it is used then. That shows her key
// as well as the log of her home does.
func (a *Agent) welcomed(tx *vault.Tx, key string, name pki.Name, c *contact) error {
	if key == "" {
		return nil
	}
	i, _, err := load[invited](tx, key)
	objected, failed := a.objected(tx, name, c.Identity)
	if err = cmp.Or(err, failed); err == nil && c.Provisional && !objected {
		c.Trust, c.Provisional = pki.FirstSeen, false
	}
	i.By = name.String()
	if err == nil {
		err = choose(tx, name, c)
	}
	return errors.Join(err, save(tx, key, i))
}

// Take takes an invitation: who made it is a contact, verified by it, and is told so by the one
// letter that her mailbox takes. It waits until that is there, or ctx ends; then taking the same
// again goes on. Errors beside those of Send and Wait: an *InvitedError, and a *pki.KeyChangedError if
// the invitation names another key than a known one.
func (a *Agent) Take(ctx context.Context, i invitation.Personal) (added Added, err error) {
	if err := a.Connect(ctx); err != nil {
		return added, err
	}
	var before takenOne
	again := false
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		before, again, err = load[takenOne](tx, mailboxKey(prefixTaken, i))
		return err
	})
	switch {
	case err != nil:
		return added, err
	case !again && a.now().After(i.Expires):
		return added, &InvitedError{By: i.Name, At: i.Expires}
	case !again:
		if before.ID, err = a.greet(ctx, i); err != nil {
			return added, err
		}
	}
	return a.greeted(ctx, i, before, again)
}

// greeted waits until the letter by which an invitation is taken is there.
func (a *Agent) greeted(ctx context.Context, i invitation.Personal, t takenOne, again bool) (added Added, err error) {
	id, err := mor.ParseMessageID(t.ID)
	if err != nil {
		return added, err
	}
	s, err := a.Status(id)
	if again && err == nil && s.Reached(mor.StoredThere) {
		return added, &InvitedError{By: i.Name, Used: true, At: s.Changed}
	}
	if s, err = a.Wait(ctx, id, mor.StoredThere, func(Status) {}); err != nil {
		return added, err
	}
	switch s.State {
	case mor.UsedUp:
		return added, &InvitedError{By: i.Name, Used: true, At: s.Changed}
	case mor.Expired:
		return added, &UnfinishedError{Status: s, Until: mor.StoredThere}
	}
	added.Name = i.Name
	added.Standing, err = a.Standing(i.Name)
	return added, err
}

// greet believes an invitation, and hands in the letter by which it is taken.
func (a *Agent) greet(ctx context.Context, i invitation.Personal) (id string, err error) {
	if err := a.refreshDirectory(ctx, directoryAge); err != nil {
		return "", a.homeError(err)
	}
	if err := a.vault.Update(func(tx *vault.Tx) error { return a.introduced(tx, i) }); err != nil {
		return "", err
	}
	to, err := a.correspondent(ctx, i.Name)
	if err != nil {
		return "", err
	}
	if to.id != i.Identity {
		return "", &pki.KeyChangedError{Subject: i.Name.String(), Pinned: i.Identity, Shown: to.id}
	}
	to.address = mor.Address{Mailbox: onion.Mailbox(i.Mailbox()), Identity: i.Identity, Spools: []pki.Domain{i.Name.Domain()}, Once: true}
	d := draft{kind: kindText, text: helloText, about: mor.MessageID(i.Proof(a.self.public.Fingerprint())), hello: true}
	var copies []mor.Submission
	err = a.withRoutes(ctx, func() error {
		return a.vault.Update(func(tx *vault.Tx) (err error) {
			if copies, err = a.enqueue(tx, to, d); err != nil {
				return err
			}
			id = copies[0].Message.String()
			return save(tx, mailboxKey(prefixTaken, i), takenOne{ID: id, At: a.now()})
		})
	})
	if err != nil {
		return "", err
	}
	return id, a.handIn(ctx, copies)
}

// introduced takes the word of who has handed us an invitation in person for her own keys, where none
// are known. Of other domains it only has to agree with what is known: she is not asked whom to
// believe about them, but if her world is not ours, one of the two is forged.
func (a *Agent) introduced(tx *vault.Tx, i invitation.Personal) error {
	for _, said := range append([]invitation.Known{{Domain: i.Name.Domain(), Key: i.Home}}, i.Others...) {
		p, pinned, err := loadPin(tx, said.Domain)
		if err == nil && pinned && !p.was(said.Key) {
			err = pki.CheckPin(p.Key, said.Key, said.Domain.String())
		}
		if err != nil {
			return err
		}
	}
	c, met, err := load[contact](tx, prefixContact+i.Name.String())
	if err == nil && met && c.Trust > pki.Untrusted {
		err = pki.CheckPin(c.Identity, i.Identity, i.Name.String())
	}
	s, failed := a.judged(tx, i.Name.Domain())
	if err = cmp.Or(err, failed); err == nil && !s.pinned {
		err = a.verifyDomain(tx, s, i.Home)
	}
	if err != nil {
		return err
	}
	return a.verify(tx, i.Name, i.Identity)
}

// was tells whether a key has handed over to the pinned one.
func (p pin) was(key pki.Fingerprint) bool {
	for _, f := range p.Former {
		if f.Key == key {
			return true
		}
	}
	return false
}
