package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// watchEvery is how often we look at what our home shows as our card.
const watchEvery = time.Hour

// A watched is what was seen when we last looked at our own name.
type watched struct {
	At    time.Time       `json:"at"`
	Shown pki.Fingerprint `json:"shown,omitzero"` // another identity key than ours, which our home has certified
}

// An OwnKeyError says that something is wrong with the user's own name or key.
type OwnKeyError struct {
	Name    pki.Name
	Key     pki.Fingerprint // hers
	Shown   pki.Fingerprint // that her home shows under her name; zero: none
	Revoked bool            // her key was revoked, by herself or by whoever has her revocation key
	Ended   bool            // her domain has ended the name
	Entry   int64           // number, from 1, of the newest entry of her home's key log for her name that none of her folders made; 0: none
	Handed  string          // the servers that have confirmed that they hold the objection of her key; "": none, or there is no objection
}

func (e *OwnKeyError) Error() string {
	switch {
	case e.Revoked:
		return fmt.Sprintf("your key was revoked: nobody sends to %s any more", e.Name)
	case e.Ended:
		return fmt.Sprintf("%s has ended your name %s: you cannot log in under it, and those who know your key keep it", e.Name.Domain(), e.Name)
	}
	if e.Shown.IsZero() {
		return fmt.Sprintf("entry %d of the key log of %s is for your name %s, and this program did not make it: your objection to whatever other key is shown there %s", e.Entry, e.Name.Domain(), e.Name, e.handed())
	}
	return fmt.Sprintf("your home shows another key (%s) than yours (%s) under your name %s: it, or whoever has its key, can pass for you with people who do not know you yet; those who do get told",
		brief(e.Shown, 2), brief(e.Key, 1), e.Name)
}

// handed says how far the objection has come, by what was confirmed.
func (e *OwnKeyError) handed() string {
	if e.Handed == "" {
		return "was not taken by any server yet; it is tried again while you are connected"
	}
	return "was handed to " + e.Handed
}

// watch looks at what our home shows as our card, on each link and from time to time on one. That it
// cannot be had is no error.
func (a *Agent) watch(ctx context.Context) error {
	var last watched
	err := a.vault.View(func(tx *vault.Tx) (err error) {
		last, _, err = load[watched](tx, keyWatched)
		return err
	})
	if now := a.now(); err != nil || a.watched == a.client && now.Sub(last.At).Abs() < watchEvery {
		return err
	}
	a.watched = a.client
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	found, err := a.client.Lookup(ctx, a.self.name)
	var refused *session.Error
	if errors.As(err, &refused) {
		return a.unseen() // there is no card, or nobody to ask now
	}
	if err != nil {
		return err
	}
	return a.watching(found.Card)
}

// watching notes what a card of our own name says. Only what our home has signed counts.
func (a *Agent) watching(raw []byte) error {
	card, err := pki.ParseCard(raw)
	if err != nil || card.Name() != a.self.name {
		return a.unseen()
	}
	seen := watched{At: a.now()}
	return a.vault.Update(func(tx *vault.Tx) error {
		s, err := a.judged(tx, a.home())
		if err != nil {
			return err
		}
		signed, err := signed(s, card.Issuer(), func(ca pki.CACert) (pki.SignedCard, error) { return ca.VerifyCard(raw, a.now()) })
		if err != nil {
			return a.noteUnseen(tx)
		}
		if key := signed.Certificate.Key(); key != a.self.public {
			seen.Shown = key.Fingerprint()
		}
		return errors.Join(a.noteShownCard(tx, raw), save(tx, keyWatched, seen))
	})
}

// unseen notes that nothing was seen now. What was seen before stays so.
func (a *Agent) unseen() error {
	return a.vault.Update(a.noteUnseen)
}

func (a *Agent) noteUnseen(tx *vault.Tx) error {
	last, _, err := load[watched](tx, keyWatched)
	last.At = a.now()
	return errors.Join(err, save(tx, keyWatched, last))
}

// Own returns what is wrong with her own name or key, as far as this folder knows; nil if
// nothing is.
func (a *Agent) Own() (wrong *OwnKeyError, err error) {
	own := a.self.public.Fingerprint()
	e := OwnKeyError{Name: a.self.name, Key: own}
	err = a.vault.View(func(tx *vault.Tx) error {
		seen, _, err := load[watched](tx, keyWatched)
		e.Shown = seen.Shown
		s, _, failed := load[scanned](tx, keyScanned)
		err = errors.Join(err, failed)
		if one := s.sure(); one != nil {
			e.Entry = one.Number + 1
		}
		o, _, failed := a.objectionIn(tx)
		err = errors.Join(err, failed)
		if e.Handed = pki.JoinDomains(o.At, ", "); e.Handed == "" {
			e.Handed = pki.JoinDomains(o.Older, ", ") // who still have the one before
		}
		e.Revoked = has(tx, prefixRevoked+own.String())
		e.Ended = has(tx, prefixEnded+a.self.name.String()+"/"+own.String())
		return err
	})
	if err != nil || e.Shown.IsZero() && !e.Revoked && !e.Ended && e.Entry == 0 {
		return nil, err
	}
	return &e, nil
}

// warnOfOwn keeps what is wrong with our own name for Warnings, if that is not what it was when we
// looked last.
func (a *Agent) warnOfOwn() error {
	wrong, err := a.Own()
	if err != nil {
		return err
	}
	now := OwnKeyError{}
	if wrong != nil {
		now = *wrong
	}
	same := now
	if now.Handed != "" && a.wrong.Handed != "" { // that still more servers have it is no news
		same.Handed = a.wrong.Handed
	}
	if wrong != nil && same != a.wrong {
		a.warning[a.self.name.String()] = wrong
	}
	a.wrong = now
	return nil
}

// attend does from time to time what somebody who stays connected has to: read what is said of
// keys, and look at our own. A home that does not tell is no reason to do nothing else.
func (a *Agent) attend(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	err := a.refreshDirectory(asked, directoryAge)
	if err == nil {
		err = a.watch(asked)
	}
	if err == nil {
		err = a.scan(asked)
	}
	if err == nil {
		err = a.press(asked)
	}
	if ca, failed := a.authority(a.home()); err == nil && failed == nil && a.self.linked() {
		err = a.recard(asked, ca)
	}
	if err != nil {
		a.cfg.Log.Debug("hearing of keys", "err", err)
	}
	return a.warnOfOwn()
}
