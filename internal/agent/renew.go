package agent

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// What runs out is renewed between two points of its life, at one that is drawn for it alone. So the
// users of a home do not come all at once, and who sees one of them come learns nothing of when she
// began. It is as RFC 9773 section 4.2 has it of those who renew certificates ("a uniform random time
// within the suggested window"); but it is drawn from the root, so that every program on a folder,
// today and tomorrow, draws the same.
//
//	certificate   1/2 to 5/6 of its life: of 30 days the 15th to the 25th
//	card          1/6 to 1/3 of its life, for it has to outlive a home by weeks: the 5th to the 10th day
//
// The last sixth of a certificate is left for homes that do not answer. She is warned in it.
const (
	labelRenewal  = "p3do renewal v1"
	firstRetry    = time.Hour      // before a home that did not renew a certificate is asked again,
	longestRetry  = 24 * time.Hour // and twice as long each time, up to this
	retryDoubling = 5              // is how often that is
)

// A renewal is how asking for a fresh certificate went while the one before was good. Who is asked
// too often by her home's own doing (certificates of an hour) asks once in firstRetry at most.
type renewal struct {
	Tried  time.Time `json:"tried"`
	Failed int       `json:"failed"` // times in a row
}

// again is when to ask again.
func (r renewal) again() time.Time {
	return r.Tried.Add(min(firstRetry<<min(max(r.Failed-1, 0), retryDoubling), longestRetry))
}

// drawn is a time from least to most after from. It is always the same for the same thing.
func (s self) drawn(of []byte, from time.Time, least, most time.Duration) (time.Time, error) {
	sum := sha256.Sum256(of)
	raw, err := s.root.expand(labelRenewal+string(sum[:]), 8)
	if err != nil {
		return time.Time{}, err
	}
	part, _ := bits.Mul64(uint64(most-least), binary.BigEndian.Uint64(raw))
	return from.Add(least + time.Duration(part)), nil
}

// A term is from when to when a certificate is good.
type term struct{ from, until time.Time }

// termOf reads a certificate of ours; false if it is none.
func termOf(certificate []byte) (term, bool) {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return term{}, false
	}
	return term{leaf.NotBefore, leaf.NotAfter}, leaf.NotAfter.After(leaf.NotBefore)
}

// late is when the last sixth begins.
func (t term) late() time.Time { return t.until.Add(-t.until.Sub(t.from) / 6) }

// renews is when a certificate is to be renewed.
func (s self) renews(certificate []byte) (time.Time, error) {
	t, ok := termOf(certificate)
	if !ok {
		return time.Time{}, nil
	}
	life := t.until.Sub(t.from)
	return s.drawn(certificate, t.from, life/2, life*5/6)
}

// recards is when a card with that certificate, published then, is to be published anew.
func (s self) recards(certificate []byte, published time.Time) (time.Time, error) {
	of := binary.BigEndian.AppendUint64(slices.Clone(certificate), uint64(published.UnixNano()))
	return s.drawn(of, published, pki.CardLifetime/6, pki.CardLifetime/3)
}

// renewing tells whether it is time to ask the home for a fresh certificate.
func (a *Agent) renewing(id identity) (bool, error) {
	at, err := a.self.renews(id.Certificate)
	if err != nil || a.now().Before(at) {
		return false, err
	}
	var r renewal
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		r, _, err = load[renewal](tx, keyRenewal)
		return err
	})
	return !a.now().Before(r.again()) || a.now().Before(r.Tried), err // whose clock was put back asks
}

// renew asks the home for a certificate in place of one that is still good, and keeps it. That it
// does not give one is noted, and no error.
func (a *Agent) renew(ctx context.Context, id identity, ca pki.CACert, known pki.UserCert) (pki.UserCert, error) {
	fresh, refused := a.register(ctx, id.Name, ca)
	err := a.vault.Update(func(tx *vault.Tx) error {
		r, _, err := load[renewal](tx, keyRenewal)
		r.Tried, r.Failed = a.now(), r.Failed+1
		if refused == nil {
			r.Failed = 0
			err = errors.Join(err, keepCertificate(tx, fresh))
		}
		return errors.Join(err, save(tx, keyRenewal, r))
	})
	if refused != nil {
		a.cfg.Log.Debug("renewing the certificate", "err", refused)
		return known, err
	}
	return fresh, err
}

func keepCertificate(tx *vault.Tx, fresh pki.UserCert) error {
	id, _, err := load[identity](tx, keyIdentity)
	if err != nil || id.Name != fresh.Name() { // we have moved
		return err
	}
	id.Certificate = fresh.DER()
	return save(tx, keyIdentity, id)
}

// aged tells whether there is something to be renewed at the home, to which the link leads.
func (a *Agent) aged() (bool, error) {
	id, _, err := a.identity()
	t, ok := termOf(id.Certificate)
	if err != nil || a.abroad() || !ok || a.self.linked() {
		return false, err
	}
	if due, err := a.renewing(id); due || err != nil {
		return due, err
	}
	card, err := a.self.recards(id.Carded, id.Published)
	return !a.now().Before(card) && a.now().Before(t.until), err
}

// An ExpiryError says that the user's certificate runs out soon, since her home did not renew it.
type ExpiryError struct {
	Home     pki.Domain
	Expires  time.Time
	DaysLeft int
}

func (e *ExpiryError) Error() string {
	return fmt.Sprintf("%s vouches for you until %s only (%s), and has not renewed that: it is asked again whenever you are connected to it; if it is gone for good, take your key to another server (p3do new NAME --move)",
		e.Home, e.Expires.Format(time.DateOnly), Days(e.DaysLeft))
}

// Days is so many days as people say it.
func Days(left int) string {
	switch {
	case left <= 0:
		return "less than a day left"
	case left == 1:
		return "1 day left"
	}
	return fmt.Sprintf("%d days left", left)
}

// daysLeft is how many whole days there are until then.
func daysLeft(until, now time.Time) int { return int(max(0, until.Sub(now)) / (24 * time.Hour)) }

// Ending is what there is to warn of when the certificate runs out soon; nil if it does not.
func (a *Agent) Ending() (*ExpiryError, error) {
	id, _, err := a.identity()
	t, ok := termOf(id.Certificate)
	if now := a.now(); err != nil || !ok || now.Before(t.late()) || !now.Before(t.until) {
		return nil, err
	}
	return &ExpiryError{id.Name.Domain(), t.until, daysLeft(t.until, a.now())}, nil
}

// warnOfEnd keeps for Warnings that the certificate runs out soon, once for each day.
func (a *Agent) warnOfEnd() {
	ending, err := a.Ending()
	if err != nil || ending == nil || a.ending == *ending {
		return
	}
	a.ending = *ending
	a.warning["certificate"] = ending
}
