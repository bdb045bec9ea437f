package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// A Subject is whose key is checked: a name, or a whole domain.
type Subject struct {
	Name   pki.Name // zero: the domain itself
	Domain pki.Domain
}

// ParseSubject reads a name like bob@b.test, or a domain like b.test.
func ParseSubject(text string) (Subject, error) {
	if name, err := pki.ParseName(text); err == nil {
		return Subject{name, name.Domain()}, nil
	}
	domain, err := pki.ParseDomain(text)
	return Subject{Domain: domain}, err
}

// String is the name, or the domain.
func (s Subject) String() string {
	if s.Name.IsZero() {
		return s.Domain.String()
	}
	return s.Name.String()
}

// A Report is all that is known of somebody's key, or of a domain's.
type Report struct {
	Subject string          `json:"subject"`
	Trust   Trust           `json:"trust"`
	Key     pki.Fingerprint `json:"key,omitzero"`    // by which she is known; zero: none is
	Words   string          `json:"words"`           // the same in 12 words
	Shown   pki.Fingerprint `json:"shown,omitzero"`  // another key than that, which is shown now
	Ended   bool            `json:"ended"`           // her domain has ended the name
	Offline bool            `json:"offline"`         // the key server of her home did not answer
	Denied  bool            `json:"denied"`          // it said, twice, that there is nobody of that name
	Devices int             `json:"devices"`         // of hers as her card lists them, beside the one with her key
	Newest  time.Time       `json:"newest,omitzero"` // since when the newest of these is one
	Home    *DomainReport   `json:"home"`            // of her domain, or of the domain itself
	Log     *LogReport      `json:"log,omitempty"`   // of her key in the log of her domain; nil: of a domain

	Challenges []Challenged `json:"challenges"` // by the owners of other keys that her domain certified for the name

	MovedFrom pki.Name `json:"moved_from,omitzero"` // the name by which she was known before; it may be the one that was asked for

	name    pki.Name
	problem error // why nothing may be sent, or what speaks against the key
}

// A DomainReport is all the evidence about a domain, and what it comes to.
type DomainReport struct {
	Domain    pki.Domain      `json:"domain"`
	Key       pki.Fingerprint `json:"key,omitzero"` // of its authority; zero: none is confirmed
	Words     string          `json:"words"`
	Trust     string          `json:"trust"` // in that key, as package pki names it
	Row       pki.Row         `json:"row"`   // of the judgement table
	Reason    string          `json:"reason"`
	Confirmed []pki.Domain    `json:"confirmed"` // who vouches for the key
	Against   []pki.Domain    `json:"against"`   // who vouches for another
	Since     time.Time       `json:"since,omitzero"`
	DNS       string          `json:"dns"`          // agrees, differs or silent
	Security  string          `json:"dns_security"` // of what DNS says, as who looked found: secure (by DNSSEC), plain or none
	Evidence  []Said          `json:"evidence"`
}

// A Said is one piece of evidence: who says which key.
type Said struct {
	By     string          `json:"by"` // pin, dns, home, succession or a domain
	Key    pki.Fingerprint `json:"key"`
	Words  string          `json:"words"`
	Since  time.Time       `json:"since,omitzero"`
	Secure bool            `json:"secure,omitempty"` // DNSSEC vouches for it
}

// Problem is why nothing may be sent to the subject, or what speaks against its key though
// sending goes on: a *TrustError, a *DNSAlteredError or a *ForkedError. It is nil if all is well.
func (r Report) Problem() error { return r.problem }

// Check looks at all there is about a key, with what the node that we are connected to has
// heard by now. Errors: that of Connect, if nothing is known here of the subject either; a
// *NoUserError, a *NoServerError, a *CardError.
func (a *Agent) Check(ctx context.Context, s Subject) (Report, error) {
	was := s.Name
	s, shown, err := a.ask(ctx, s)
	var trust *TrustError
	if err != nil && !errors.As(err, &trust) {
		known, failed := a.met(s)
		if failed != nil || !known || !passing(err) {
			return Report{}, errors.Join(err, failed)
		}
	}
	r, err := a.report(s, shown)
	if s.Name != was {
		r.MovedFrom = was
	}
	_, r.Denied = a.warning[deniedBy(s.Name)]
	delete(a.warning, deniedBy(s.Name)) // the report tells
	return r, err
}

// ask has the directory and the statements renewed, and the card of a name looked up: of the one
// that its key has now. It returns that as a subject, and the identity key in the card.
func (a *Agent) ask(ctx context.Context, s Subject) (now Subject, shown pki.Fingerprint, err error) {
	if err := a.Connect(ctx); err != nil {
		return s, shown, err
	}
	if err := a.refreshDirectory(ctx, time.Second); err != nil {
		return s, shown, a.homeError(err)
	}
	if s.Name.IsZero() {
		return s, shown, nil
	}
	for range 2 { // who is not known is known by her card
		name, _, err := a.currently(s.Name, shown)
		if err != nil || name == s.Name && !shown.IsZero() {
			return s, shown, err
		}
		s = Subject{name, name.Domain()}
		if shown, err = a.asked(ctx, s); err != nil {
			return s, shown, err
		}
	}
	return s, shown, nil
}

// asked is the identity key in the card of a name.
func (a *Agent) asked(ctx context.Context, s Subject) (shown pki.Fingerprint, err error) {
	card, err := a.look(ctx, s.Name)
	if err != nil {
		return shown, err
	}
	return card.Certificate.Key().Fingerprint(), nil
}

// met tells whether anything is known here of a subject.
func (a *Agent) met(s Subject) (known bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		known = has(tx, prefixPin+s.Domain.String())
		if !s.Name.IsZero() {
			known = has(tx, prefixContact+s.Name.String())
		}
		return nil
	})
	return known, err
}

// report is what is known here of a subject, whose card shows that key.
func (a *Agent) report(s Subject, shown pki.Fingerprint) (r Report, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		b, err := a.bench(tx)
		if err != nil {
			return err
		}
		if s.Name.IsZero() {
			home, err := a.judgedBy(tx, b, s.Domain)
			r = ofDomain(home)
			r.Home = b.report(home)
			return errors.Join(err, home.present())
		}
		p, err := a.person(tx, s.Name, shown)
		r = ofPerson(p)
		r.Home = b.report(p.home)
		if err != nil {
			return err
		}
		if r.Log, err = a.reportLog(tx, p); err != nil {
			return err
		}
		l, err := devicesOf(tx, s.Name, r.Key)
		r.Devices, r.Newest = l.Count, l.Newest
		return err
	})
	return r, err
}

func ofDomain(s standing) Report {
	r := Report{Subject: s.domain.String(), Trust: trustOf(s), Key: s.key(), Words: spelt(s.key())}
	if s.held() {
		r.Shown = s.strange()
	}
	r.problem = cmp.Or(s.err(), s.altered(), s.forked())
	return r
}

// trustOf is how far the key of a domain is trusted.
func trustOf(s standing) Trust {
	switch {
	case s.held():
		return Changed
	case !s.pinned:
		return Unconfirmed
	case s.verdict.Trust == pki.Verified:
		return Verified
	case s.verdict.Trust == pki.Vouched:
		return Vouched
	}
	return FirstSeen
}

func ofPerson(p person) Report {
	r := Report{
		Subject: p.name.String(), Trust: p.standing().Trust, Key: p.key(), Words: spelt(p.key()),
		Ended: p.ended, Offline: p.offline, name: p.name, MovedFrom: p.contact.Was, Challenges: challenged(p.objects),
	}
	if p.changed() {
		r.Shown = p.evidence.Home
	}
	r.problem = cmp.Or(p.err(), p.home.altered(), p.home.forked())
	return r
}

// DevicesText is how many devices she has, the main one counted; empty if there is that one only.
func (r Report) DevicesText() string {
	if r.Devices == 0 {
		return ""
	}
	return devicesText(r.Devices, r.Newest)
}

// spelt is a fingerprint in words; none of none.
func spelt(f pki.Fingerprint) string {
	if f.IsZero() {
		return ""
	}
	return words.Of(f)
}

// report is what is to be told of a domain.
func (b bench) report(s standing) *DomainReport {
	v := s.verdict
	r := &DomainReport{
		Domain: s.domain, Key: s.pin.Key, Words: spelt(s.pin.Key), Trust: v.Trust.String(), Row: v.Row, Reason: v.Reason(),
		Confirmed: append([]pki.Domain{}, v.For...), Against: append([]pki.Domain{}, v.Against...), Since: s.since, DNS: "silent",
	}
	e := s.evidence
	r.Security = e.DNS.Security()
	switch {
	case e.DNS.Key.IsZero():
	case e.DNS.Key == s.key():
		r.DNS = "agrees"
	default:
		r.DNS = "differs"
	}
	r.Evidence = slices.DeleteFunc([]Said{
		{By: "pin", Key: e.Pin.Key, Since: s.pin.Since}, {By: "dns", Key: e.DNS.Key, Secure: e.DNS.Secure},
		{By: "home", Key: e.Home}, {By: "succession", Key: e.Rotation},
	}, func(x Said) bool { return x.Key.IsZero() })
	for _, vouch := range e.Vouches {
		r.Evidence = append(r.Evidence, Said{By: vouch.Peer.String(), Key: vouch.Key, Since: b.since(s.domain, []pki.Domain{vouch.Peer})})
	}
	for i, x := range r.Evidence {
		r.Evidence[i].Words = spelt(x.Key)
	}
	return r
}

// ErrWords: the words that were given are not those of any key that is known or shown.
var ErrWords = errors.New("these are not the words of any key that is known, or shown now")

// Accept takes the user's word that a key is the subject's: one that is known or shown now,
// and begins with the 12 words she has of it from elsewhere. It is verified from then on, in
// place of any other. Words of the domain's key, given for a name, are taken for the domain's.
// Errors beside those of Check: ErrWords.
func (a *Agent) Accept(ctx context.Context, s Subject, owns words.Prefix) (Report, error) {
	s, shown, err := a.ask(ctx, s)
	var trust *TrustError
	if err != nil && !errors.As(err, &trust) && !passing(err) {
		return Report{}, err
	}
	if err := a.acceptKey(s, shown, owns); err != nil {
		return Report{}, err
	}
	return a.report(s, shown)
}

// acceptKey pins the key that begins with the words, of those that are known or shown.
func (a *Agent) acceptKey(s Subject, shown pki.Fingerprint, owns words.Prefix) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		home, err := a.judged(tx, s.Domain)
		if err != nil {
			return err
		}
		if !s.Name.IsZero() {
			c, _, err := load[contact](tx, prefixContact+s.Name.String())
			if err != nil {
				return err
			}
			if key, ok := matching(owns, c.Identity, shown); ok {
				return a.verify(tx, s.Name, key)
			}
		}
		if key, ok := matching(owns, home.evidence.Pin.Key, home.evidence.Home); ok {
			return a.verifyDomain(tx, home, key)
		}
		return ErrWords
	})
}

func matching(owns words.Prefix, keys ...pki.Fingerprint) (pki.Fingerprint, bool) {
	for _, key := range keys {
		if !key.IsZero() && key != noKey() && owns.Matches(key) {
			return key, true
		}
	}
	return pki.Fingerprint{}, false
}

// verify pins an identity key to a name, for good. If it is another one than before, nothing
// that the one before has said of itself counts.
func (a *Agent) verify(tx *vault.Tx, name pki.Name, key pki.Fingerprint) error {
	c, ok, err := load[contact](tx, prefixContact+name.String())
	if err != nil {
		return err
	}
	if !ok || c.Identity != key {
		mine, err := a.self.contact(key)
		if err != nil {
			return err
		}
		c = contact{Identity: key, Mine: mine, Met: a.now()}
	}
	c.Trust = pki.Verified
	tx.Delete(prefixCard + name.String())
	if err := save(tx, prefixContact+name.String(), c); err != nil {
		return err
	}
	err = choose(tx, name, &c)
	return err
}

// verifyDomain pins the key of a domain's authority, for good. Who watches its log is counted anew.
func (a *Agent) verifyDomain(tx *vault.Tx, s standing, key pki.Fingerprint) error {
	s.pin.Wanted = 0
	if s.pinned && s.pin.Key == key {
		if _, err := a.enlist(tx, maxList, listed{s.domain, key}); err != nil {
			return err
		}
		s.pin.Trust = pki.Verified
		return savePin(tx, s.domain, s.pin)
	}
	d, ok, err := a.descriptorBy(tx, s.domain, key)
	if err != nil {
		return err
	}
	if !ok {
		return a.await(tx, s, key)
	}
	s.verdict.Row = pki.RowQuorum // it does not follow the one before by right
	return a.adopt(tx, s, pki.Pin{Key: key, Trust: pki.Verified}, d)
}

// await pins a key for good of which there is no descriptor here. Until our node takes that key
// too, and hands us one, the domain stands there under the one before, and nothing is sent to it.
func (a *Agent) await(tx *vault.Tx, s standing, key pki.Fingerprint) error {
	d, known, err := a.serverOf(tx, s.domain)
	if err != nil {
		return err
	}
	tx.Delete(prefixShown + s.domain.String())
	if known {
		tx.Delete(prefixServer + s.domain.String())
		if err := save(tx, prefixShown+s.domain.String(), rival{Key: d.CA.Fingerprint(), Descriptor: d.Raw(), At: a.now()}); err != nil {
			return err
		}
	}
	return savePin(tx, s.domain, pin{Key: key, Trust: pki.Verified, Since: a.now()})
}
