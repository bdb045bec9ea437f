package agent

import (
	"cmp"
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
	c, err := a.addressee(ctx, to)
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
// sent and nothing kept: a *message.TooLongError, a *NoUserError, a *CardError, a *TrustError,
// a *pki.KeyChangedError, a *mor.RouteError, a *HomeError, a *session.Error. What there is to
// warn of though it was sent, Warnings tells.
func (a *Agent) Send(ctx context.Context, to pki.Name, text string, w Way) (Status, error) {
	if err := a.Connect(ctx); err != nil {
		return Status{}, err
	}
	c, err := a.addressee(ctx, to)
	if err != nil {
		return Status{}, err
	}
	var copies []mor.Submission
	var moved *MovedError
	err = a.withRoutes(ctx, func() error {
		return a.vault.Update(func(tx *vault.Tx) (err error) {
			if moved, err = a.newsOf(tx, to, c.name); err != nil {
				return err
			}
			copies, err = a.enqueue(tx, c, draft{kind: kindText, text: text, way: w})
			return err
		})
	})
	if err != nil {
		return Status{}, err
	}
	if moved != nil {
		a.warning["where "+to.String()+" is"] = moved
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

// full is refused, if that is because a quota is used up.
func full(refused *session.Error) *session.Error {
	if refused == nil || refused.Code != session.Full {
		return nil
	}
	return refused
}

// Full returns why the home did not take, for now, the last copy that was handed in: the
// quota is used up. Nil: that is not so. The message is in the outbox, and is tried again.
func (a *Agent) Full() *session.Error { return a.full }

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
	by      pki.Fingerprint // the authority that certified her now; zero: nobody was asked
	card    *pki.SignedCard // nil: what we know of her is from her messages
}

// addressee finds out how to write to somebody under the name that her key has now. By which key she
// is known the pin says, or else her card: if that is of a key that has moved on, it is followed.
func (a *Agent) addressee(ctx context.Context, name pki.Name) (correspondent, error) {
	now, key, err := a.currently(name, pki.Fingerprint{})
	if err != nil {
		return correspondent{}, err
	}
	if now == name {
		to, err := a.correspondent(ctx, name)
		if err != nil {
			return to, err
		}
		if now, key, err = a.currently(name, to.id); err != nil || now == name || key != to.id {
			return to, err
		}
	}
	to, err := a.correspondent(ctx, now)
	if err != nil {
		return to, err
	}
	return to, sameKey(to, key)
}

// correspondent finds out how to write to somebody: by her card, which is looked up
// unless that was done a short while ago, and by the right that she gave us, if she ever wrote.
// If no card can be had now, what she wrote of herself does.
func (a *Agent) correspondent(ctx context.Context, name pki.Name) (correspondent, error) {
	if known, ok := a.looked(name); ok && !a.doubtful(name.Domain()) {
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

// doubtful tells whether DNS speaks against the key of a domain: then its servers are asked what
// they show, however short a while ago that was done.
func (a *Agent) doubtful(domain pki.Domain) bool {
	s, err := a.standing(domain)
	return err != nil || s.altered() != nil
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
		to, ok, err := a.known(name)
		return to, ok && err == nil
	}
	card, at, ok := a.kept(name)
	if !ok {
		return correspondent{}, false
	}
	to, c, err := a.carded(name, card)
	if newer, all := c.correspondent(name); err == nil && all && c.Stated.After(at) && newer.id == to.id {
		newer.by, to = to.by, newer
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
	s, err := a.standing(name.Domain())
	if err != nil {
		return card, at, false
	}
	unvouched, err := pki.ParseCard(l.Card)
	if err != nil {
		return card, at, false
	}
	card, err = signed(s, unvouched.Issuer(), func(ca pki.CACert) (pki.SignedCard, error) { return ca.VerifyCard(l.Card, a.now()) })
	return card, l.At, err == nil
}

// carded is a correspondent by her card, and what else is known of her. Errors: a *TrustError
// if she may not be written to.
func (a *Agent) carded(name pki.Name, card pki.SignedCard) (to correspondent, c contact, err error) {
	to = correspondent{name: name, id: card.Certificate.Key().Fingerprint(), by: card.Certificate.Issuer(), card: &card}
	to.keys = message.Keys{Seal: card.Seal, Auth: card.Auth}
	to.address = mor.Address{Mailbox: card.Requests, Identity: to.id, Spools: card.Spools}
	p, err := a.mayWrite(name, to.id)
	if err != nil {
		return to, c, err
	}
	if address, ok := p.contact.address(); ok && p.contact.Identity == to.id {
		if !p.contact.moved(card) {
			address.Spools = card.Spools
		}
		to.address = address
	}
	return to, p.contact, nil
}

// mayWrite judges somebody whose card shows that key; zero: none was seen. What is to be told
// of although it stops nothing is kept for Warnings. Errors: a *TrustError if she may not be
// written to.
func (a *Agent) mayWrite(name pki.Name, shown pki.Fingerprint) (p person, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		p, err = a.person(tx, name, shown)
		return err
	})
	if err != nil {
		return p, err
	}
	if altered := p.home.altered(); altered != nil {
		a.warning[name.Domain().String()] = altered
	}
	if forked := p.home.forked(); forked != nil {
		a.warning["fork of "+name.Domain().String()] = forked
	}
	return p, p.err()
}

// unlooked is what is known of somebody whose card cannot be had now; why, if that is not
// enough. That she was asked for is noted like a card: nobody is asked again before long.
func (a *Agent) unlooked(name pki.Name, why error) (correspondent, error) {
	var refused *session.Error
	var card *CardError
	silent := errors.As(why, &refused) && refused.Code == session.Unavailable
	lapsed := errors.As(why, &card) && card.Lapsed() // she has been away for long, and is who she was
	if !silent && !lapsed && !a.withdrawn(name, why) {
		return correspondent{}, why
	}
	to, ok, err := a.known(name)
	if err != nil || !ok {
		return correspondent{}, cmp.Or(err, why)
	}
	return to, a.keep(name, nil)
}

// withdrawn tells whether there is no card because her domain has ended her name, or she her
// key. Of her key the domain has no say: what a contact wrote of herself counts on.
func (a *Agent) withdrawn(name pki.Name, why error) bool {
	var nobody *NoUserError
	if !errors.As(why, &nobody) {
		return false
	}
	s, err := a.Standing(name)
	return err == nil && (s.Ended || s.Trust == Revoked)
}

// known is what a contact wrote of herself; ok is false if that is not all that is needed, or if
// her home was never confirmed while we knew her: then anybody may have been it.
// Errors: a *TrustError if she may not be written to.
func (a *Agent) known(name pki.Name) (to correspondent, ok bool, err error) {
	p, err := a.mayWrite(name, pki.Fingerprint{})
	if err != nil {
		return to, false, err
	}
	to, ok = p.contact.correspondent(name)
	return to, ok && p.contact.Trust > pki.Untrusted, nil
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
	about mor.MessageID // of an acknowledgement, or a hello
	hello bool
	way   Way
}

// acquaint makes a correspondent a contact, if she is none, and keeps what her card says.
func (a *Agent) acquaint(tx *vault.Tx, to correspondent) (contact, error) {
	c, err := a.meet(tx, to.name, to.id, to.by)
	if err != nil || to.card == nil {
		return c, err
	}
	c.carded(*to.card)
	return c, save(tx, prefixContact+to.name.String(), c)
}

// enqueue seals a draft and puts it into the outbox. It returns the first copy, which is to
// be handed in when the transaction is durable.
func (a *Agent) enqueue(tx *vault.Tx, to correspondent, d draft) ([]mor.Submission, error) {
	c, err := a.acquaint(tx, to)
	if err == nil && d.kind == kindText {
		err = choose(tx, to.name, &c)
	}
	if err != nil {
		return nil, err
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
	if err := a.become(id); err != nil {
		return mor.Outgoing{}, err
	}
	spools, err := a.spools(tx)
	if err != nil {
		return mor.Outgoing{}, err
	}
	content := message.Content{
		Kind: message.Text, About: d.about, At: a.now().Truncate(time.Second), Text: d.text, Name: id.Name,
		Certificate: id.Certificate, Secret: c.Mine.array(), Spools: spools,
	}
	if d.kind == kindAck {
		content.Kind = message.Acknowledgement
	}
	if d.hello {
		content.Kind = message.Hello
	}
	if content.ID, err = a.messageID(); err != nil {
		return mor.Outgoing{}, err
	}
	content.State(a.self.keys.Public(), a.self.statement)
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
