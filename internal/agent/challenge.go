package agent

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// How many challenges are kept. Those under the names of contacts are always, up to maxObjectionsOf of one name,
// and that by the key that is known for her is one of these. Others have room beside them.
const (
	maxObjections     = 4096
	maxObjectionsFrom = 1024 // under the names of one domain
	maxObjectionsOf   = 8
)

// A Challenged says that the owner of another key objects to the one that is shown for a name.
type Challenged struct {
	Key    pki.Fingerprint `json:"fingerprint"` // hers
	Words  string          `json:"words"`
	Since  time.Time       `json:"since"`            // by her clock
	Record string          `json:"record,omitempty"` // SHA-256 of the record of the entry that she did not make, in hexadecimal
}

// keepChallenge takes in that somebody objects to other keys than hers under her name. The newest of a
// key is kept.
func (a *Agent) keepChallenge(tx *vault.Tx, raw []byte) error {
	c, err := pki.ParseChallenge(raw)
	if err != nil {
		return nil
	}
	known, err := a.knownOf(tx, c.Domain())
	if err != nil || c.Check(known, a.now()) != nil || hasEnded(tx, c.Name(), c.Key().Fingerprint()) {
		return err
	}
	of := prefixObject + c.Name().String() + "/"
	key := of + c.Key().Fingerprint().String()
	if before, ok := tx.Get(key); ok {
		if held, err := pki.ParseChallenge(before); err != nil || !c.Issued.After(held.Issued) {
			return err
		}
	} else if room, err := a.roomForObjection(tx, c); err != nil || !room {
		return err
	}
	tx.Put(key, raw)
	return nil
}

// roomForObjection makes room for one more, if there can be. Of whoever has most one gives way: of a name in
// the domain, if that has too many, or of a domain in all; and if all have as many, none does. So a home that
// has its users object, or makes them up, fills no room of others with few names.
func (a *Agent) roomForObjection(tx *vault.Tx, c pki.Challenge) (bool, error) {
	name, of := c.Name().String(), prefixObject+c.Name().String()+"/"
	some, err := count(tx, of)
	if err != nil {
		return false, err
	}
	known, met, err := load[contact](tx, prefixContact+name)
	switch {
	case err != nil || some >= maxObjectionsOf && known.Identity != c.Key().Fingerprint():
		return false, err
	case some >= maxObjectionsOf:
		return true, dropFirst(tx, of)
	case met:
		return true, nil
	}
	all, domains, names, err := objectionsOfOthers(tx)
	if err != nil {
		return false, err
	}
	domain := c.Domain().String()
	from := domain
	if all >= maxObjections && domains[domain] < maxObjectionsFrom {
		if from = most(domains, nil); domains[from] < domains[domain]+2 {
			return false, nil
		}
	} else if domains[domain] < maxObjectionsFrom {
		return true, nil
	}
	crowd := most(names, func(n string) bool { return strings.HasSuffix(n, "@"+from) })
	if from == domain && names[crowd] < names[name]+2 {
		return false, nil
	}
	return true, dropFirst(tx, prefixObject+crowd+"/")
}

// objectionsOfOthers counts the challenges that are not under the name of a contact: all, and of each domain
// and name.
func objectionsOfOthers(tx *vault.Tx) (all int, domains, names map[string]int, err error) {
	domains, names = make(map[string]int), make(map[string]int)
	err = tx.Range(prefixObject, func(key string, _ []byte) error {
		name, _, _ := strings.Cut(key[len(prefixObject):], "/")
		if !has(tx, prefixContact+name) {
			_, domain, _ := strings.Cut(name, "@")
			all, domains[domain], names[name] = all+1, domains[domain]+1, names[name]+1
		}
		return nil
	})
	return all, domains, names, err
}

// most is who has most, of those that are asked for: the first of several.
func most(counts map[string]int, of func(string) bool) (who string) {
	for name, n := range counts {
		if (of == nil || of(name)) && (who == "" || n > counts[who] || n == counts[who] && name < who) {
			who = name
		}
	}
	return who
}

// dropFirst deletes the first record of a prefix.
func dropFirst(tx *vault.Tx, prefix string) error {
	first := ""
	err := tx.Range(prefix, func(key string, _ []byte) error {
		if first == "" {
			first = key
		}
		return nil
	})
	if first != "" {
		tx.Delete(first)
	}
	return err
}

// sweepObjections forgets those that count no more: of keys and names that have ended, and those that ran out
// so long ago that no clock begins by their end.
func (a *Agent) sweepObjections(tx *vault.Tx) error {
	return tx.Range(prefixObject, func(key string, raw []byte) error {
		c, err := pki.ParseChallenge(raw)
		if err != nil || hasEnded(tx, c.Name(), c.Key().Fingerprint()) || a.now().Sub(c.Ends()) > pki.LogPatience {
			tx.Delete(key)
		}
		return nil
	})
}

// objections are the challenges under a name that count now: none of a key that was revoked, or for
// which the name has ended, and none that has run out.
func (a *Agent) objections(tx *vault.Tx, name pki.Name) (all []pki.Challenge, err error) {
	err = tx.Range(prefixObject+name.String()+"/", func(key string, raw []byte) error {
		c, err := pki.ParseChallenge(raw)
		if err != nil {
			return err
		}
		if !hasEnded(tx, name, c.Key().Fingerprint()) && a.now().Before(c.Ends()) {
			all = append(all, c)
		}
		return nil
	})
	return all, err
}

// hasEnded tells whether a key was revoked, or a name has ended for it.
func hasEnded(tx *vault.Tx, name pki.Name, key pki.Fingerprint) bool {
	return has(tx, prefixRevoked+key.String()) || has(tx, prefixEnded+name.String()+"/"+key.String())
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
