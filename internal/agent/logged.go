package agent

import (
	"errors"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A logPlace is what was shown of the place of a card in the key log of its home, when it was looked up last.
type logPlace struct {
	Identity pki.Fingerprint       `json:"identity"`
	Shown    placing               `json:"shown"`
	Proof    []byte                `json:"proof,omitempty"` // as it came: a log that shows two histories has signed both
	Index    int64                 `json:"index"`           // of the entry, from 0
	Size     int64                 `json:"size"`            // entries under the head
	Since    time.Time             `json:"since,omitzero"`  // of the entry, as the home says
	Seen     time.Time             `json:"seen,omitzero"`   // when a look-up first showed this key with enough cosignatures; zero: none has
	Watchers []keyserver.Witnessed `json:"watchers"`        // who is known to watch the log, and whether they have cosigned
	Wanted   int                   `json:"wanted"`          // how many of them are to have
}

// A placing is what became of a proof.
type placing string

const (
	placed    placing = "placed"    // it holds
	unplaced  placing = "unplaced"  // there was none
	misplaced placing = "misplaced" // it does not hold
)

// wanted is how many of those who watch a log are to have cosigned it: two, but fewer than there are, so
// that one who is gone, or is no peer of that domain any more, stops nothing.
func wanted(watchers int) int { return max(0, min(quorum, watchers-1)) }

// quorumOf are the domains that watch the log of another, and how many of them are to have cosigned it: as
// many as ever were while we knew the domain, though some are its peers no more.
func (a *Agent) quorumOf(tx *vault.Tx, b bench, of pki.Domain) (watch []keylog.Witness, want int, err error) {
	p, _, err := loadPin(tx, of)
	if err != nil {
		return nil, 0, err
	}
	peers, err := a.watchers(tx, b, of, pki.Mutual)
	if err != nil {
		return nil, 0, err
	}
	watch, err = a.watchers(tx, b, of, pki.Countersigned)
	return watch, max(p.Wanted, wanted(len(peers))), err
}

// noteWanted keeps how many watchers are wanted of a pinned domain: that number only grows, until its owner
// accepts the domain's key anew. So a home that parts with its peers has its log seen by no fewer.
func (a *Agent) noteWanted(tx *vault.Tx, b bench, s standing) error {
	if !s.pinned || !s.pin.Log || s.pin.Wanted >= quorum {
		return nil
	}
	peers, err := a.watchers(tx, b, s.domain, pki.Mutual)
	if err != nil || wanted(len(peers)) <= s.pin.Wanted {
		return err
	}
	p, _, err := loadPin(tx, s.domain) // as it was left
	if err != nil {
		return err
	}
	p.Wanted = wanted(len(peers))
	return savePin(tx, s.domain, p)
}

// cosigned is how many have cosigned the head at all, and how many of late.
func (p logPlace) cosigned(now time.Time) (ever, fresh []keyserver.Witnessed) {
	for _, w := range p.Watchers {
		if w.Time.IsZero() || w.Time.After(now.Add(keylog.Skew)) {
			continue
		}
		if ever = append(ever, w); now.Sub(w.Time) <= pki.LogFreshness {
			fresh = append(fresh, w)
		}
	}
	return ever, fresh
}

// evidence is what the log says of the key, at now.
func (p logPlace) evidence(now time.Time) pki.LogEvidence {
	ever, fresh := p.cosigned(now)
	switch {
	case p.Shown != placed || len(ever) < p.Wanted:
		return pki.LogEvidence{State: pki.LogMissing}
	case len(fresh) < p.Wanted:
		return pki.LogEvidence{State: pki.LogStale}
	}
	return pki.LogEvidence{State: pki.LogCurrent, Newest: p.Identity, Since: p.Seen}
}

// seen is now, if as many as are wanted, and one at least, have cosigned the head of late. By their clocks it
// may be earlier; but one of them could set that back.
func (p logPlace) seen(now time.Time) time.Time {
	if _, fresh := p.cosigned(now); p.Shown != placed || len(fresh) < max(1, p.Wanted) {
		return time.Time{}
	}
	return now
}

// after is a place with what the one before it had shown of the same key.
func (p logPlace) after(was logPlace, now time.Time) logPlace {
	p.Seen = p.seen(now)
	if was.Identity != p.Identity || was.Shown != placed {
		return p
	}
	if p.Shown != placed {
		return was // which grows old: a copy may come without a proof
	}
	if !was.Seen.IsZero() {
		p.Seen = was.Seen
	}
	return p
}

// maxPlaces is how many places are kept; then those of people who are no contacts go, whom anybody may have
// had us look up.
const maxPlaces = 1024

func roomForPlace(tx *vault.Tx, name pki.Name) error {
	n, err := count(tx, prefixPlace)
	if err != nil || n < maxPlaces || has(tx, prefixPlace+name.String()) {
		return err
	}
	return each(tx, prefixPlace, func(of string, _ logPlace) error {
		if !has(tx, prefixContact+of) {
			tx.Delete(prefixPlace + of)
		}
		return nil
	})
}

// keepsLog tells whether a domain keeps a key log, or ever did while we knew it: who stops showing it gains
// nothing.
func (a *Agent) keepsLog(tx *vault.Tx, domain pki.Domain) (bool, error) {
	p, _, err := loadPin(tx, domain)
	if err != nil || p.Log {
		return p.Log, err
	}
	d, ok, err := a.serverOf(tx, domain)
	return ok && d.HasLog(), err
}

// logged is what the log of a name's home says of a key of hers.
func (a *Agent) logged(tx *vault.Tx, name pki.Name, key pki.Fingerprint) (e pki.LogEvidence, p logPlace, err error) {
	keeps, err := a.keepsLog(tx, name.Domain())
	if err != nil || !keeps {
		return e, p, err
	}
	if f, err := a.frozen(tx, name.Domain()); err != nil || f != nil {
		return pki.LogEvidence{State: pki.LogForked}, p, err
	}
	if key.IsZero() {
		return pki.LogEvidence{State: pki.LogAway}, p, nil
	}
	p, ok, err := load[logPlace](tx, prefixPlace+name.String())
	if !ok || p.Identity != key {
		p = logPlace{Identity: key, Shown: unplaced}
	}
	return p.evidence(a.now()), p, err
}

// watchers are the domains that watch the log of another, as they say themselves: those of our list that
// have countersigned it, and, if least is pki.Mutual, it them, by the witness keys that they name. Neither
// our home counts nor the domain itself.
func (a *Agent) watchers(tx *vault.Tx, b bench, of pki.Domain, least pki.Standing) (all []keylog.Witness, err error) {
	for _, view := range b.views {
		s, _ := view.Of(of)
		if s.Standing < least || view.Domain == b.home || view.Domain == of {
			continue
		}
		p, pinned, err := loadPin(tx, view.Domain)
		if err != nil {
			return nil, err
		}
		d, known, err := a.serverOf(tx, view.Domain)
		if err != nil {
			return nil, err
		}
		same := func(w keylog.Witness) bool { return w.Key == d.Witness }
		if pinned && known && d.CA.Fingerprint() == p.Key && d.HasLog() && !slices.ContainsFunc(all, same) {
			all = append(all, keylog.Witness{Domain: view.Domain, Key: d.Witness})
		}
	}
	return all, nil
}

// sawPlace verifies and keeps what was shown of the place of a card. That nothing was shown does not take back
// what had been shown of the same key. ok is false if its owner is nobody whom
// we know, and it is not enough to write to her.
func (a *Agent) sawPlace(card pki.SignedCard, proof []byte) (ok bool, err error) {
	name, key := card.Certificate.Name(), card.Certificate.Key().Fingerprint()
	err = a.vault.Update(func(tx *vault.Tx) error {
		keeps, err := a.keepsLog(tx, name.Domain())
		if err != nil || !keeps {
			tx.Delete(prefixPlace + name.String())
			ok = err == nil
			return err
		}
		p, err := a.placeOf(tx, card, proof)
		if err != nil {
			return err
		}
		p.Identity = key
		was, _, err := load[logPlace](tx, prefixPlace+name.String())
		if err != nil {
			return err
		}
		p = p.after(was, a.now())
		if err := errors.Join(roomForPlace(tx, name), save(tx, prefixPlace+name.String(), p)); err != nil {
			return err
		}
		if err := a.promote(tx, card); err != nil {
			return err
		}
		person, err := a.person(tx, name, key)
		ok = p.evidence(a.now()).State == pki.LogCurrent || !person.evidence.Pin.Key.IsZero()
		return errors.Join(err, a.supersede(tx, person))
	})
	return ok, err
}

// promote pins the key of a contact who is known by letters only, if the log of her home shows it by now.
func (a *Agent) promote(tx *vault.Tx, card pki.SignedCard) error {
	name, key := card.Certificate.Name(), card.Certificate.Key().Fingerprint()
	c, met, err := load[contact](tx, prefixContact+name.String())
	if err != nil || !met || !c.Provisional || c.Identity != key {
		return err
	}
	_, err = a.meet(tx, name, key, card.Certificate.Issuer())
	return err
}

// placeOf is what a proof shows of a card.
func (a *Agent) placeOf(tx *vault.Tx, card pki.SignedCard, proof []byte) (p logPlace, err error) {
	if p.Shown = unplaced; len(proof) == 0 {
		return p, nil
	}
	home := card.Certificate.Name().Domain()
	d, _, err := a.serverOf(tx, home)
	if err != nil {
		return p, err
	}
	b, err := a.bench(tx)
	if err != nil {
		return p, err
	}
	known, want, err := a.quorumOf(tx, b, home)
	if err != nil {
		return p, err
	}
	l, err := keyserver.Place(d.Descriptor, card, proof, known, a.now())
	if err != nil {
		a.cfg.Log.Debug("a proof from a key log", "domain", home, "err", err)
		p.Shown = misplaced
		return p, nil
	}
	return logPlace{
		Shown: placed, Proof: proof, Index: l.Index, Size: l.Size, Since: l.Time, Watchers: l.Witnesses, Wanted: want,
	}, nil
}

// A LogReport is what is known of the place of somebody's key in the key log of her home.
type LogReport struct {
	State    string       `json:"state"` // none, current, stale, or missing: none was shown, or too few have cosigned
	Domain   pki.Domain   `json:"domain"`
	Entry    int64        `json:"entry,omitempty"` // counted from 1; 0: no place was shown that holds
	Entries  int64        `json:"entries,omitempty"`
	Since    time.Time    `json:"since,omitzero"` // of the entry, as the domain says
	Head     time.Time    `json:"head,omitzero"`  // when the newest of the cosignatures was made
	Cosigned []pki.Domain `json:"cosigned"`       // of those who watch it, whoever has
	Watchers []pki.Domain `json:"watchers"`
	Wanted   int          `json:"wanted"`            // how many are to have cosigned within the last 7 days
	Refuted  bool         `json:"refuted,omitempty"` // what was shown as a proof does not hold
	Known    bool         `json:"known"`             // the key is pinned: it needs no log
	Ripe     time.Time    `json:"ripe,omitzero"`     // from when on another key may take the place of the pinned one
	Dropped  bool         `json:"dropped,omitempty"` // the domain kept a log once, and names none now
}

// reportLog is what is to be told of a person's place in the log of her home.
func (a *Agent) reportLog(tx *vault.Tx, p person) (*LogReport, error) {
	home := p.name.Domain()
	d, _, err := a.serverOf(tx, home)
	states := map[pki.LogState]string{
		pki.NoLog: "none", pki.LogAway: "missing", pki.LogMissing: "missing", pki.LogStale: "stale", pki.LogCurrent: "current", pki.LogForked: "forked",
	}
	e := p.evidence.Log
	r := &LogReport{
		State: states[e.State], Domain: home, Since: p.place.Since, Wanted: p.place.Wanted, Refuted: p.place.Shown == misplaced,
		Known: !p.evidence.Pin.Key.IsZero() && p.asked() == p.evidence.Pin.Key, Dropped: e.State != pki.NoLog && !d.HasLog(), Cosigned: []pki.Domain{}, Watchers: []pki.Domain{},
	}
	if l := p.evidence.Log; p.verdict.Row == pki.RowReplaced && !l.Challenged && !l.Since.IsZero() && p.evidence.Pin.Trust < pki.Verified {
		r.Ripe = l.Since.Add(pki.LogPatience)
	}
	if p.place.Shown == placed {
		r.Entry, r.Entries = p.place.Index+1, p.place.Size
	}
	for _, w := range p.place.Watchers {
		r.Watchers = append(r.Watchers, w.Domain)
	}
	ever, _ := p.place.cosigned(a.now())
	for _, w := range ever {
		r.Cosigned = append(r.Cosigned, w.Domain)
		if w.Time.After(r.Head) {
			r.Head = w.Time
		}
	}
	return r, err
}
