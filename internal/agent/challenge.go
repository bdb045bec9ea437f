package agent

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// maxObjections is how many challenges are kept; what is more is not taken in. Those under the names
// of contacts are always, up to maxObjectionsOf of one name.
const (
	maxObjections   = 4096
	maxObjectionsOf = 8
)

// A Challenged says that the owner of another key objects to the one that is shown for a name.
type Challenged struct {
	Key    pki.Fingerprint `json:"fingerprint"` // hers
	Words  string          `json:"words"`
	Since  time.Time       `json:"since"`            // by her clock
	Record string          `json:"record,omitempty"` // SHA-256 of the record of the entry that she did not make, in hexadecimal
}

// Challenge says that whatever other key is shown under the user's name is not by her: her identity
// key signs that. It is handed in at the node of via; without one at the home, and at some others that
// the folder knows. record is the entry of the key log that she found, zero if none. Errors: ErrNoHome
// if the key was never certified, ErrNotHandedIn, a *session.Error if a node refuses.
func (a *Agent) Challenge(ctx context.Context, via pki.Domain, record [32]byte) (HandedIn, error) {
	certificate, err := a.certified()
	if err != nil {
		return HandedIn{}, err
	}
	c, err := a.self.key.Challenge(certificate, record, a.now())
	if err != nil {
		return HandedIn{}, err
	}
	in := HandedIn{Name: c.Name(), Key: c.Key().Fingerprint()}
	in.At, err = a.handOut(ctx, via, func(ctx context.Context, s *session.Client) error { return s.Challenge(ctx, c.Raw()) })
	return in, err
}

// keepChallenge takes in that somebody objects to other keys than hers under her name. The newest of a
// key is kept.
func (a *Agent) keepChallenge(tx *vault.Tx, raw []byte) error {
	c, err := pki.ParseChallenge(raw)
	if err != nil {
		return nil
	}
	known, err := a.knownOf(tx, c.Domain())
	if err != nil || c.Check(known, a.now()) != nil {
		return err
	}
	of := prefixObject + c.Name().String() + "/"
	key := of + c.Key().Fingerprint().String()
	if before, ok := tx.Get(key); ok {
		if held, err := pki.ParseChallenge(before); err != nil || !c.Issued.After(held.Issued) {
			return err
		}
	} else if room, err := roomForObjection(tx, c.Name(), of); err != nil || !room {
		return err
	}
	tx.Put(key, raw)
	return nil
}

func roomForObjection(tx *vault.Tx, name pki.Name, of string) (bool, error) {
	some, err := count(tx, of)
	if err != nil || some >= maxObjectionsOf || has(tx, prefixContact+name.String()) {
		return err == nil && some < maxObjectionsOf, err
	}
	all, err := count(tx, prefixObject)
	return all < maxObjections, err
}

// objections are the challenges under a name that count now: none of a key that was revoked, or for
// which the name has ended, and none that has run out.
func (a *Agent) objections(tx *vault.Tx, name pki.Name) (all []pki.Challenge, err error) {
	err = tx.Range(prefixObject+name.String()+"/", func(key string, raw []byte) error {
		c, err := pki.ParseChallenge(raw)
		if err != nil {
			return err
		}
		own := c.Key().Fingerprint()
		ended := has(tx, prefixRevoked+own.String()) || has(tx, prefixEnded+name.String()+"/"+own.String())
		if !ended && a.now().Before(c.Ends()) {
			all = append(all, c)
		}
		return nil
	})
	return all, err
}

// stall stops the clock of another key than the known one for as long as somebody objects to it; when a
// challenge has run out it begins anew.
func (a *Agent) stall(tx *vault.Tx, p *person) error {
	log := &p.evidence.Log
	if log.Since.IsZero() {
		return nil
	}
	return tx.Range(prefixObject+p.name.String()+"/", func(_ string, raw []byte) error {
		c, err := pki.ParseChallenge(raw)
		if err != nil || !c.Against(log.Newest) {
			return err
		}
		if slices.ContainsFunc(p.objects, func(o pki.Challenge) bool { return o.Key() == c.Key() }) {
			log.Challenged = true
		} else if ends := c.Ends(); !a.now().Before(ends) && ends.After(log.Since) {
			log.Since = ends
		}
		return nil
	})
}

// contest holds who is met now while the owner of another key objects: two say to be her, and only
// she can tell which, by other means. A key that is pinned stays so.
func (p *person) contest() {
	shown := p.evidence.Home
	against := func(c pki.Challenge) bool { return c.Against(shown) }
	if p.evidence.Pin.Key.IsZero() && !shown.IsZero() && slices.ContainsFunc(p.objects, against) {
		p.verdict = pki.Verdict{Row: pki.RowChallenged}
	}
}

// contested tells whether she is met now, and the owner of another key objects.
func (p person) contested() bool { return p.verdict.Row == pki.RowChallenged }

func challenged(all []pki.Challenge) []Challenged {
	list := make([]Challenged, 0, len(all))
	for _, c := range all {
		one := Challenged{Key: c.Key().Fingerprint(), Words: spelt(c.Key().Fingerprint()), Since: c.Issued}
		if c.Record != [32]byte{} {
			one.Record = hex.EncodeToString(c.Record[:])
		}
		list = append(list, one)
	}
	return list
}
