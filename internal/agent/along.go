package agent

import (
	"context"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// When the main folder moves to another home, its devices follow: the move, which the identity key
// has signed, comes to them as to everybody, and the card under the new name, which the same key has
// signed, lists them and is certified by the new home. Without both a device stays where it is.

// goAlong takes the name that our key has gone on to, if our card under that can be had now. On the
// main folder, which moves by itself, it does nothing.
func (a *Agent) goAlong(ctx context.Context) (followed bool, err error) {
	if !a.self.linked() {
		return false, nil
	}
	name, _, err := a.currently(a.self.name, a.self.public.Fingerprint())
	if err != nil || name == a.self.name {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	found, err := a.client.Lookup(ctx, name)
	var refused *session.Error
	if errors.As(err, &refused) {
		return false, nil // it can be had later
	}
	if err != nil {
		return false, a.homeError(err)
	}
	card, err := a.cardThere(ctx, name, found.Card)
	if err != nil {
		a.cfg.Log.Debug("following to another home", "err", err)
		return false, nil
	}
	if err := a.vault.Update(func(tx *vault.Tx) error { return a.followTo(tx, card) }); err != nil {
		return false, err
	}
	return true, a.renamed()
}

// cardThere is our card under another name, certified by the home of that, which is pinned then as
// the main folder has it pinned: at first sight, unless others vouch for another key.
func (a *Agent) cardThere(ctx context.Context, name pki.Name, raw []byte) (card pki.SignedCard, err error) {
	if _, err := a.knownStanding(ctx, name.Domain(), time.Second); err != nil {
		return card, err
	}
	ca, err := a.authority(name.Domain())
	if err != nil {
		return card, err
	}
	card, err = ca.VerifyCard(raw, a.now())
	if err != nil {
		return card, err
	}
	if card.Certificate.Key() != a.self.public || card.Certificate.Name() != name || !card.Lists(a.self.device.Public()) {
		return card, errors.New("agent: it is no card of ours that lists this device")
	}
	d, ok, err := a.descriptor(name.Domain())
	if err == nil && ok {
		err = a.keepHome(d)
	}
	return card, err
}

// followTo makes the name and the home of a card ours.
func (a *Agent) followTo(tx *vault.Tx, card pki.SignedCard) error {
	id, _, err := load[identity](tx, keyIdentity)
	name := card.Certificate.Name()
	if err != nil || id.Name == name { // another program was faster
		return err
	}
	known, err := id.Linked.card()
	if err != nil {
		return err
	}
	old := id.Name.Domain()
	id.leave(tx, name)
	return errors.Join(id.turn(known, card), a.rehome(tx, old, name.Domain()), save(tx, keyIdentity, id))
}
