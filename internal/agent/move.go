package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Who leaves a home stays who she is. Her keys, her mailboxes' addresses and what she gave her
// contacts follow from her root, and are the same under the new name; other is where her letters
// wait, and who certifies her. So a move is one transaction: before it she has the old name and
// nothing has happened but that the new home knows her key, after it she has the new one, and what
// is left to do is done whenever she is connected: her card is published, the move handed in, and
// what still comes to the old home fetched there, as at any node that was her entry.
const (
	// maxLeft is how many names that she left are remembered: what was sealed to them is opened.
	maxLeft = 4
	// tellTime is how long handing in a move at others than the new home may take.
	tellTime = 30 * time.Second
	// tellEvery is how long others than the new home are left alone if not enough took it, and tellFor how
	// long that goes on.
	tellEvery = 10 * time.Minute
	tellFor   = 30 * 24 * time.Hour
)

// A SameNameError says that a folder has that name already.
type SameNameError struct{ Name pki.Name }

func (e *SameNameError) Error() string { return fmt.Sprintf("you are %s already", e.Name) }

// A leaving is a move of ours that was not handed in at enough nodes yet.
type leaving struct {
	At    []pki.Domain `json:"at"`             // where it was
	Tried time.Time    `json:"tried,omitzero"` // when others were last asked to take it
}

// A Departure says what became of a move.
type Departure struct {
	From pki.Name     `json:"moved_from"`
	At   []pki.Domain `json:"told"` // the nodes that it was handed in at
}

// Move gives the identity in a folder another name, at whichever home, in place of the one that it
// has; neither the old home nor anybody but the new one is needed for it. Killed at any time, it goes
// on when it is called again. Errors: ErrNoIdentity, ErrNoHome if there is no name to leave, a
// *SameNameError, and those of New. Until the new home has registered the name, and with all errors
// before that, nothing has changed.
func Move(ctx context.Context, cfg Config, name pki.Name) (*Agent, Departure, error) {
	if cfg.Invite != nil && cfg.Invite.Home.Domain != name.Domain() {
		return nil, Departure{}, &InvitationError{cfg.Invite.Home.Domain, name}
	}
	a, err := openFolder(cfg)
	if err != nil {
		return nil, Departure{}, err
	}
	d, err := a.move(ctx, name)
	if err != nil {
		return nil, Departure{}, errors.Join(err, a.Close())
	}
	return a, d, nil
}

// move does what Move does, in an open folder.
func (a *Agent) move(ctx context.Context, name pki.Name) (Departure, error) {
	id, ok, err := a.identity()
	if err != nil || !ok {
		return Departure{}, errors.Join(err, missing(ok))
	}
	if err := a.mayMove(id, name); err != nil {
		return Departure{}, err
	}
	if a.self, err = id.self(); err != nil {
		return Departure{}, err
	}
	if id.Name != name {
		if err := a.depart(ctx, name); err != nil {
			return Departure{}, err
		}
	}
	return a.arrive(ctx)
}

// mayMove tells why an identity cannot get that name, if it cannot. One that has it goes on, if
// something is left to do.
func (a *Agent) mayMove(id identity, name pki.Name) error {
	switch {
	case id.Linked != nil:
		return ErrDevice
	case id.Name.IsZero():
		return ErrNoHome
	case id.Name != name && id.begun():
		return &TakenError{Name: id.Name, Begun: true}
	case id.Name != name || id.begun():
		return nil
	}
	unsaid, err := a.unsaid()
	if err == nil && len(unsaid) == 0 {
		err = &SameNameError{name}
	}
	return err
}

// depart has the new home certify the name, and takes it in place of the old one.
func (a *Agent) depart(ctx context.Context, name pki.Name) error {
	if err := a.believe(); err != nil {
		return err
	}
	if err := a.meetHome(ctx, name.Domain()); err != nil {
		return err
	}
	fresh, err := a.enrol(ctx, name)
	if err != nil {
		return err
	}
	if err := a.vault.Update(func(tx *vault.Tx) error { return a.rename(tx, fresh) }); err != nil {
		return err
	}
	return a.renamed()
}

// enrol registers our key under another name, with the home of that. It may be done again.
func (a *Agent) enrol(ctx context.Context, name pki.Name) (pki.UserCert, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	ca, err := a.authority(name.Domain())
	if err != nil {
		return pki.UserCert{}, err
	}
	conn, err := a.reachEntry(ctx, name.Domain())
	if err != nil {
		return pki.UserCert{}, err
	}
	a.client = session.NewClient(conn)
	defer a.disconnect()
	fresh, err := a.register(ctx, name, ca)
	var refused *session.Error
	if err != nil && !errors.As(err, &refused) && ctx.Err() != nil {
		err = &EntryError{name.Domain(), err}
	}
	return fresh, err
}

// rename makes the name of a certificate ours, and signs that it is. From now on we are at that
// home, and the old one is a node where letters may be.
func (a *Agent) rename(tx *vault.Tx, fresh pki.UserCert) error {
	id, _, err := load[identity](tx, keyIdentity)
	if err != nil || id.Name == fresh.Name() { // another program was faster
		return err
	}
	serial, err := a.nextSerial(tx)
	if err != nil {
		return err
	}
	m, err := a.self.key.SignMove(id.Certificate, fresh.DER(), serial, a.now())
	if err != nil {
		return err
	}
	id.leave(tx, fresh.Name())
	id.Certificate, id.Published, id.Carded = fresh.DER(), time.Time{}, nil
	tx.Put(movedKey(m), m.Raw())
	return errors.Join(
		save(tx, prefixLeaving+m.From().String(), leaving{}), a.rehome(tx, m.From().Domain(), m.To().Domain()), save(tx, keyIdentity, id),
	)
}

// leave takes another name in place of the one that it has, and forgets what was of the old home.
func (id *identity) leave(tx *vault.Tx, name pki.Name) {
	left := slices.DeleteFunc(append([]pki.Name{id.Name}, id.Left...), func(n pki.Name) bool { return n == name })
	id.Left, id.Name = left[:min(len(left), maxLeft)], name
	for _, stale := range []string{keyWatched, keyFetched, keyRenewal, keyScanned} {
		tx.Delete(stale)
	}
}

// nextSerial is greater than that of every move of ours that we know of.
func (a *Agent) nextSerial(tx *vault.Tx) (uint64, error) {
	serial := uint64(max(1, a.now().UnixMilli()))
	own, err := movesOf(tx, a.self.public.Fingerprint())
	for _, m := range own {
		serial = max(serial, m.Serial+1)
	}
	return serial, err
}

// rehome makes of the old home a stop, where what still comes is fetched, and of the new one no
// stop any more; and takes that off the list of those whose word counts, where no home is.
func (a *Agent) rehome(tx *vault.Tx, old, home pki.Domain) error {
	if old == home {
		return nil
	}
	e, _, err := load[entry](tx, keyEntry)
	if err != nil {
		return err
	}
	list, _, err := load[[]listed](tx, keyList)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(l listed) bool { return l.Domain == home })
	return errors.Join(
		save(tx, keyEntry, e.rehomed(old, home, a.now())), save(tx, keyList, list),
		saveDoubts(tx, []mor.Doubt{{Relay: old, Copies: shunnedCopies, At: a.now()}}), // it may be dead
	)
}

// rehomed is e after the home has changed.
func (e entry) rehomed(old, home pki.Domain, now time.Time) entry {
	left := append([]stop{{Domain: old, Used: now}}, e.Left...)
	left = slices.DeleteFunc(left, func(s stop) bool { return s.Domain == home || !s.spool(now) })
	e.Left, e.Told = left[:min(len(left), maxEntries-1)], nil
	if e.Domain == home {
		e.stop, e.Published, e.Carded = stop{}, time.Time{}, nil
	}
	return e
}

// renamed makes the agent that of the name which the folder has: this program, or another one on
// the folder, has moved.
func (a *Agent) renamed() error {
	id, ok, err := a.identity()
	if err != nil || !ok || id.Name == a.self.name {
		return err
	}
	a.disconnect()
	a.self, err = id.self()
	a.through, a.base = pki.Domain{}, pki.Domain{}
	return err
}

// arrive does what is left to do after a move: the link to the new home, by which the card is
// published and the move handed in; handing it in at some others; fetching what waits.
func (a *Agent) arrive(ctx context.Context) (Departure, error) {
	if err := a.connectNew(ctx); err != nil {
		return Departure{}, err
	}
	unsaid, err := a.unsaid()
	if err != nil {
		return Departure{}, err
	}
	id, _, err := a.identity()
	if err != nil {
		return Departure{}, err
	}
	d := Departure{At: []pki.Domain{}}
	if len(id.Left) > 0 {
		d.From = id.Left[0]
	}
	for _, m := range unsaid {
		if d.At, err = a.spread(ctx, m); err != nil {
			return Departure{}, err
		}
	}
	if err := a.tour(ctx); err != nil { // all is done; what waits is fetched the next time
		a.cfg.Log.Debug("fetching at the old home", "err", err)
	}
	return d, nil
}

func (a *Agent) connectNew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return a.connectHome(ctx)
}

// unsaid are our moves that are still to be handed in.
func (a *Agent) unsaid() (all []pki.Move, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		own, err := movesOf(tx, a.self.public.Fingerprint())
		for _, m := range own {
			if has(tx, prefixLeaving+m.From().String()) {
				all = append(all, m)
			}
		}
		return err
	})
	return all, err
}

// announce hands in our moves at the node of this link, once. That it does not take one is no
// reason not to be there.
func (a *Agent) announce(ctx context.Context) error {
	unsaid, err := a.unsaid()
	if err != nil {
		return err
	}
	for _, m := range unsaid {
		told, err := a.heardBy(m)
		if err != nil {
			return err
		}
		if slices.Contains(told, a.where()) {
			continue
		}
		err = a.client.Move(ctx, m.Raw())
		var refused *session.Error
		switch {
		case errors.As(err, &refused):
			a.cfg.Log.Debug("handing in a move", "err", err)
		case err != nil:
			return err
		default:
			if _, err := a.tell(m, a.where()); err != nil {
				return err
			}
		}
	}
	return nil
}

// heardBy are the nodes that one of our moves was handed in at.
func (a *Agent) heardBy(m pki.Move) (at []pki.Domain, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		l, _, err := load[leaving](tx, prefixLeaving+m.From().String())
		at = l.At
		return err
	})
	return at, err
}

// tell notes that a move was handed in somewhere.
func (a *Agent) tell(m pki.Move, at pki.Domain) (all []pki.Domain, err error) {
	err = a.vault.Update(func(tx *vault.Tx) error {
		key := prefixLeaving + m.From().String()
		l, ok, err := load[leaving](tx, key)
		if err != nil || !ok {
			return err
		}
		if !slices.Contains(l.At, at) {
			l.At = append(l.At, at)
		}
		all = l.At
		return save(tx, key, l)
	})
	return all, err
}

// spread hands in a move at more nodes than the new home, which could keep it to itself as well as
// the old one. It returns who has it.
func (a *Agent) spread(ctx context.Context, m pki.Move) (at []pki.Domain, err error) {
	asked, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if at, err = a.heardBy(m); err != nil {
		return nil, err
	}
	nodes, err := a.takers(pki.Domain{})
	if err != nil {
		return nil, err
	}
	silent := false
	for _, domain := range nodes {
		if len(at) >= handedTo || asked.Err() != nil {
			break
		}
		if slices.Contains(at, domain) {
			continue
		}
		err := a.handTo(asked, domain, pki.Domain{}, func(ctx context.Context, c *session.Client) error { return c.Move(ctx, m.Raw()) })
		if err != nil {
			silent = silent || !final(err)
			a.cfg.Log.Debug("handing in a move", "err", err)
			continue
		}
		if at, err = a.tell(m, domain); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return at, ctx.Err()
	}
	return at, a.spreadTo(m, at, !silent && asked.Err() == nil)
}

// final tells whether a node that did not take a statement has said that it does not.
func final(err error) bool {
	var refused *session.Error
	return errors.As(err, &refused) && refused.Code != session.Unavailable
}

// spreadTo notes who has a move: it is told no more if these are enough, or if all who can be asked were,
// and one other than the new home has it; or if it is old. Else it is told again (retell).
func (a *Agent) spreadTo(m pki.Move, at []pki.Domain, all bool) error {
	others := slices.ContainsFunc(at, func(d pki.Domain) bool { return d != m.To().Domain() })
	return a.vault.Update(func(tx *vault.Tx) error {
		key := prefixLeaving + m.From().String()
		l, ok, err := load[leaving](tx, key)
		if err != nil || !ok {
			return err
		}
		if len(at) >= handedTo || all && others || a.now().Sub(m.Issued) > tellFor {
			tx.Delete(key)
			return nil
		}
		l.Tried = a.now()
		return save(tx, key, l)
	})
}

// retell goes on with our moves that were not told to enough others, if they were not asked just now.
func (a *Agent) retell(ctx context.Context) error {
	unsaid, err := a.unsaid()
	if err != nil {
		return err
	}
	for _, m := range unsaid {
		var l leaving
		err := a.vault.View(func(tx *vault.Tx) (err error) {
			l, _, err = load[leaving](tx, prefixLeaving+m.From().String())
			return err
		})
		if err == nil && a.now().Sub(l.Tried).Abs() >= tellEvery {
			_, err = a.spread(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
