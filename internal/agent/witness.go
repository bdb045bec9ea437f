package agent

import (
	"cmp"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// The list of those whose word counts.
const (
	// quorum is how many of them have to vouch for a key. Our home is none of them: it could
	// show us any world it likes.
	quorum = 2
	// maxList is how many there are at most: the domains that were pinned first.
	maxList = 64
	// maxSeeds is how many of them the home may name, by its own view, while there are none: at
	// first sight, when whatever it says has to do.
	maxSeeds = 16
	// seedTime is how long after its first word the home may go on naming some, while they are too few
	// for a quorum: a mesh that is minutes old is seen by nobody as a whole.
	seedTime = 24 * time.Hour
)

// A listed is a domain whose view counts.
type listed struct {
	Domain pki.Domain      `json:"domain"`
	Key    pki.Fingerprint `json:"key"` // of its authority, as long as that is not pinned
}

// onList finds a domain on the list.
func onList(tx *vault.Tx, domain pki.Domain) (l listed, ok bool, err error) {
	list, _, err := load[[]listed](tx, keyList)
	i := slices.IndexFunc(list, func(l listed) bool { return l.Domain == domain })
	if err != nil || i < 0 {
		return l, false, err
	}
	return list[i], true, nil
}

// enlist puts domains at the end of the list, if they are not on it and there is room for
// most; after that the home names nobody (see seed). A new one whose view is not here yet has the feed read again.
func (a *Agent) enlist(tx *vault.Tx, most int, more ...listed) (changed bool, err error) {
	list, _, err := load[[]listed](tx, keyList)
	if err != nil {
		return false, err
	}
	for _, l := range more {
		known := slices.ContainsFunc(list, func(k listed) bool { return k.Domain == l.Domain })
		if known || l.Domain == a.home() || len(list) >= most {
			continue
		}
		list, changed = append(list, l), true
		if !has(tx, prefixView+l.Domain.String()) {
			if err := readAgain(tx); err != nil {
				return false, err
			}
		}
	}
	if !changed {
		return false, nil
	}
	tx.Put(keySeeded, nil)
	return true, save(tx, keyList, list)
}

// A bench is those whose word counts, as they stand now: the views that are valid.
type bench struct {
	home  pki.Domain       // whose view is heard, but for what it has pinned
	views []pki.SignedView // of the home first, then in the order of the list
}

// bench reads the views of the home and of the list.
func (a *Agent) bench(tx *vault.Tx) (b bench, err error) {
	b.home = a.home()
	list, _, err := load[[]listed](tx, keyList)
	if err != nil {
		return b, err
	}
	for _, l := range append([]listed{{Domain: b.home}}, list...) {
		raw, ok := tx.Get(prefixView + l.Domain.String())
		if !ok {
			continue
		}
		line, _, err := a.inOffice(tx, l.Domain, l.Key)
		if err != nil {
			return b, err
		}
		if view, ok := a.verifiedView(line, raw); ok {
			b.views = append(b.views, view)
		}
	}
	return b, nil
}

// seed has the home name those whose word counts, if nobody else has put anybody on the list so far:
// neither an invitation nor the user. It does so at first sight, when whatever it says has to do, and
// goes on for a day if those are too few for a quorum. Then it is over for good: a home that turns
// hostile later, or is taken, would name two of its own making and have them vouch for any key. From
// then on the list grows by whom a quorum of it vouches for, and by the user's own doing: whom she
// has verified, and her next invitation. In a mesh that stays too small for a quorum she verifies two
// domains by their words, and these begin it. That views are missing, or have run out, is no reason
// to ask the home again: it is the home that hands them out.
func (a *Agent) seed(tx *vault.Tx, b bench) (changed bool, err error) {
	list, _, err := load[[]listed](tx, keyList)
	if err != nil {
		return false, err
	}
	until, seeding, err := load[time.Time](tx, keySeeding)
	switch {
	case err != nil:
		return false, err
	case seeding:
		if len(list) >= quorum || !a.now().Before(until) {
			return false, nil
		}
		return a.enlist(tx, maxSeeds, b.seeds()...)
	case has(tx, keySeeded):
		return false, nil
	case len(list) > 0: // of an earlier version, which did not keep that
		tx.Put(keySeeded, nil)
		return false, nil
	}
	if changed, err = a.enlist(tx, maxSeeds, b.seeds()...); err == nil && changed {
		err = save(tx, keySeeding, a.now().Add(seedTime))
	}
	return changed, err
}

// seeds are those whom the home has pinned, longest first.
func (b bench) seeds() (all []listed) {
	if len(b.views) == 0 || b.views[0].Domain != b.home {
		return nil
	}
	known := slices.DeleteFunc(slices.Clone(b.views[0].Sightings), func(s pki.Sighting) bool { return s.Key.IsZero() })
	slices.SortStableFunc(known, func(x, y pki.Sighting) int { return x.Since.Compare(y.Since) })
	for _, s := range known {
		all = append(all, listed{s.Domain, s.Key})
	}
	return all
}

// vouches are what the list says is a domain's key.
func (b bench) vouches(of pki.Domain) (all []pki.Vouch) {
	for _, view := range b.views {
		if vouch, ok := view.Vouch(of); ok && view.Domain != b.home {
			all = append(all, vouch)
		}
	}
	return all
}

// dns is what is seen in DNS of a domain. If it is not the same everywhere, one that differs
// from the known key counts: so nobody can hide that it was altered.
func (b bench) dns(of pki.Domain, known pki.Fingerprint) (said pki.DNSEvidence) {
	var all []pki.DNSEvidence
	for _, view := range b.views {
		if s, ok := view.Of(of); ok && !s.DNS.IsZero() {
			all = append(all, pki.DNSEvidence{Key: s.DNS, Secure: s.Secure})
		}
	}
	slices.SortStableFunc(all, func(x, y pki.DNSEvidence) int {
		return cmp.Or(slices.Compare(x.Key[:], y.Key[:]), secureFirst(x, y))
	})
	for _, d := range all {
		if said.Key.IsZero() || said.Key == known && d.Key != known {
			said = d
		}
	}
	return said
}

func secureFirst(x, y pki.DNSEvidence) int {
	switch {
	case x.Secure == y.Secure:
		return 0
	case x.Secure:
		return -1
	}
	return 1
}

// since is from when on all of some have the key of a domain pinned, by their own clocks.
func (b bench) since(of pki.Domain, by []pki.Domain) (latest time.Time) {
	for _, view := range b.views {
		if s, ok := view.Of(of); ok && slices.Contains(by, view.Domain) && s.Since.After(latest) {
			latest = s.Since
		}
	}
	return latest
}

// stood is since when another domain has stood by the key of a domain with its
// countersignature; false if none does.
func (b bench) stood(of pki.Domain, key pki.Fingerprint) (since time.Time, ok bool) {
	for _, view := range b.views {
		s, found := view.Of(of)
		if !found || s.Standing < pki.Countersigned || s.Key != key {
			continue
		}
		if !ok || s.Since.Before(since) {
			since, ok = s.Since, true
		}
	}
	return since, ok
}
