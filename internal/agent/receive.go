package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// fetch takes in what the home holds for us, and waits for something up to wait if it
// holds nothing. It returns how many items there were. What is durable here is forgotten
// there; what cannot be judged yet stays there.
func (a *Agent) fetch(ctx context.Context, wait time.Duration) (int, error) {
	items, err := a.items(ctx, wait)
	if err != nil {
		return 0, err
	}
	if err := a.renewSelf(); err != nil { // before what comes under newer keys is taken for none
		return 0, err
	}
	var done []int64
	for _, item := range items {
		a.after = max(a.after, item.Seq)
		ok, err := a.take(ctx, item)
		if err != nil {
			return 0, err
		}
		if ok {
			done = append(done, item.Seq)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := a.client.Forget(ctx, done); err != nil {
		return 0, a.dead(err)
	}
	return len(items), nil
}

func (a *Agent) items(ctx context.Context, wait time.Duration) ([]session.Item, error) {
	asked, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	items, err := a.client.Items(asked, session.Items{After: a.after, Wait: wait})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, a.dead(err)
	}
	return items, nil
}

// take makes one item durable here. It returns false if it is to stay at the home.
func (a *Agent) take(ctx context.Context, item session.Item) (done bool, err error) {
	if item.Reply {
		return true, a.receipt(item.SURB, item.Body)
	}
	letter, err := mor.ParseLetter(item.Body)
	if err != nil {
		a.counts.Unopened++
		return true, nil
	}
	m, err := a.opened(ctx, letter.Sealed[:])
	if err != nil && !errors.Is(err, message.ErrOpen) {
		return false, err
	}
	if err != nil || m.ID != letter.ID {
		a.counts.Unopened++ // in silence: whoever sent it learns nothing
		return true, nil
	}
	from, err := a.vouched(ctx, m)
	if err != nil {
		return a.held(item, m, err)
	}
	done, err = a.accept(ctx, item, m, from)
	var changed *pki.KeyChangedError
	if errors.As(err, &changed) {
		return a.held(item, m, err)
	}
	return done, err
}

// accept takes in a message of somebody who is vouched for. What it leads to is one
// transaction: the message, who is known, and the acknowledgement in the outbox.
func (a *Agent) accept(ctx context.Context, item session.Item, m message.Content, from pki.UserCert) (done bool, err error) {
	keys, err := a.keysOf(ctx, m, from)
	if err != nil {
		return false, err
	}
	var copies []mor.Submission
	err = a.vault.Update(func(tx *vault.Tx) error {
		copies = nil
		var invited string
		var in bool
		if in, invited, done, err = a.door(tx, item, m, from); err != nil || !in {
			return err
		}
		c, err := a.meet(tx, m.Name, from.Key().Fingerprint(), from.Issuer())
		if err == nil {
			err = a.welcomed(tx, invited, m.Name, &c)
		}
		if err != nil {
			return err
		}
		if keys != nil || !c.otherKeys(m) {
			c.stated(m, a.now())
		}
		if keys != nil {
			c.Seal = keys.Seal[:]
		}
		if err := errors.Join(save(tx, prefixContact+m.Name.String(), c), a.doubtHome(tx, m)); err != nil {
			return err
		}
		if m.Kind == message.Acknowledgement {
			done = true
			release(tx, item)
			return a.acknowledged(tx, m, from)
		}
		if done, copies, err = a.received(tx, item, m, c); err == nil && done {
			release(tx, item)
		}
		return err
	})
	if err != nil || len(copies) == 0 {
		return done, err
	}
	return done, a.handIn(ctx, copies)
}

// door tells whether a message may come in, before anything of its writer is kept, and which
// invitation of ours it shows. done: it is not left at the home either.
func (a *Agent) door(tx *vault.Tx, item session.Item, m message.Content, from pki.UserCert) (in bool, invited string, done bool, err error) {
	if m.Kind == message.Acknowledgement {
		if in = has(tx, prefixContact+m.Name.String()); !in { // whoever was written to is known, if perhaps by an older name
			release(tx, item)
			err = a.acknowledged(tx, m, from)
		}
		return in, "", true, err
	}
	by := from.Key().Fingerprint()
	if invited, err = a.welcome(tx, m, by); err != nil || invited != "" {
		return err == nil, invited, false, err
	}
	crowded, err := a.crowded(tx, m, by)
	if err == nil && crowded {
		done, err = a.hold(tx, item, stranger(m.Name))
	}
	return err == nil && !crowded, "", done, err
}

// keysOf looks up the sender's card if the message has no room for her seal key and it is
// not known: without it there is no answering. And if it states other keys than the known ones: only
// a card says that these are hers now, for somebody may have the old ones whose device she removed. So her
// home learns that somebody looked her up; what it says is kept as for a send. nil: nothing new is known.
func (a *Agent) keysOf(ctx context.Context, m message.Content, from pki.UserCert) (*message.Keys, error) {
	if m.Kind == message.Acknowledgement {
		return nil, nil
	}
	known := false
	err := a.vault.View(func(tx *vault.Tx) error {
		c, ok, err := load[contact](tx, prefixContact+m.Name.String())
		known = ok && equal(c.Auth, m.Auth[:]) && len(c.Seal) > 0 || m.Seal != nil && !c.otherKeys(m)
		return err
	})
	if err != nil || known {
		return nil, err
	}
	if card, at, ok := a.kept(m.Name); ok && states(card, m) {
		return &message.Keys{Seal: card.Seal, Auth: card.Auth}, nil
	} else if ok && at.After(m.At) {
		return nil, nil // it is fetched again, and her card has other keys
	}
	card, err := a.look(ctx, m.Name)
	var refused *session.Error
	var nobody *NoUserError
	var bad *CardError
	switch {
	case errors.As(err, &refused), errors.As(err, &nobody), errors.As(err, &bad), routeless(err):
		return nil, nil // the message is shown, and acknowledged when a card can be had
	case err != nil:
		return nil, err
	case card.Certificate.Key() != from.Key():
		return nil, nil
	}
	if err := a.keep(m.Name, card.Raw()); err != nil || !states(card, m) {
		return nil, err
	}
	return &message.Keys{Seal: card.Seal, Auth: card.Auth}, nil
}

// states tells whether the keys in a card are those that a message states.
func states(card pki.SignedCard, m message.Content) bool {
	return card.Auth == m.Auth && sha256.Sum256(card.Seal[:]) == m.SealHash
}

// acknowledged ends the message that an acknowledgement is about.
func (a *Agent) acknowledged(tx *vault.Tx, m message.Content, from pki.UserCert) error {
	taken := false
	_, err := a.change(tx, m.About, func(s *mor.Sender) (out mor.SenderOutput) {
		out, taken = s.TakeAcknowledgement(from.Key().Fingerprint(), m.About)
		return out
	})
	if !taken {
		a.counts.Unasked++
	}
	return err
}

// received keeps a text, once, and puts its acknowledgement into the outbox, also if it
// came before: the first one may be lost. One that is still on its way is enough.
func (a *Agent) received(tx *vault.Tx, item session.Item, m message.Content, c contact) (done bool, copies []mor.Submission, err error) {
	key := gotKey(c.Identity, m.ID)
	g, again, err := load[got](tx, key)
	if err != nil {
		return false, nil, err
	}
	if !again {
		if g.Number, err = a.shelve(tx, m, c); err != nil {
			return false, nil, err
		}
	}
	if _, underway := tx.Get(prefixOutbox + mor.MessageID(pad16(g.Ack)).String()); underway {
		return true, nil, nil
	}
	p, err := a.person(tx, m.Name, c.Identity)
	if err != nil {
		return false, nil, err
	}
	to, ok := c.correspondent(m.Name)
	switch {
	case p.revoked():
		return true, nil, save(tx, key, g) // there is nobody to be trusted with an answer
	case !ok || p.err() != nil && !p.unproven(): // acknowledged when it is fetched again, and her keys can be had, or trusted
		if err := save(tx, key, g); err != nil {
			return false, nil, err
		}
		done, err = a.hold(tx, item, c.author(m.Name))
		return done, nil, err
	}
	copies, err = a.enqueue(tx, to, draft{kind: kindAck, about: m.ID})
	var lacking *mor.RouteError
	switch {
	case errors.As(err, &lacking), errors.Is(err, mor.ErrOutboxFull):
		return false, nil, save(tx, key, g) // acknowledged when it is fetched again
	case errors.Is(err, message.ErrKey):
		return true, nil, save(tx, key, g) // the sender stated a key that is none: there is no answering
	case err != nil:
		return false, nil, err
	}
	g.Ack = copies[0].Message[:]
	return true, copies, save(tx, key, g)
}

// author is by whom an item of a contact is left at the home: anybody may be who is not confirmed.
func (c contact) author(name pki.Name) string {
	switch {
	case !c.certified():
		return ""
	case !c.Chosen:
		return stranger(name)
	}
	return name.String()
}

// stranger is by whom an item of a stranger is left at the home: by all of her domain.
func stranger(name pki.Name) string { return "@" + name.Domain().String() }

// pad16 is b, or zeros if there is none.
func pad16(b []byte) (id [16]byte) {
	copy(id[:], b)
	return id
}
