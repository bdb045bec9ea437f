package agent

import (
	"errors"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A standing is a domain as it is judged by all that we know.
type standing struct {
	domain   pki.Domain
	pin      pin
	pinned   bool
	evidence pki.Evidence
	verdict  pki.Verdict
	line     []pki.CACert // by which what it certified is judged: the one in use first; none: it is not known
	fork     *forked      // of its key log, which froze it; nil: none
	since    time.Time    // from when on all who vouch for it have had its key
}

// confirmed tells whether the domain may be written to: a key is pinned, and nobody who counts
// shows another one.
func (s standing) confirmed() bool { return s.pinned && s.verdict.Send >= pki.SendWarned }

// held tells whether the domain is known by another key than is shown now.
func (s standing) held() bool { return s.pinned && s.verdict.Send < pki.SendWarned }

// key is that by which the domain is known: the pinned one, or else the one it shows.
func (s standing) key() pki.Fingerprint {
	if s.pinned {
		return s.pin.Key
	}
	return s.evidence.Home
}

// strange is the key, other than the known one, that speaks against it; zero: none does.
func (s standing) strange() pki.Fingerprint {
	e, known := s.evidence, s.key()
	stated := []pki.Fingerprint{e.Home}
	for _, v := range e.Vouches {
		stated = append(stated, v.Key)
	}
	for _, key := range append(stated, e.DNS.Key) {
		if !key.IsZero() && key != known && key != e.Rotation && !slices.Contains(e.Passed, key) {
			return key
		}
	}
	return pki.Fingerprint{}
}

// err is why nothing may be sent to, or through, the domain; nil if it may.
func (s standing) err() error {
	if s.confirmed() {
		return nil
	}
	e := &TrustError{Subject: s.domain.String(), Verdict: s.verdict, Pinned: s.pin.Key, Shown: s.evidence.Home}
	if s.pinned {
		e.Shown = s.strange()
	}
	return e
}

// altered is what to warn of if DNS alone shows another key; nil if it does not.
func (s standing) altered() error {
	if !s.verdict.DNSAltered || !s.confirmed() {
		return nil
	}
	return &DNSAlteredError{Domain: s.domain, Known: s.verdict.Key, Shown: s.evidence.DNS.Key, Verdict: s.verdict}
}

// forked is what to warn of if the domain's key log has two histories; nil if not.
func (s standing) forked() error {
	if s.fork == nil {
		return nil
	}
	return &ForkedError{s.domain, s.fork.Says}
}

// judged judges a domain by all that is known.
func (a *Agent) judged(tx *vault.Tx, domain pki.Domain) (standing, error) {
	b, err := a.bench(tx)
	if err != nil {
		return standing{}, err
	}
	return a.judgedBy(tx, b, domain)
}

// judgedBy is judged, for who judges several domains.
func (a *Agent) judgedBy(tx *vault.Tx, b bench, domain pki.Domain) (s standing, err error) {
	s.domain = domain
	if s.pin, s.pinned, err = loadPin(tx, domain); err != nil {
		return s, err
	}
	if s.evidence, err = a.evidence(tx, b, domain); err != nil {
		return s, err
	}
	if s.fork, err = a.frozen(tx, domain); err != nil {
		return s, err
	}
	if s.line, err = a.anchors(tx, domain, s.evidence.Home); err != nil {
		return s, err
	}
	s.verdict = pki.Judge(s.evidence, a.now())
	s.since = b.since(domain, s.verdict.For)
	return s, nil
}

// standing is judged, in a transaction of its own.
func (a *Agent) standing(domain pki.Domain) (s standing, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		s, err = a.judged(tx, domain)
		return err
	})
	return s, err
}

// evidence is what is known about the key of a domain.
func (a *Agent) evidence(tx *vault.Tx, b bench, domain pki.Domain) (e pki.Evidence, err error) {
	e = pki.Evidence{Domain: domain, Vouches: b.vouches(domain), Quorum: quorum}
	p, pinned, err := loadPin(tx, domain)
	if err != nil {
		return e, err
	}
	if pinned {
		e.Pin = p.judged(domain)
	}
	if e.Home, err = a.shows(tx, domain); err != nil {
		return e, err
	}
	known := p.Key
	if !pinned {
		known = e.Home
	}
	e.DNS = b.dns(domain, known)
	if f, err := a.frozen(tx, domain); err != nil {
		return e, err
	} else if f != nil {
		e.Log = pki.LogEvidence{State: pki.LogForked}
	}
	heirs, err := a.heirs(tx, domain, p)
	commitments := make([]pki.Commitment, len(heirs))
	for i, h := range heirs {
		commitments[i] = h.Commitment
	}
	return e.Follow(commitments), err
}

// shows is the key that the domain's own servers show, as far as we have seen.
func (a *Agent) shows(tx *vault.Tx, domain pki.Domain) (pki.Fingerprint, error) {
	s, ok, err := load[rival](tx, prefixShown+domain.String())
	if err != nil || ok {
		return s.key(), err
	}
	d, ok, err := a.serverOf(tx, domain)
	if err != nil || !ok {
		return pki.Fingerprint{}, err
	}
	return d.CA.Fingerprint(), nil
}

// An heir is an authority that follows another one by right.
type heir struct {
	pki.Commitment
	ca     pki.CACert
	at     time.Time // when the one before handed over, by its word, and not later than now
	rooted bool      // the offline root says so: it took the office of the one before away
}

// heirs are the authorities that follow the pinned one by right.
func (a *Agent) heirs(tx *vault.Tx, domain pki.Domain, p pin) (heirs []heir, err error) {
	if p.Key.IsZero() {
		return nil, nil
	}
	all, err := successions(tx, domain)
	old := p.Key
	for _, c := range p.commitment(domain).Heirs(all) {
		heirs = append(heirs, a.heir(all, old, c))
		old = c.Key
	}
	return heirs, err
}

// heir is who follows the authority of the key old, by those successions.
func (a *Agent) heir(all []pki.SignedSuccession, old pki.Fingerprint, c pki.Commitment) heir {
	h := heir{Commitment: c, at: a.now()}
	for _, s := range all {
		if s.Office != pki.OfficeCA || s.Old != old || s.New() != c.Key {
			continue
		}
		if h.ca = s.CA; s.Issued.Before(h.at) {
			h.at = s.Issued
		}
		h.rooted = h.rooted || s.By == pki.ByRoot && s.Signer() == c.Root
	}
	return h
}

// anchors are the authorities by which what a domain certified is judged: those in office, and,
// for a while, those that handed over to them. A zero key is any.
func (a *Agent) anchors(tx *vault.Tx, domain pki.Domain, otherwise pki.Fingerprint) ([]pki.CACert, error) {
	line, taken, err := a.inOffice(tx, domain, otherwise)
	if err != nil || taken {
		return line, err
	}
	p, _, err := loadPin(tx, domain)
	if err != nil {
		return nil, err
	}
	former, err := p.former(a.now())
	slices.Reverse(former)
	return append(line, former...), err
}

// inOffice are the pinned authority of a domain and those that follow it by right; none before the
// last of them whose office the offline root gave it: taken is true then. If none is pinned, it is
// the one of that key, if the domain's descriptor is by it; a zero key is any.
func (a *Agent) inOffice(tx *vault.Tx, domain pki.Domain, otherwise pki.Fingerprint) (line []pki.CACert, taken bool, err error) {
	d, known, err := a.serverOf(tx, domain)
	if err != nil {
		return nil, false, err
	}
	p, pinned, err := loadPin(tx, domain)
	if err != nil {
		return nil, false, err
	}
	if !pinned {
		if known && (otherwise.IsZero() || d.CA.Fingerprint() == otherwise) {
			line = append(line, d.CA)
		}
		return line, false, nil
	}
	if known && d.CA.Fingerprint() == p.Key {
		line = append(line, d.CA)
	}
	heirs, err := a.heirs(tx, domain, p)
	for _, h := range heirs {
		if h.rooted {
			line, taken = nil, true
		}
		line = append(line, h.ca)
	}
	return line, taken, err
}

// judgeAll judges every domain in the directory, and pins what the verdicts say, until nothing
// changes any more: who has just been pinned may have a word about others.
func (a *Agent) judgeAll(tx *vault.Tx) error {
	for range 2 + maxList {
		b, err := a.bench(tx)
		if err != nil {
			return err
		}
		changed, err := a.seed(tx, b)
		if err != nil {
			return err
		}
		err = tx.Range(prefixServer, func(key string, _ []byte) error {
			domain, err := pki.ParseDomain(key[len(prefixServer):])
			if err != nil {
				return err
			}
			moved, err := a.follow(tx, b, domain)
			changed = changed || moved
			return err
		})
		if err != nil || !changed {
			return err
		}
	}
	return nil
}

// follow does with the pin of a domain what the verdict says. changed is true if another key
// is pinned now.
func (a *Agent) follow(tx *vault.Tx, b bench, domain pki.Domain) (changed bool, err error) {
	s, err := a.judgedBy(tx, b, domain)
	if err != nil {
		return false, err
	}
	next := s.verdict.Pin(s.evidence.Pin)
	if next.Key == s.pin.Key {
		return false, errors.Join(a.confirm(tx, s), a.noteWanted(tx, b, s))
	}
	d, ok, err := a.descriptorBy(tx, domain, next.Key)
	if err != nil || !ok {
		return false, err // when there is one
	}
	return true, a.adopt(tx, s, next, d)
}

// confirm raises the trust in a key that was the first seen, when a quorum vouches for it.
func (a *Agent) confirm(tx *vault.Tx, s standing) error {
	if !s.pinned || s.pin.Trust != pki.FirstSeen || s.verdict.Row != pki.RowAgreed || len(s.verdict.For) < quorum {
		return nil
	}
	s.pin.Trust = pki.Vouched
	return savePin(tx, s.domain, s.pin)
}

// adopt pins another key of a domain, whose descriptor is d. What handed over to it is kept,
// for what that had certified.
func (a *Agent) adopt(tx *vault.Tx, s standing, next pki.Pin, d pki.SignedDescriptor) error {
	fresh := pin{Key: next.Key, Trust: next.Trust, Since: a.now(), Log: s.pin.Log, Wanted: s.pin.Wanted}
	if s.verdict.Row == pki.RowRotated {
		heirs, err := a.heirs(tx, s.domain, s.pin)
		if err != nil {
			return err
		}
		var ca []byte
		if old, ok, err := a.serverOf(tx, s.domain); err != nil {
			return err
		} else if ok && old.CA.Fingerprint() == s.pin.Key {
			ca = old.CA.DER()
		}
		was := s.pin
		for _, h := range heirs {
			was.Former = was.follow(ca, h)
			was.Key, was.Next, was.Root, ca = h.Key, h.Next, h.Root, h.ca.DER()
			if h.Key == next.Key {
				break
			}
		}
		fresh.Next, fresh.Root, fresh.Former = was.Next, was.Root, was.Former
	}
	if _, err := a.enlist(tx, maxList, listed{s.domain, next.Key}); err != nil {
		return err
	}
	if err := reread(tx, s); err != nil {
		return err
	}
	tx.Put(prefixServer+s.domain.String(), d.Raw())
	tx.Delete(prefixShown + s.domain.String())
	return savePin(tx, s.domain, fresh.learn(d))
}

// reread has the feeds read again if something was left out that matters when another key of the domain
// is pinned: what its new authority has signed by now, or successions for which there was no room.
func reread(tx *vault.Tx, s standing) error {
	again, err := missed(tx, s.domain)
	if err != nil || !again && !s.pinned {
		return err
	}
	return readAgain(tx)
}

// relays tells whether a server may be in the middle of a route, and whether it is young.
func (b bench) relays(s standing, now time.Time) (may, young bool) {
	since, ok := b.stood(s.domain, s.pin.Key)
	return ok && s.confirmed(), now.Sub(since) < mor.LongStanding
}

// present is why nothing can be said of a domain: that it is not known at all.
func (s standing) present() error {
	if len(s.line) == 0 && !s.held() {
		return &NoServerError{s.domain}
	}
	return nil
}

// errAuthority tells of a certificate that none of the known authorities signed.
var errAuthority = errors.New("it is by another authority")

// signed is what one of a domain's authorities says of something that claims to be by the key
// issuer, told by f; errAuthority if that is none of them.
func signed[R any](s standing, issuer pki.Fingerprint, f func(pki.CACert) (R, error)) (r R, err error) {
	for _, ca := range s.line {
		if ca.Fingerprint() == issuer {
			return f(ca)
		}
	}
	return r, errAuthority
}
