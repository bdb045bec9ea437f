package agent

import (
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// believe takes in what an invitation says, before anybody else says something: the key of the
// home, and whose word counts. What is known by a home that has registered us stays, and is held
// against it; before that, another invitation takes the place of one that led nowhere.
func (a *Agent) believe() error {
	i := a.cfg.Invite
	if i == nil {
		return nil
	}
	others := make([]listed, len(i.Others))
	for n, other := range i.Others {
		others[n] = listed{other.Domain, other.Key}
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		if err != nil {
			return err
		}
		known, pinned, err := loadPin(tx, i.Home.Domain)
		switch {
		case err != nil:
			return err
		case pinned && len(id.Certificate) > 0:
			err = pki.CheckPin(known.Key, i.Home.Key, i.Home.Domain.String())
		case len(id.Certificate) > 0: // by another home: whose word counts, she knows
			err = a.rely(tx, i.Home.Domain, i.Home.Key)
		default:
			tx.Delete(keyList)
			tx.Delete(keySeeded)
			tx.Delete(keySeeding)
			err = a.rely(tx, i.Home.Domain, i.Home.Key)
		}
		if err == nil {
			_, err = a.enlist(tx, maxList, others...)
		}
		return err
	})
}

// rely pins the key of a home by an invitation, and forgets by what it was known before.
func (a *Agent) rely(tx *vault.Tx, home pki.Domain, key pki.Fingerprint) error {
	if d, ok, err := a.serverOf(tx, home); err != nil {
		return err
	} else if ok && d.CA.Fingerprint() != key {
		tx.Delete(prefixServer + home.String())
	}
	tx.Delete(prefixShown + home.String())
	return savePin(tx, home, pin{Key: key, Trust: pki.Verified, Since: a.now()})
}
