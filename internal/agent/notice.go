package agent

import (
	"errors"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A notice is that somebody whom we know has ended her key, or has another one now. It is noted together with that, whichever
// program hears of it, and stays until one has told the user: by Warnings, or by Config.Tell when it
// closes the folder. Who is told by a program that is killed right then is told again. There is at
// most one for each contact.
type notice struct {
	Name pki.Name        `json:"name"`
	Key  pki.Fingerprint `json:"key"`
	At   time.Time       `json:"at"`           // when we heard of it
	Now  pki.Fingerprint `json:"now,omitzero"` // the key that took the place of Key; zero: that was ended
}

func (n notice) err() error {
	if !n.Now.IsZero() {
		return &SupersededError{Name: n.Name, Was: n.Key, Now: n.Now}
	}
	return &TrustError{Name: n.Name, Subject: n.Name.String(), Pinned: n.Key, Verdict: pki.Verdict{Row: pki.RowRevoked}}
}

// note keeps a notice until it is told.
func (a *Agent) note(tx *vault.Tx, n notice) error {
	return save(tx, prefixNotice+n.Name.String(), n)
}

// notices are those that were not told, in the order of their names. They are taken for told from
// now on, for good when forgetTold is called.
func (a *Agent) notices() (all []error, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixNotice, func(name string, n notice) error {
			if !slices.Contains(a.told, n) {
				all, a.told = append(all, n.err()), append(a.told, n)
			}
			return nil
		})
	})
	return all, err
}

// forgetTold forgets the notices that were told.
func (a *Agent) forgetTold() error {
	if len(a.told) == 0 {
		return nil
	}
	err := a.vault.Update(func(tx *vault.Tx) error {
		for _, n := range a.told {
			known, ok, err := load[notice](tx, prefixNotice+n.Name.String())
			if err != nil {
				return err
			}
			if ok && known == n {
				tx.Delete(prefixNotice + n.Name.String())
			}
		}
		return nil
	})
	if err == nil {
		a.told = nil
	}
	return err
}

// tellRest tells what nobody asked for, and forgets what was told.
func (a *Agent) tellRest() error {
	if a.cfg.Tell == nil {
		return a.forgetTold()
	}
	all, err := a.notices()
	for _, n := range all {
		a.cfg.Tell(n)
	}
	return errors.Join(err, a.forgetTold())
}
