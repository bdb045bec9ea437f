package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// vouched finds out who wrote a message: by the authorities of her home, whatever else that
// shows now. How she stands is told when the message is shown.
func (a *Agent) vouched(ctx context.Context, m message.Content) (pki.UserCert, error) {
	s, err := a.knownStanding(ctx, m.Name.Domain(), directoryStale)
	if err != nil {
		return pki.UserCert{}, err
	}
	identity, authority, err := m.Claimed()
	if err != nil {
		return pki.UserCert{}, &unvouchedError{error: err}
	}
	certificate, err := signed(s, authority, func(ca pki.CACert) (pki.UserCert, error) { return m.Vouched(ca, a.now()) })
	switch {
	case errors.Is(err, errAuthority):
		return certificate, a.unvouched(ctx, m, s, identity.Fingerprint(), authority)
	case errors.Is(err, pki.ErrTime):
		return a.vouchedThen(m, s, authority, err)
	case err != nil:
		return certificate, &unvouchedError{error: err}
	}
	return certificate, nil
}

// vouchedThen judges a message whose certificate is not valid now by the time at which the
// message was written: a certificate may end while a letter waits. That time is the writer's
// word, and who has a key that was once certified can date a letter back, so only the key
// that is pinned for the name is believed. Of another one the letter is held back.
func (a *Agent) vouchedThen(m message.Content, s standing, authority pki.Fingerprint, why error) (pki.UserCert, error) {
	now := a.now()
	if now.Sub(m.At) > longestWait {
		return pki.UserCert{}, &unvouchedError{error: why}
	}
	certificate, err := signed(s, authority, func(ca pki.CACert) (pki.UserCert, error) { return m.Vouched(ca, m.At) })
	if err != nil {
		return pki.UserCert{}, &unvouchedError{error: why}
	}
	known, err := a.pinned(m.Name, certificate.Key().Fingerprint())
	switch {
	case err != nil:
		return pki.UserCert{}, err
	case !known || m.At.After(now):
		return pki.UserCert{}, &unvouchedError{error: why, open: true}
	}
	return certificate, nil
}

// unvouched finds out what it means that none of the authorities of a writer's home has signed
// her certificate. Anybody can make one that names another authority, so that alone says nothing.
// If the keys in it are those that we have pinned for her, she wrote it, and says that her home
// has another key: a *CertifiedError. It has if the directory shows one by now.
func (a *Agent) unvouched(ctx context.Context, m message.Content, s standing, identity, authority pki.Fingerprint) error {
	known, err := a.pinned(m.Name, identity)
	if err != nil {
		return err
	}
	if known {
		changed := &pki.KeyChangedError{Subject: m.Name.Domain().String(), Pinned: s.key(), Shown: authority}
		return &CertifiedError{Name: m.Name, Changed: changed}
	}
	if wrong, err := a.forged(m.Name, authority, m.Certificate); err != nil {
		return err
	} else if wrong != nil {
		return wrong
	}
	if err := a.refreshDirectory(ctx, directoryAge); err != nil {
		return a.homeError(err)
	}
	if s, err = a.standing(m.Name.Domain()); err != nil {
		return err
	}
	if s.held() {
		return s.err()
	}
	return &unvouchedError{error: errAuthority, open: true}
}

// pinned tells whether that identity key is pinned for the name.
func (a *Agent) pinned(name pki.Name, identity pki.Fingerprint) (yes bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		c, ok, err := load[contact](tx, prefixContact+name.String())
		yes = ok && c.Identity == identity && c.Trust > pki.Untrusted
		return err
	})
	return yes, err
}

// An unvouchedError says that a message is not by whom it says, or not any more.
type unvouchedError struct {
	error
	open bool // we may learn something yet by which it is
}

func (e *unvouchedError) Unwrap() error { return e.error }

// held decides about a message that cannot be taken in for the reason err: it is left at
// the home for some days if that may change and there is room (hold), and dropped otherwise.
// Only another key than the known one is told of; what may be anybody's invention is counted.
func (a *Agent) held(item session.Item, m message.Content, err error) (drop bool, _ error) {
	var (
		changed   *pki.KeyChangedError
		certified *CertifiedError
		unknown   *NoServerError
		unvouched *unvouchedError
		misissued *MisissuedError
	)
	open := true
	switch {
	case errors.As(err, &certified):
		a.trouble["a letter of "+certified.Name.String()] = certified
	case errors.As(err, &misissued): // another domain's word, and no invention
		a.trouble["a letter by "+misissued.By.String()] = misissued
		open = false
	case errors.As(err, &changed):
		a.trouble[changed.Subject] = changed
	case errors.As(err, &unvouched):
		a.counts.Unknown++
		open = unvouched.open
	case errors.As(err, &unknown):
		a.counts.Unknown++
	default:
		return false, err
	}
	by, err := a.author(m)
	if err != nil {
		return false, err
	}
	err = a.vault.Update(func(tx *vault.Tx) (err error) {
		if drop = true; !open || m.At.Sub(a.now()) > mostAhead {
			release(tx, item)
			return nil
		}
		drop, err = a.hold(tx, item, by)
		return err
	})
	return drop, err
}

// author is the contact of our choice whose pinned key wrote m; none if it is another one.
func (a *Agent) author(m message.Content) (string, error) {
	identity, _, err := m.Claimed()
	if err != nil {
		return "", nil // anybody's
	}
	by := ""
	err = a.vault.View(func(tx *vault.Tx) error {
		c, _, err := load[contact](tx, prefixContact+m.Name.String())
		if c.Identity == identity.Fingerprint() {
			by = c.author(m.Name)
		}
		return err
	})
	return by, err
}

// hold notes that an item is left at the home, and since when. by is the contact whose pinned
// key wrote it, or the domain of a stranger, or empty. drop is true if that was too long ago, or too many are left there:
// then the item goes, and nothing is noted of it any more.
func (a *Agent) hold(tx *vault.Tx, item session.Item, by string) (drop bool, err error) {
	key, now := heldKey(item), a.now()
	h, again, err := load[heldItem](tx, key)
	switch {
	case err != nil:
		return false, err
	case again && now.Sub(h.Since) > holdFor:
		tx.Delete(key)
		return true, nil
	case again:
		return false, nil
	}
	all, same, unknown, err := countHeld(tx, by, now)
	if err != nil {
		return false, err
	}
	if all >= maxHeld || same >= heldShare(by) || nobodys(by) && unknown >= maxHeldUnknown {
		a.counts.Crowded++
		return true, nil
	}
	return false, save(tx, key, heldItem{By: by, Since: now})
}

// heldShare is how many items by one author are left at the home.
func heldShare(by string) int {
	switch {
	case by == "":
		return maxHeldUnknown
	case nobodys(by):
		return maxHeldUnknown / domainShare
	}
	return maxHeldContact
}

// nobodys tells whether an author is no contact of ours.
func nobodys(by string) bool { return by == "" || by[0] == '@' }

// countHeld counts what is left at the home, what of it is by one author, and what by all who are no
// contacts. What the home has dropped itself by now is noted no longer.
func countHeld(tx *vault.Tx, by string, now time.Time) (all, same, unknown int, err error) {
	err = each(tx, prefixHeld, func(id string, h heldItem) error {
		switch {
		case now.Sub(h.Since).Abs() > longestWait:
			tx.Delete(prefixHeld + id)
			return nil
		case h.By == by:
			same++
		}
		if nobodys(h.By) {
			unknown++
		}
		all++
		return nil
	})
	return all, same, unknown, err
}

// release notes that an item is not held any more.
func release(tx *vault.Tx, item session.Item) {
	if key := heldKey(item); has(tx, key) {
		tx.Delete(key)
	}
}

func has(tx *vault.Tx, key string) bool { _, ok := tx.Get(key); return ok }

// heldKey is where it is noted that an item is held: the number of an item is the home's word.
func heldKey(item session.Item) string {
	return fmt.Sprintf("%s%x", prefixHeld, sha256.Sum256(item.Body))
}
