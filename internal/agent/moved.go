package agent

import (
	"errors"
	"fmt"
	"strings"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A contact is an identity key under a name. When her key says that it has another name, she is the
// same person there: what is pinned stays pinned to the key, and the new name gets the same pin as
// soon as its home, if that is confirmed, has certified it. Nobody else can say so: not the homes,
// and not who gets her old name after her.

// maxMoved is how many moves are kept, of which at most pki.MaxMoves of one key. Those of contacts
// are always taken; of one key the newest.
const maxMoved = 4096

// A MovedError says that somebody has another name now. It stops nothing.
type MovedError struct {
	From pki.Name
	To   pki.Name
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("%s moved to %s, signed by the old identity", e.From, e.To)
}

// movedKey is where a move is kept: by its key, and by the name that it leaves.
func movedKey(m pki.Move) string {
	return prefixMoved + m.Key().Fingerprint().String() + "/" + m.From().String()
}

// movesOf are the moves of a key that are known.
func movesOf(tx *vault.Tx, key pki.Fingerprint) (all []pki.Move, err error) {
	err = tx.Range(prefixMoved+key.String()+"/", func(_ string, raw []byte) error {
		m, err := pki.ParseMove(raw)
		all = append(all, m)
		return err
	})
	return all, err
}

// steps are the moves of a key from a name to the one that it has now; none of a key that was
// revoked.
func steps(tx *vault.Tx, name pki.Name, key pki.Fingerprint) ([]pki.Move, error) {
	if key.IsZero() || has(tx, prefixRevoked+key.String()) {
		return nil, nil
	}
	all, err := movesOf(tx, key)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return pki.Follow(name, all[0].Key(), all), nil
}

// pinnedAs is the key that is pinned for a name; zero if none is.
func pinnedAs(tx *vault.Tx, name pki.Name) (c contact, key pki.Fingerprint, err error) {
	c, ok, err := load[contact](tx, prefixContact+name.String())
	if err == nil && ok && c.Trust > pki.Untrusted {
		key = c.Identity
	}
	return c, key, err
}

// currently is the name that somebody has now, by the key that is pinned for the name, or else is
// shown for it; and that key.
func (a *Agent) currently(name pki.Name, shown pki.Fingerprint) (now pki.Name, key pki.Fingerprint, err error) {
	now = name
	err = a.vault.View(func(tx *vault.Tx) error {
		if _, key, err = pinnedAs(tx, name); err != nil {
			return err
		}
		if key.IsZero() {
			key = shown
		}
		path, err := steps(tx, name, key)
		if len(path) > 0 {
			now = path[len(path)-1].To()
		}
		return err
	})
	return now, key, err
}

// keepMove takes in that somebody has another name. That a contact has moved is her key's to say;
// of others both homes must have certified what they are said to.
func (a *Agent) keepMove(tx *vault.Tx, raw []byte) error {
	m, err := pki.ParseMove(raw)
	if err != nil {
		return nil
	}
	at := movedKey(m)
	if before, ok := tx.Get(at); ok {
		if known, err := pki.ParseMove(before); err != nil || known.Serial >= m.Serial {
			return err
		}
	}
	c, pinned, err := pinnedAs(tx, m.From())
	if err != nil {
		return err
	}
	ours := pinned == m.Key().Fingerprint() && c.Chosen // not a stranger who wrote to us
	if !ours && m.Key() != a.self.public {
		if ok, err := a.mayKeepMove(tx, m); err != nil || !ok {
			return err
		}
	}
	if room, err := roomForMove(tx, m); err != nil || !room {
		return err
	}
	tx.Put(at, raw)
	if ours {
		return a.unsettle(tx, m)
	}
	return nil
}

// mayKeepMove tells whether the move of somebody whom we do not know holds, and there is room.
func (a *Agent) mayKeepMove(tx *vault.Tx, m pki.Move) (bool, error) {
	if !has(tx, movedKey(m)) {
		if n, err := count(tx, prefixMoved); err != nil || n >= maxMoved {
			return false, err
		}
	}
	from, err := a.knownOf(tx, m.From().Domain())
	if err != nil {
		return false, err
	}
	to, err := a.knownOf(tx, m.To().Domain())
	return err == nil && m.Check(from, to) == nil, err
}

// roomForMove makes room among the moves of one key: the oldest goes.
func roomForMove(tx *vault.Tx, m pki.Move) (bool, error) {
	all, err := movesOf(tx, m.Key().Fingerprint())
	if err != nil || len(all) < pki.MaxMoves || has(tx, movedKey(m)) {
		return err == nil, err
	}
	oldest := m
	for _, known := range all {
		if known.Serial < oldest.Serial {
			oldest = known
		}
	}
	if oldest.Serial == m.Serial {
		return false, nil
	}
	tx.Delete(movedKey(oldest))
	return true, nil
}

// unsettle notes that the new name of a contact is to get her pin.
func (a *Agent) unsettle(tx *vault.Tx, m pki.Move) error {
	return save(tx, prefixSettle+strings.TrimPrefix(movedKey(m), prefixMoved), m.To())
}

// settleMoves gives the new names of contacts their pins, where the homes of those are confirmed by now.
func (a *Agent) settleMoves(tx *vault.Tx) error {
	var open []string
	err := each(tx, prefixSettle, func(key string, to pki.Name) error {
		_, pinned, err := loadPin(tx, to.Domain())
		if pinned {
			open = append(open, key)
		}
		return err
	})
	for _, key := range open {
		err = errors.Join(err, a.settleOne(tx, key))
	}
	return err
}

// settleOne settles the move at a key, if its new home has certified it.
func (a *Agent) settleOne(tx *vault.Tx, key string) error {
	raw, ok := tx.Get(prefixMoved + key)
	if !ok { // it was one of too many
		tx.Delete(prefixSettle + key)
		return nil
	}
	m, err := pki.ParseMove(raw)
	if err != nil {
		return err
	}
	known, err := a.knownOf(tx, m.To().Domain())
	if err != nil || m.CheckTo(known) != nil {
		return err
	}
	tx.Delete(prefixSettle + key)
	return a.alias(tx, m)
}

// alias makes a contact one under her new name, too. A name that is pinned to another key stays so.
func (a *Agent) alias(tx *vault.Tx, m pki.Move) error {
	old, key, err := pinnedAs(tx, m.From())
	if err != nil || key != m.Key().Fingerprint() || has(tx, prefixRevoked+key.String()) {
		return err
	}
	c, there, err := pinnedAs(tx, m.To())
	if err != nil || !there.IsZero() && there != key {
		return err
	}
	if there.IsZero() {
		c = old.under(m)
	}
	c.Was, c.Trust, c.Chosen = m.From(), max(c.Trust, old.Trust), c.Chosen || old.Chosen
	if err := c.settled(tx, m.To()); err != nil {
		return err
	}
	path, err := steps(tx, m.To(), key)
	switch {
	case err != nil:
		return err
	case len(path) > 0: // and from there on
		return a.unsettle(tx, path[0])
	}
	return a.redirect(tx, key, m.To())
}

// under is a contact as she is met under her new name: nothing but that has changed, and where her
// letters wait, if she has not said more since.
func (c contact) under(m pki.Move) contact {
	c.Was, c.Told = m.From(), pki.Name{}
	if !c.Stated.After(m.Issued) {
		c.Spools = []pki.Domain{m.To().Domain()}
	}
	return c
}

// redirect sends what is on its way to a key to the home that it has now: the mailboxes are the same
// there.
func (a *Agent) redirect(tx *vault.Tx, key pki.Fingerprint, to pki.Name) error {
	return each(tx, prefixOutbox, func(id string, r outgoing) error {
		if r.Identity != key || len(r.Spools) > 0 && r.Spools[0] == to.Domain() {
			return nil
		}
		r.Spools, r.Next = []pki.Domain{to.Domain()}, a.now()
		return save(tx, prefixOutbox+id, r)
	})
}

// inherited is what a contact becomes who is met under another name now, by her key; false if she is
// met for the first time.
func inherited(tx *vault.Tx, name pki.Name, key pki.Fingerprint) (c contact, ok bool, err error) {
	all, err := movesOf(tx, key)
	if err != nil || has(tx, prefixRevoked+key.String()) {
		return c, false, err
	}
	var last pki.Move
	for _, m := range all {
		old, pinned, err := pinnedAs(tx, m.From())
		if err != nil {
			return c, false, err
		}
		if m.To() == name && pinned == key && m.Serial > last.Serial {
			c, ok, last = old.under(m), true, m
		}
	}
	return c, ok, nil
}

// newsOf is what she is to be told who writes to somebody under an old name, once; nil if nothing.
// The home that somebody has left may be dead, like that of a writer who is elsewhere (doubtHome).
func (a *Agent) newsOf(tx *vault.Tx, from, to pki.Name) (*MovedError, error) {
	if from == to {
		return nil, nil
	}
	c, ok, err := load[contact](tx, prefixContact+from.String())
	if err != nil || ok && c.Told == to {
		return nil, err
	}
	if c.Told = to; ok {
		err = save(tx, prefixContact+from.String(), c)
	}
	if from.Domain() != to.Domain() {
		err = errors.Join(err, saveDoubts(tx, []mor.Doubt{{Relay: from.Domain(), Copies: shunnedCopies, At: a.now()}}))
	}
	return &MovedError{from, to}, err
}

var errNotSame = errors.New("the name that they moved to is somebody else's there")

// sameKey is why somebody is not whom we look for under her new name; nil if she is.
func sameKey(c correspondent, key pki.Fingerprint) error {
	if c.id == key {
		return nil
	}
	return errors.Join(errNotSame, pki.CheckPin(key, c.id, c.name.String()))
}
