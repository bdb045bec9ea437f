package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// The days for which mailboxes are claimed. A letter goes to the mailbox of the day on
// which its copy was made, and may be a week on its way.
const (
	daysBack  = 1
	daysAhead = 8
	daysKept  = 8   // after its day
	longKept  = 366 // days, for the mailboxes that do not change

	// maxClaimed is for how many contacts mailboxes are claimed. Anybody can become a contact
	// by writing to us; what we claim stays within the 16 384 addresses that a home gives to
	// one user (eighteen days of each contact), or nobody could reach us any more. Contacts
	// of our own choice come first, then who was met first.
	maxClaimed = 900
)

// meet returns the contact of that name, made and pinned if need be. Her key is pinned as soon as her
// home is confirmed, and has certified it (by is the authority that did), and shows it in its log, if it
// keeps one; until then another one that has come further may take its place. Errors: a *pki.KeyChangedError
// if the name is another identity's.
func (a *Agent) meet(tx *vault.Tx, name pki.Name, identity, by pki.Fingerprint) (contact, error) {
	c, ok, err := load[contact](tx, prefixContact+name.String())
	if err != nil {
		return contact{}, err
	}
	now, err := a.firstTrust(tx, name, identity, by)
	if err != nil {
		return contact{}, err
	}
	if ok && (c.Identity == identity || !now.further(c)) {
		if err := pki.CheckPin(c.Identity, identity, name.String()); err != nil || !now.further(c) {
			return c, err
		}
		c.Trust, c.Provisional = now.Trust, now.Provisional
		return c, save(tx, prefixContact+name.String(), c)
	}
	if now.Mine, err = a.self.contact(identity); err != nil {
		return contact{}, err
	}
	tx.Delete(prefixDisowned + identity.String())
	now.Identity, now.Met = identity, a.now()
	if now.certified() {
		old, moved, err := inherited(tx, name, identity)
		if err != nil {
			return contact{}, err
		}
		if moved {
			now = old
		}
	}
	return now, now.settled(tx, name)
}

// firstTrust is what trust there is in the key of somebody who is met now, and whom that authority
// has certified, as a contact that is not more than that.
func (a *Agent) firstTrust(tx *vault.Tx, name pki.Name, identity, by pki.Fingerprint) (c contact, err error) {
	_, pinned, err := loadPin(tx, name.Domain())
	if err != nil || !pinned {
		return c, err
	}
	line, err := a.anchors(tx, name.Domain(), pki.Fingerprint{})
	if !slices.ContainsFunc(line, func(ca pki.CACert) bool { return ca.Fingerprint() == by }) {
		return c, err
	}
	proven, err := a.proven(tx, name, identity)
	if c.Provisional = !proven; proven {
		c.Trust = pki.FirstSeen
	}
	return c, err
}

// proven tells whether the log of a name's home has shown a key as hers, if it keeps one, and nobody
// objects.
func (a *Agent) proven(tx *vault.Tx, name pki.Name, key pki.Fingerprint) (bool, error) {
	log, _, err := a.logged(tx, name, key)
	if err != nil || log.State != pki.NoLog && (log.State != pki.LogCurrent || log.Newest != key) {
		return false, err
	}
	objected, err := a.objected(tx, name, key)
	return !objected, err
}

// objected tells whether the owner of another key objects to one that is a name's.
func (a *Agent) objected(tx *vault.Tx, name pki.Name, key pki.Fingerprint) (bool, error) {
	all, err := a.objections(tx, name)
	return slices.ContainsFunc(all, func(c pki.Challenge) bool { return c.Against(key) }), err
}

// certified tells whether a contact's home was confirmed, and had certified her, when we knew her.
func (c contact) certified() bool { return c.Provisional || c.Trust > pki.Untrusted }

// further tells whether more is known of a contact's key than of another's: first that her home is
// confirmed, and then that its log shows the key.
func (c contact) further(than contact) bool {
	if c.Trust == than.Trust {
		return c.certified() && !than.certified()
	}
	return c.Trust > than.Trust
}

// stated takes in what a contact says of herself in a message, if nothing newer is known. By her
// clock it may be written later than now: that counts as now, or nothing would ever be newer.
func (c *contact) stated(m message.Content, now time.Time) {
	if m.At.After(now) {
		m.At = now
	}
	if m.At.Before(c.Stated) {
		return
	}
	if !equal(c.Auth, m.Auth[:]) {
		c.Seal = nil // of other keys than these
	}
	c.Auth, c.Theirs, c.Spools, c.Stated = m.Auth[:], m.Secret[:], m.Spools, m.At
	if m.Seal != nil {
		c.Seal = m.Seal[:]
	}
}

// otherKeys tells whether a message states other keys than those that are known of a contact.
func (c contact) otherKeys(m message.Content) bool {
	return len(c.Auth) > 0 && !equal(c.Auth, m.Auth[:])
}

// carded takes in a contact's card.
func (c *contact) carded(card pki.SignedCard) {
	if !c.moved(card) {
		c.Spools = card.Spools
	}
	c.Seal, c.Auth = card.Seal[:], card.Auth[:]
}

// moved tells whether a contact has said where letters go after she made that card: who cannot
// reach her home now cannot have it show another one.
func (c contact) moved(card pki.SignedCard) bool {
	return len(c.Spools) > 0 && !c.Stated.Before(card.Issued)
}

// keys are what messages to the contact are sealed to; false if they are not known.
func (c contact) keys() (k message.Keys, ok bool) {
	if len(c.Seal) != len(k.Seal) || len(c.Auth) != len(k.Auth) {
		return k, false
	}
	return message.Keys{Seal: [pki.SealSize]byte(c.Seal), Auth: [message.AuthSize]byte(c.Auth)}, true
}

// address is where the contact can be written to by right; false if she has not given it.
func (c contact) address() (mor.Address, bool) {
	return mor.Address{Secret: c.Theirs.array(), Identity: c.Identity, Spools: c.Spools}, len(c.Theirs) == 32
}

func equal(a, b []byte) bool { return string(a) == string(b) } // public keys

// claim makes our mailboxes ours at the home: those for strangers and for receipts, and
// those of our contacts for the days around today. On one link each is claimed once a day.
func (a *Agent) claim(ctx context.Context) error {
	today := mor.DayAt(a.now())
	wanted, names, err := a.unclaimed(today)
	if err != nil || len(wanted) == 0 {
		return err
	}
	if err := a.client.Claim(ctx, wanted); err != nil {
		return a.dead(err)
	}
	for _, name := range names {
		a.claimed[name] = int64(today)
	}
	return nil
}

// unclaimed lists the mailboxes that this link has not claimed today, and whose they are.
func (a *Agent) unclaimed(today mor.Day) (wanted []session.Mailbox, names []pki.Name, err error) {
	if a.claimed[pki.Name{}] != int64(today) {
		wanted = []session.Mailbox{
			{Address: a.self.requests, Kind: session.Requests, Until: uint32(today) + longKept},
			{Address: a.self.replies, Kind: session.Replies, Until: uint32(today) + longKept},
		}
		names = []pki.Name{{}} // of ourselves
		invited, err := a.invitedMailboxes()
		if err != nil {
			return nil, nil, err
		}
		wanted = append(wanted, invited...)
	}
	reachable, err := a.reachable()
	for _, r := range reachable {
		if a.claimed[r.name] != int64(today) {
			wanted, names = append(wanted, mailboxes(r.contact, today)...), append(names, r.name)
		}
	}
	return wanted, names, err
}

// A named is a contact with its name.
type named struct {
	contact
	name pki.Name
}

// reachable lists the contacts for whom mailboxes are claimed.
func (a *Agent) reachable() (all []named, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixContact, func(key string, c contact) error {
			name, err := pki.ParseName(key)
			all = append(all, named{contact: c, name: name})
			return err
		})
	})
	slices.SortStableFunc(all, func(x, y named) int {
		if x.Chosen != y.Chosen {
			return map[bool]int{true: -1, false: 1}[x.Chosen]
		}
		return x.Met.Compare(y.Met)
	})
	seen := make(map[string]bool) // whoever has two names has the same mailboxes under both
	all = slices.DeleteFunc(all, func(n named) bool {
		again := seen[string(n.Mine)]
		seen[string(n.Mine)] = true
		return again
	})
	return all[:min(len(all), maxClaimed)], err
}

// mailboxes are those into which a contact writes to us around today.
func mailboxes(c contact, today mor.Day) []session.Mailbox {
	var all []session.Mailbox
	for day := today - daysBack; day <= today+daysAhead; day++ {
		all = append(all, session.Mailbox{
			Address: mor.DayMailbox(c.Mine.array(), day), Kind: session.Contact, Until: uint32(day) + daysKept,
		})
	}
	return all
}

// lookedUp finds the card of a user, signed and unjudged: through the mesh, so that nobody learns who
// looks up whom, or, if that is what is wanted, by the node that we are connected to.
func (a *Agent) lookedUp(ctx context.Context, name pki.Name) (found, error) {
	if !a.cfg.Direct {
		return a.seek(ctx, name)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	f, err := a.client.Lookup(ctx, name)
	return found{Found: f}, a.homeError(err)
}

const (
	// proofTries is how often somebody is looked up again who is met now, and whose home keeps a key log and
	// has not shown her in it: it may be about to.
	proofTries = 1
	proofPause = time.Second
)

// look finds the card of a user, and judges it: by the authorities of her own home, at now. What it says of the home's key is evidence from then on,
// and so is what is shown of its place in the key log. Errors beside those of Send: a *CardError.
func (a *Agent) look(ctx context.Context, name pki.Name) (pki.SignedCard, error) {
	for again := proofTries; ; again-- {
		card, f, err := a.lookOnce(ctx, name)
		if err != nil {
			return card, err
		}
		if f.Denied {
			card, f = a.lookOver(ctx, name, card, f)
		}
		enough, err := a.sawPlace(card, f.Proof)
		if err != nil || enough || f.Away || again == 0 {
			return card, err
		}
		a.renewDirectory(ctx) // the log may have another key by now
		select {
		case <-time.After(proofPause):
		case <-ctx.Done():
			return card, nil
		}
	}
}

// lookOver looks once more when a home said that there is nobody whom another server showed: she may have come in
// between, and of that nobody is to be accused. If the home says so again, or nothing, there is a warning.
func (a *Agent) lookOver(ctx context.Context, name pki.Name, card pki.SignedCard, f found) (pki.SignedCard, found) {
	now, again, err := a.lookOnce(ctx, name)
	if err == nil && !again.Denied && !again.Away {
		return now, again
	}
	a.warning[deniedBy(name)] = &DeniedError{name}
	return card, f
}

// deniedBy is which warning a DeniedError is.
func deniedBy(name pki.Name) string { return "the card of " + name.String() }

func (a *Agent) lookOnce(ctx context.Context, name pki.Name) (pki.SignedCard, found, error) {
	f, err := a.lookedUp(ctx, name)
	card, err := a.judgedCard(ctx, name, f, err)
	if err == nil {
		err = a.notOlder(card)
	}
	return card, f, err
}

// notOlder is a *SilentError if a newer card of the same key was seen before: by what it says now, nobody
// writes.
func (a *Agent) notOlder(card pki.SignedCard) error {
	name := card.Certificate.Name()
	return a.vault.View(func(tx *vault.Tx) error {
		seen, _, err := load[seenList](tx, prefixListed+name.String())
		if err == nil && seen.Identity == card.Certificate.Key().Fingerprint() && card.Serial < seen.Serial {
			err = &SilentError{Name: name, Said: true, Older: true}
		}
		return err
	})
}

// judgedCard judges what came of a look-up.
func (a *Agent) judgedCard(ctx context.Context, name pki.Name, f found, err error) (pki.SignedCard, error) {
	raw := f.Card
	if err := a.answered(name, f.Away && !f.Denied, err); err != nil {
		return pki.SignedCard{}, err
	}
	if err != nil {
		return pki.SignedCard{}, lookupError(name, err)
	}
	s, err := a.knownStanding(ctx, name.Domain(), time.Second)
	if err != nil {
		return pki.SignedCard{}, lookupError(name, err)
	}
	unvouched, err := pki.ParseCard(raw)
	if err != nil {
		return pki.SignedCard{}, &CardError{name, err}
	}
	if unvouched.Name() != name {
		return pki.SignedCard{}, &CardError{name, fmt.Errorf("it is the card of %s", unvouched.Name())}
	}
	card, err := signed(s, unvouched.Issuer(), func(ca pki.CACert) (pki.SignedCard, error) { return ca.VerifyCard(raw, a.now()) })
	switch {
	case errors.Is(err, errAuthority):
		return card, a.certifiedBy(unvouched, s.pinned)
	case errors.Is(err, pki.ErrTime): // whoever is known by another key has that to hear first
		return card, cmp.Or(a.agrees(name, unvouched.Key().Fingerprint()), error(&CardError{name, err}))
	case err != nil:
		return card, &CardError{name, err}
	}
	return card, errors.Join(a.agrees(name, card.Certificate.Key().Fingerprint()), a.sawDevices(card))
}

// answered notes what the answer to a look-up says of a domain: whether it is there, and
// whether it shows another key than the known one, which is the error returned then.
func (a *Agent) answered(name pki.Name, copied bool, err error) error {
	var refused *session.Error
	var silence *SilentError
	switch {
	case err != nil && !errors.As(err, &refused), errors.As(err, &silence) && (!silence.Said || silence.Older): // it may be the way
		return nil
	case err != nil && refused.Code == session.WrongKey:
		return a.toldOf(name, refused.Shown)
	}
	silent := copied || err != nil && refused.Code == session.Unavailable
	return a.vault.Update(func(tx *vault.Tx) error { return a.noteSilent(tx, name.Domain(), silent) })
}

// certifiedBy notes that the servers of a name's home show a card by another key than the known
// one, and returns why nothing may be sent now. Other domains have no say.
func (a *Agent) certifiedBy(card pki.UnvouchedCard, pinned bool) error {
	name := card.Name()
	wrong, err := a.forged(name, card.Issuer(), card.Certificate())
	switch {
	case err != nil:
		return err
	case wrong != nil:
		wrong.Letter = false
		return wrong
	case !pinned:
		return &CardError{name, errAuthority}
	}
	return a.toldOf(name, card.Issuer())
}

// toldOf notes that somebody says that the servers of a name's home show another key than the known
// one, and returns why nothing may be sent now. If that is the key of another domain, neither of the
// two is blamed: it is but said.
func (a *Agent) toldOf(name pki.Name, key pki.Fingerprint) error {
	ca, ok, err := a.signer(key)
	switch {
	case err != nil:
		return err
	case ok && ca.Domain() != name.Domain():
		return &CardError{name, errAuthority}
	}
	return about(a.showsOther(name.Domain(), key), name)
}

// showsOther notes that the servers of a domain show another key than the known one, and
// returns why nothing may be sent there now.
func (a *Agent) showsOther(domain pki.Domain, key pki.Fingerprint) error {
	var s standing
	err := a.vault.Update(func(tx *vault.Tx) (err error) {
		if p, pinned, err := loadPin(tx, domain); err != nil {
			return err
		} else if pinned && p.Key == key { // our node that holds another one for the known one
			s, err = a.judged(tx, domain)
			return err
		}
		known, ok, err := load[rival](tx, prefixShown+domain.String())
		if err != nil {
			return err
		}
		if !ok || known.Key != key && !key.IsZero() {
			known = rival{Key: key}
		}
		known.At, known.Looked = a.now(), true
		if err := save(tx, prefixShown+domain.String(), known); err != nil {
			return err
		}
		s, err = a.judged(tx, domain)
		return err
	})
	if err == nil {
		err = s.err()
	}
	if err == nil { // it has handed over to that key
		err = &NoServerError{domain}
	}
	return err
}

// agrees notes that the servers of a domain show a card that its known authority signed. If it
// is of another key than the known one of the name, the card that was kept will not do any more.
func (a *Agent) agrees(name pki.Name, shown pki.Fingerprint) error {
	domain := name.Domain()
	return a.vault.Update(func(tx *vault.Tx) error {
		c, met, err := load[contact](tx, prefixContact+name.String())
		if err != nil {
			return err
		}
		if met && c.Identity != shown {
			tx.Delete(prefixCard + name.String())
		}
		s, ok, err := load[rival](tx, prefixShown+domain.String())
		if err == nil && ok && s.Looked {
			tx.Delete(prefixShown + domain.String())
		}
		return err
	})
}

// knownStanding is how a domain stands: by a fresh directory and fresh statements if it is not
// known by the old ones, and if nobody confirms it by them and they are older than age.
func (a *Agent) knownStanding(ctx context.Context, domain pki.Domain, age time.Duration) (standing, error) {
	s, err := a.standing(domain)
	if err != nil || s.present() == nil && s.confirmed() {
		return s, err
	}
	if s.present() != nil {
		age = time.Second
	}
	if err := a.refreshDirectory(ctx, age); err != nil {
		return s, a.homeError(err)
	}
	if s, err = a.standing(domain); err != nil {
		return s, err
	}
	return s, s.present()
}
