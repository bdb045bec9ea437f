package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

	// maxClaimed is for how many contacts mailboxes are claimed. Anybody can become a contact
	// by writing to us; what we claim stays within the 16 384 addresses that a home gives to
	// one user (eighteen days of each contact), or nobody could reach us any more. Those whom
	// we wrote to come first, then those who were met first.
	maxClaimed = 900
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
// those of our contacts for the days around today. On one link each is claimed once a day.
func (a *Agent) claim(ctx context.Context) error {
	today := mor.DayAt(a.now())
	wanted, names, err := a.unclaimed(today)
	if err != nil || len(wanted) == 0 {
		return err
	}
	if err := a.client.Claim(ctx, wanted); err != nil {
		return a.dead(err)
	}
	for _, name := range names {
		a.claimed[name] = int64(today)
	}
	return nil
}

// unclaimed lists the mailboxes that this link has not claimed today, and whose they are.
func (a *Agent) unclaimed(today mor.Day) (wanted []session.Mailbox, names []pki.Name, err error) {
	if a.claimed[pki.Name{}] != int64(today) {
		wanted = []session.Mailbox{
			{Address: a.self.requests, Kind: session.Requests, Until: uint32(today) + longKept},
			{Address: a.self.replies, Kind: session.Replies, Until: uint32(today) + longKept},
		}
		names = []pki.Name{{}} // of ourselves
	}
	reachable, err := a.reachable()
	for _, r := range reachable {
		if a.claimed[r.name] != int64(today) {
			wanted, names = append(wanted, mailboxes(r.contact, today)...), append(names, r.name)
		}
	}
	return wanted, names, err
}

// A named is a contact with its name.
type named struct {
	contact
	name  pki.Name
	wrote bool // we to them
}

// reachable lists the contacts for whom mailboxes are claimed.
func (a *Agent) reachable() (all []named, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		err := each(tx, prefixContact, func(key string, c contact) error {
			name, err := pki.ParseName(key)
			all = append(all, named{contact: c, name: name})
			return err
		})
		if err != nil || len(all) <= maxClaimed {
			return err
		}
		return markWrote(tx, all)
	})
	slices.SortStableFunc(all, func(x, y named) int {
		switch {
		case x.wrote && !y.wrote:
			return -1
		case y.wrote && !x.wrote:
			return 1
		}
		return x.Met.Compare(y.Met)
	})
	return all[:min(len(all), maxClaimed)], err
}

// markWrote marks those to whom we ever wrote.
func markWrote(tx *vault.Tx, all []named) error {
	to := make(map[pki.Name]bool)
	err := each(tx, prefixSent, func(_ string, s Status) error { to[s.To] = true; return nil })
	for i := range all {
		all[i].wrote = to[all[i].name]
	}
	return err
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
// own home, at now. Errors beside those of Send: a *CardError.
func (a *Agent) look(ctx context.Context, name pki.Name) (pki.SignedCard, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	raw, err := a.client.Lookup(ctx, name)
	if err != nil {
		return pki.SignedCard{}, lookupError(name, a.homeError(err))
	}
	ca, err := a.knownAuthority(ctx, name.Domain())
	if err != nil {
		return pki.SignedCard{}, lookupError(name, err)
	}
	unvouched, err := pki.ParseCard(raw)
	if err != nil {
		return pki.SignedCard{}, &CardError{name, err}
	}
	if unvouched.Name() != name {
		return pki.SignedCard{}, &CardError{name, fmt.Errorf("it is the card of %s", unvouched.Name())}
	}
	if err := pki.CheckPin(ca.Fingerprint(), unvouched.Issuer(), name.Domain().String()); err != nil {
		return pki.SignedCard{}, err
	}
	card, err := ca.VerifyCard(raw, a.now())
	if err != nil {
		return pki.SignedCard{}, &CardError{name, err}
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
		return pki.CACert{}, a.homeError(err)
	}
	return a.authority(domain)
}
