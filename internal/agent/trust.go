package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A Trust is what is known of the key behind a name, in a word (row H3).
type Trust string

// The words, best first.
const (
	Verified    Trust = "verified"    // it was confirmed by other means
	Vouched     Trust = "vouched"     // by its home, whose key a quorum of other domains confirm
	FirstSeen   Trust = "first seen"  // it was taken as the name's when it was first seen, and is the same since
	Unconfirmed Trust = "unconfirmed" // nobody but its own home, and perhaps DNS, says so
	Changed     Trust = "CHANGED"     // another key is shown now, of the name or of its home
	Revoked     Trust = "revoked"     // the key was ended by its owner
)

// A Standing is how somebody stands with us.
type Standing struct {
	Trust   Trust        `json:"trust"`
	Peers   []pki.Domain `json:"peers"`             // that confirm the key of her home
	Offline bool         `json:"offline,omitempty"` // her home did not answer when it was last asked, or she said so
	Ended   bool         `json:"ended,omitempty"`   // her domain has ended the name; the key is hers as before

	Was pki.Name `json:"moved_from,omitzero"` // the name by which we knew her before she had this one
}

// String is the standing as people read it: "vouched (2 peers)".
func (s Standing) String() string {
	text := string(s.Trust)
	switch {
	case s.Offline && s.Trust == Vouched && len(s.Peers) > 0:
		text = "home offline, key confirmed by " + pki.JoinDomains(s.Peers, ", ")
	case s.Trust == Vouched && len(s.Peers) == 1:
		text = "vouched (1 peer)"
	case s.Trust == Vouched && len(s.Peers) > 0:
		text = fmt.Sprintf("vouched (%d peers)", len(s.Peers))
	}
	if !s.Was.IsZero() {
		text = fmt.Sprintf("moved from %s, %s", s.Was, text)
	}
	if s.Ended {
		text += ", name ended by its domain"
	}
	return text
}

// A person is somebody as she is judged by all that we know.
type person struct {
	name     pki.Name
	contact  contact // zero: we have not met
	home     standing
	evidence pki.Evidence
	verdict  pki.Verdict
	objects  []pki.Challenge // under the name, that count
	place    logPlace        // of her key in the log of her home
	ended    bool            // her domain has ended the name for this key
	offline  bool
}

// person judges somebody. shown is the identity key that her home's card shows; zero: none was
// seen now.
func (a *Agent) person(tx *vault.Tx, name pki.Name, shown pki.Fingerprint) (p person, err error) {
	p.name = name
	if p.contact, _, err = load[contact](tx, prefixContact+name.String()); err != nil {
		return p, err
	}
	if p.home, err = a.judged(tx, name.Domain()); err != nil {
		return p, err
	}
	p.evidence = pki.Evidence{Domain: name.Domain(), Home: shown}
	if p.contact.Trust != pki.Untrusted {
		p.evidence.Pin = pki.Pin{Subject: name.String(), Key: p.contact.Identity, Trust: p.contact.Trust}
	}
	for _, key := range []pki.Fingerprint{p.contact.Identity, shown} {
		if !key.IsZero() && has(tx, prefixRevoked+key.String()) {
			p.evidence.Revoked = append(p.evidence.Revoked, key)
		}
	}
	if p.evidence.Log, p.place, err = a.logged(tx, name, p.asked()); err != nil {
		return p, err
	}
	if p.objects, err = a.objections(tx, name); err != nil {
		return p, err
	}
	if err = a.stall(tx, &p); err != nil {
		return p, err
	}
	p.verdict = pki.JudgeName(p.evidence, p.home.verdict, a.now())
	p.contest()
	p.ended = has(tx, prefixEnded+name.String()+"/"+p.key().String())
	p.offline, err = a.silent(tx, name.Domain())
	return p, err
}

// key is that by which she is known, or else shown.
func (p person) key() pki.Fingerprint {
	if p.evidence.Pin.Key.IsZero() && !p.evidence.Home.IsZero() {
		return p.evidence.Home
	}
	return p.contact.Identity
}

// asked is the key of which her home's log is asked: the one that is shown, or else by which she is known.
func (p person) asked() pki.Fingerprint {
	if !p.evidence.Home.IsZero() {
		return p.evidence.Home
	}
	return p.key()
}

// verified tells whether she, or her owner by other means, has confirmed her key.
func (p person) verified() bool { return p.contact.Trust == pki.Verified }

// revoked tells whether the key by which she is known was ended.
func (p person) revoked() bool { return slices.Contains(p.evidence.Revoked, p.key()) }

// changed tells whether her card shows another key than the pinned one.
func (p person) changed() bool {
	e := p.evidence
	return !e.Pin.Key.IsZero() && p.verdict.Send < pki.SendWarned
}

// unproven tells whether she is met now, and her key was not shown in the log that her home keeps.
func (p person) unproven() bool { return p.verdict.Row == pki.RowUnproven }

// frozen tells whether she is met now, and the log of her home has two histories.
func (p person) frozen() bool { return p.verdict.Row == pki.RowForked && p.evidence.Pin.Key.IsZero() }

// unshown tells whether nothing but letters have shown her key by now.
func (p person) unshown() bool { return p.contact.Provisional && p.evidence.Home.IsZero() }

// standing is all this in a word.
func (p person) standing() Standing {
	s := Standing{Trust: FirstSeen, Peers: slices.Clone(p.home.verdict.For), Offline: p.offline, Ended: p.ended, Was: p.contact.Was}
	if s.Peers == nil {
		s.Peers = []pki.Domain{}
	}
	switch {
	case p.revoked():
		s.Trust = Revoked
	case p.changed(), p.home.held():
		s.Trust = Changed
	case p.verified():
		s.Trust = Verified
	case !p.home.pinned, p.contested(), p.unproven(), p.unshown(), p.frozen():
		s.Trust = Unconfirmed
	case p.home.verdict.Trust >= pki.Vouched:
		s.Trust = Vouched
	}
	return s
}

// err is why nothing may be sent to her; nil if it may. Whose own key was confirmed by other
// means may be written to although nobody confirms her home: what is sent is sealed to keys
// that her own key has signed.
func (p person) err() error {
	switch {
	case p.revoked(), p.changed():
		e := &TrustError{Name: p.name, Subject: p.name.String(), Verdict: p.verdict, Pinned: p.contact.Identity, Shown: p.evidence.Home}
		if p.revoked() {
			e.Verdict.Row, e.Pinned, e.Shown = pki.RowRevoked, p.key(), pki.Fingerprint{}
		}
		return e
	case !p.home.pinned && p.verified():
		return nil
	case p.contested(), p.unproven(), p.frozen():
		return &TrustError{Name: p.name, Subject: p.name.String(), Verdict: p.verdict, Shown: p.evidence.Home}
	}
	return about(p.home.err(), p.name)
}

// about says for whom a domain matters.
func about(err error, name pki.Name) error {
	if e, ok := err.(*TrustError); ok {
		e.Name = name
	}
	return err
}

// silent tells whether the key server of a domain did not answer when it was last asked, not
// long ago.
func (a *Agent) silent(tx *vault.Tx, domain pki.Domain) (bool, error) {
	at, ok, err := load[time.Time](tx, prefixAway+domain.String())
	since := a.now().Sub(at)
	return ok && since >= 0 && since < cardKept, err
}

// noteSilent notes whether the key server of a domain answers.
func (a *Agent) noteSilent(tx *vault.Tx, domain pki.Domain, silent bool) error {
	if !silent {
		tx.Delete(prefixAway + domain.String())
		return nil
	}
	return save(tx, prefixAway+domain.String(), a.now())
}

// Standing is how somebody stands with us now, by what this folder knows.
func (a *Agent) Standing(name pki.Name) (s Standing, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		p, err := a.person(tx, name, pki.Fingerprint{})
		s = p.standing()
		return err
	})
	return s, err
}
