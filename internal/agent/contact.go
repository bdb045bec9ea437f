package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// The days for which mailboxes are claimed. A letter goes to the mailbox of the day on
// which its copy was made, and may be a week on its way.
const (
	daysBack  = 1
	daysAhead = 8
	daysKept  = 8   // after its day
	longKept  = 366 // days, for the mailboxes that do not change
)

// meet returns the contact of that name, made and pinned if need be. Errors: a
// *pki.KeyChangedError if the name is pinned to another identity.
func (a *Agent) meet(tx *vault.Tx, name pki.Name, identity pki.Fingerprint) (contact, error) {
	c, ok, err := load[contact](tx, prefixContact+name.String())
	if err != nil {
		return contact{}, err
	}
	if ok {
		return c, pki.CheckPin(c.Identity, identity, name.String())
	}
	c = contact{Identity: identity, Mine: make([]byte, 32), Met: a.now()}
	if _, err := io.ReadFull(a.cfg.Rand, c.Mine); err != nil {
		return contact{}, fmt.Errorf("agent: making a secret: %w", err)
	}
	return c, save(tx, prefixContact+name.String(), c)
}

// stated takes in what a contact says of herself in a message, if nothing newer is known.
func (c *contact) stated(m message.Content) {
	if m.At.Before(c.Stated) {
		return
	}
	if !equal(c.Auth, m.Auth[:]) {
		c.Seal = nil // of other keys than these
	}
	c.Auth, c.Theirs, c.Spools, c.Stated = m.Auth[:], m.Secret[:], m.Spools, m.At
	if m.Seal != nil {
		c.Seal = m.Seal[:]
	}
}

// carded takes in a contact's card.
func (c *contact) carded(card pki.SignedCard) {
	c.Seal, c.Auth, c.Spools = card.Seal[:], card.Auth[:], card.Spools
}

// keys are what messages to the contact are sealed to; false if they are not known.
func (c contact) keys() (k message.Keys, ok bool) {
	if len(c.Seal) != len(k.Seal) || len(c.Auth) != len(k.Auth) {
		return k, false
	}
	return message.Keys{Seal: [pki.SealSize]byte(c.Seal), Auth: [message.AuthSize]byte(c.Auth)}, true
}

// address is where the contact can be written to by right; false if she has not given it.
func (c contact) address() (mor.Address, bool) {
	return mor.Address{Secret: c.Theirs.array(), Identity: c.Identity, Spools: c.Spools}, len(c.Theirs) == 32
}

func equal(a, b []byte) bool { return string(a) == string(b) } // public keys

// claim makes our mailboxes ours at the home: those for strangers and for receipts, and
// those of every contact for the days around today. On one link each is claimed once a day.
func (a *Agent) claim(ctx context.Context) error {
	today := mor.DayAt(a.now())
	var wanted []session.Mailbox
	var names []pki.Name
	if a.claimed[a.self.name] != int64(today) {
		wanted = append(wanted,
			session.Mailbox{Address: a.self.requests, Kind: session.Requests, Until: uint32(today) + longKept},
			session.Mailbox{Address: a.self.replies, Kind: session.Replies, Until: uint32(today) + longKept})
		names = append(names, a.self.name)
	}
	err := a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixContact, func(key string, c contact) error {
			name, err := pki.ParseName(key)
			if err != nil || name != a.self.name && a.claimed[name] == int64(today) {
				return err
			}
			wanted, names = append(wanted, mailboxes(c, today)...), append(names, name)
			return nil
		})
	})
	if err != nil || len(wanted) == 0 {
		return err
	}
	if err := a.client.Claim(ctx, wanted); err != nil {
		return err
	}
	for _, name := range names {
		a.claimed[name] = int64(today)
	}
	return nil
}

// mailboxes are those into which a contact writes to us around today.
func mailboxes(c contact, today mor.Day) []session.Mailbox {
	var all []session.Mailbox
	for day := today - daysBack; day <= today+daysAhead; day++ {
		all = append(all, session.Mailbox{
			Address: mor.DayMailbox(c.Mine.array(), day), Kind: session.Contact, Until: uint32(day) + daysKept,
		})
	}
	return all
}

// look finds the card of a user by the home, and judges it: by the pinned authority of her
// own home, at now.
func (a *Agent) look(ctx context.Context, name pki.Name) (pki.SignedCard, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	raw, err := a.client.Lookup(ctx, name)
	if err != nil {
		return pki.SignedCard{}, lookupError(name, err)
	}
	ca, err := a.knownAuthority(ctx, name.Domain())
	if err != nil {
		return pki.SignedCard{}, lookupError(name, err)
	}
	unvouched, err := pki.ParseCard(raw)
	if err != nil {
		return pki.SignedCard{}, fmt.Errorf("agent: the card of %s: %w", name, err)
	}
	if unvouched.Name() != name {
		return pki.SignedCard{}, fmt.Errorf("agent: the home gave the card of %s for that of %s", unvouched.Name(), name)
	}
	if err := pki.CheckPin(ca.Fingerprint(), unvouched.Issuer(), name.Domain().String()); err != nil {
		return pki.SignedCard{}, err
	}
	card, err := ca.VerifyCard(raw, a.now())
	if err != nil {
		return pki.SignedCard{}, fmt.Errorf("agent: the card of %s: %w", name, err)
	}
	return card, nil
}

// knownAuthority is authority, with a fresh directory if the domain is not in the old one.
func (a *Agent) knownAuthority(ctx context.Context, domain pki.Domain) (pki.CACert, error) {
	ca, err := a.authority(domain)
	var unknown *NoServerError
	if !errors.As(err, &unknown) {
		return ca, err
	}
	if err := a.refreshDirectory(ctx, time.Second); err != nil {
		return pki.CACert{}, err
	}
	return a.authority(domain)
}
