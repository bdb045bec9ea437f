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
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Way is what a user may say about the way of a message.
type Way struct {
	Hops int          // relays, mor.MinHops to mor.MaxHops; 0: mor.DefaultHops
	Via  []pki.Domain // the relays themselves, in order; empty: chosen anew for each copy
}

func (w Way) hops() int {
	if w.Hops == 0 {
		return max(mor.DefaultHops, len(w.Via))
	}
	return w.Hops
}

// Plan returns a way that a message could take, and sends nothing to its recipient. Errors
// are those of Send.
func (a *Agent) Plan(ctx context.Context, to pki.Name, w Way) (route mor.Route, err error) {
	if err := a.Connect(ctx); err != nil {
		return nil, err
	}
	c, err := a.correspondent(ctx, to)
	if err != nil {
		return nil, err
	}
	err = a.withRoutes(ctx, func() error {
		return a.vault.View(func(tx *vault.Tx) error {
			servers, err := a.servers(tx)
			if err != nil {
				return err
			}
			s, err := a.sender(tx)
			if err != nil {
				return err
			}
			s.SetServers(servers)
			route, err = s.Plan(a.now(), c.address, w.hops(), w.Via)
			return err
		})
	})
	return route, err
}

// Send puts a text for somebody into the outbox, durably, and hands its first copy to the
// home. What becomes of it Status tells and Wait waits for. Errors, with which nothing is
// sent and nothing kept: a *message.TooLongError, a *NoUserError, a *CardError, a
// *pki.KeyChangedError, a *mor.RouteError, a *HomeError, a *session.Error.
func (a *Agent) Send(ctx context.Context, to pki.Name, text string, w Way) (Status, error) {
	if err := a.Connect(ctx); err != nil {
		return Status{}, err
	}
	c, err := a.correspondent(ctx, to)
	if err != nil {
		return Status{}, err
	}
	var copies []mor.Submission
	err = a.withRoutes(ctx, func() error {
		return a.vault.Update(func(tx *vault.Tx) (err error) {
			copies, err = a.enqueue(tx, c, draft{kind: kindText, text: text, way: w})
			return err
		})
	})
	if err != nil {
		return Status{}, err
	}
	id := copies[0].Message
	if err := a.handIn(ctx, copies); err != nil {
		return Status{}, err
	}
	return a.Status(id)
}

// handIn claims the mailboxes into which answers will come, and hands in the first copies
// of what is durable in the outbox. What the home does not take now is tried again later,
// so only trouble with the folder is an error: of anything else Wait and Follow will tell.
func (a *Agent) handIn(ctx context.Context, copies []mor.Submission) error {
	err := a.claim(ctx)
	if err == nil {
		err = a.submit(ctx, copies)
	}
	var refused *session.Error
	if err != nil && (passing(err) || errors.As(err, &refused)) {
		a.cfg.Log.Debug("handing in a first copy", "err", err)
		return nil
	}
	return err
}

// withRoutes does something that needs a route, and does it again with a fresh directory
// if there was none.
func (a *Agent) withRoutes(ctx context.Context, do func() error) error {
	err := do()
	var lacking *mor.RouteError
	if !errors.As(err, &lacking) {
		return err
	}
	if err := a.refreshDirectory(ctx, time.Second); err != nil {
		return a.homeError(err)
	}
	return do()
}

// A correspondent is whom a message is for.
type correspondent struct {
	name    pki.Name
	id      pki.Fingerprint
	keys    message.Keys
	address mor.Address
	card    *pki.SignedCard // nil: what we know of her is from her messages
}

// correspondent finds out how to write to somebody: by her card, which the home looks up
// unless it did so a short while ago, and by the right that she gave us, if she ever wrote.
// If no card can be had now, what she wrote of herself does.
func (a *Agent) correspondent(ctx context.Context, name pki.Name) (correspondent, error) {
	if known, ok := a.looked(name); ok {
		return known, nil
	}
	card, err := a.look(ctx, name)
	if err != nil {
		return a.unlooked(name, err)
	}
	to, _, err := a.carded(name, card)
	if err != nil {
		return correspondent{}, err
	}
	return to, a.keep(name, card.Raw())
}

// keep notes that a card was looked up now; of none, that it could not be had.
func (a *Agent) keep(name pki.Name, card []byte) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		return save(tx, prefixCard+name.String(), looked{card, a.now()})
	})
}

// looked is a correspondent by the card that was looked up last, or by what she wrote of
// herself since; by that alone if the look-up came to nothing. False if it is too long ago, or
// there is any doubt about it.
func (a *Agent) looked(name pki.Name) (to correspondent, ok bool) {
	l, ok := a.lately(name)
	if ok && len(l.Card) == 0 {
		return a.known(name)
	}
	card, at, ok := a.kept(name)
	if !ok {
		return correspondent{}, false
	}
	to, c, err := a.carded(name, card)
	if newer, all := c.correspondent(name); err == nil && all && c.Stated.After(at) {
		to = newer
	}
	return to, err == nil
}

// lately is what was looked up of somebody a short while ago.
func (a *Agent) lately(name pki.Name) (l looked, ok bool) {
	err := a.vault.View(func(tx *vault.Tx) (err error) {
		l, ok, err = load[looked](tx, prefixCard+name.String())
		return err
	})
	now := a.now()
	return l, err == nil && ok && !now.Before(l.At) && now.Sub(l.At) < cardKept
}

// kept is the card that was looked up a short while ago, judged anew, and when it was.
func (a *Agent) kept(name pki.Name) (card pki.SignedCard, at time.Time, ok bool) {
	l, ok := a.lately(name)
	if !ok {
		return card, at, false
	}
	ca, err := a.authority(name.Domain())
	if err != nil {
		return card, at, false
	}
	card, err = ca.VerifyCard(l.Card, a.now())
	return card, l.At, err == nil
}

// carded is a correspondent by her card, and what else is known of her. Errors: a
// *pki.KeyChangedError if she or her home is pinned to another key.
func (a *Agent) carded(name pki.Name, card pki.SignedCard) (to correspondent, c contact, err error) {
	to = correspondent{name: name, id: card.Certificate.Key().Fingerprint(), card: &card}
	to.keys = message.Keys{Seal: card.Seal, Auth: card.Auth}
	to.address = mor.Address{Mailbox: card.Requests, Identity: to.id, Spools: card.Spools}
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		if err := checkConflict(tx, name.Domain()); err != nil {
			return err
		}
		ok := false
		c, ok, err = load[contact](tx, prefixContact+name.String())
		if err != nil || !ok {
			return err
		}
		if err := pki.CheckPin(c.Identity, to.id, name.String()); err != nil {
			return err
		}
		if address, ok := c.address(); ok {
			address.Spools = card.Spools
			to.address = address
		}
		return nil
	})
	return to, c, err
}

// unlooked is what is known of somebody whose card cannot be had now; why, if that is not
// enough. That she was asked for is noted like a card: the home is not asked again before long.
func (a *Agent) unlooked(name pki.Name, why error) (correspondent, error) {
	var refused *session.Error
	if !errors.As(why, &refused) || refused.Code != session.Unavailable {
		return correspondent{}, why
	}
	to, ok := a.known(name)
	if !ok {
		return correspondent{}, why
	}
	return to, a.keep(name, nil)
}

// known is what a contact wrote of herself, if it is all that is needed.
func (a *Agent) known(name pki.Name) (to correspondent, ok bool) {
	err := a.vault.View(func(tx *vault.Tx) error {
		c, found, err := load[contact](tx, prefixContact+name.String())
		if err != nil || !found {
			return err
		}
		to, ok = c.correspondent(name)
		return checkConflict(tx, name.Domain())
	})
	return to, ok && err == nil
}

// correspondent is a contact to whom all that is needed is known; false if it is not.
func (c contact) correspondent(name pki.Name) (correspondent, bool) {
	keys, known := c.keys()
	address, given := c.address()
	return correspondent{name: name, id: c.Identity, keys: keys, address: address}, known && given
}

// A draft is what is to be said.
type draft struct {
	kind  kind
	text  string
	about mor.MessageID // of an acknowledgement
	way   Way
}

// enqueue seals a draft and puts it into the outbox. It returns the first copy, which is to
// be handed in when the transaction is durable.
func (a *Agent) enqueue(tx *vault.Tx, to correspondent, d draft) ([]mor.Submission, error) {
	c, err := a.meet(tx, to.name, to.id)
	if err != nil {
		return nil, err
	}
	if to.card != nil {
		c.carded(*to.card)
		if err := save(tx, prefixContact+to.name.String(), c); err != nil {
			return nil, err
		}
	}
	o, err := a.outgoing(tx, c, to, d)
	if err != nil {
		return nil, err
	}
	servers, err := a.servers(tx)
	if err != nil {
		return nil, err
	}
	s, err := a.sender(tx)
	if err != nil {
		return nil, err
	}
	s.SetServers(servers)
	out, _, err := s.Send(a.now(), o)
	if err != nil {
		return nil, err
	}
	if d.kind == kindText {
		if err := a.written(tx, to.name, d.text, out.Save[0]); err != nil {
			return nil, err
		}
	}
	return out.Submit, a.saveAll(tx, out, map[mor.MessageID]outgoing{o.ID: {Kind: d.kind, To: to.name}})
}

// outgoing seals a draft to its recipient.
func (a *Agent) outgoing(tx *vault.Tx, c contact, to correspondent, d draft) (mor.Outgoing, error) {
	id, _, err := load[identity](tx, keyIdentity)
	if err != nil {
		return mor.Outgoing{}, err
	}
	content := message.Content{
		Kind: message.Text, About: d.about, At: a.now().Truncate(time.Second), Text: d.text, Name: id.Name,
		Certificate: id.Certificate, Secret: c.Mine.array(), Spools: []pki.Domain{id.Name.Domain()},
	}
	if d.kind == kindAck {
		content.Kind = message.Acknowledgement
	}
	if content.ID, err = a.messageID(); err != nil {
		return mor.Outgoing{}, err
	}
	content.Sign(a.self.key, a.self.keys.Public())
	sealed, err := message.Seal(a.cfg.Rand, a.self.keys, to.keys, to.name, content)
	if err != nil {
		return mor.Outgoing{}, err
	}
	return mor.Outgoing{
		ID: content.ID, To: to.address, Sealed: sealed, Hops: d.way.hops(), Via: slices.Clone(d.way.Via),
		Reply: onion.Mailbox(a.self.replies),
	}, nil
}

// messageID draws an id. Its text never begins like a flag of a command line.
func (a *Agent) messageID() (id mor.MessageID, err error) {
	for first := true; first || id.String()[0] == '-'; first = false {
		if _, err := io.ReadFull(a.cfg.Rand, id[:]); err != nil {
			return id, fmt.Errorf("agent: naming a message: %w", err)
		}
	}
	return id, nil
}
