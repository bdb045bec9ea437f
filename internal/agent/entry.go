package agent

import (
	"context"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A user may log in at any node. The one that she chose last is her entry: it is where she
// connects when her home does not answer, and the second of her spools. There is one link at a
// time. Every now and then that is made anew, and leads home if the home answers. Then what waits
// at the entry is fetched, on a link of its own, and at those that were her entry before, for as
// long as somebody may write there.
const (
	// homeTime is how long a home may take to answer before the entry is asked.
	homeTime = 8 * time.Second
	// entryKept is for how long after it was used an entry is one of our spools, and is asked for
	// letters: as long as it keeps one.
	entryKept = 30 * 24 * time.Hour
	// entryEvery is how often what waits elsewhere is fetched, and how long a link lasts at most
	// where there is an elsewhere.
	entryEvery = 10 * time.Minute
	// collectTime is how long fetching at one node may take in one go.
	collectTime = 20 * time.Second
	// maxEntries is how many nodes are asked for letters beside the home: the entry, and those
	// that were it last. What came to others is lost to us, and its senders try again at home.
	maxEntries = 4
)

// An entry is the node, beside the home, at which we logged in.
type entry struct {
	stop
	Published time.Time    `json:"published"` // our card there
	Carded    []byte       `json:"carded"`    // the certificate in that card
	Told      []pki.Domain `json:"told"`      // the spools in our card at home
	Left      []stop       `json:"left"`      // which were it before, the last first
}

// A stop is a node where letters for us may be.
type stop struct {
	Domain  pki.Domain `json:"domain,omitzero"` // none: there is no entry, only stops that were one
	Used    time.Time  `json:"used"`            // when we were last connected to it because we wanted to or had to
	Fetched time.Time  `json:"fetched"`         // when what waits there was last fetched from elsewhere
}

// spool tells whether letters may still come there.
func (s stop) spool(now time.Time) bool { return !s.Domain.IsZero() && now.Sub(s.Used) < entryKept }

// use makes via the entry, in place of that which was it until now.
func (e entry) use(via pki.Domain, now time.Time) entry {
	if e.Domain != via {
		left := append([]stop{e.stop}, e.Left...)
		left = slices.DeleteFunc(left, func(s stop) bool { return s.Domain == via || !s.spool(now) })
		e = entry{stop: stop{Domain: via}, Left: left[:min(len(left), maxEntries-1)]}
	}
	e.Used = now
	return e
}

// due takes out the stops where it is time to fetch, as if that had been done. The entry is one
// only if the link leads elsewhere.
func (e *entry) due(now time.Time, abroad bool) (due []pki.Domain) {
	stops := []*stop{&e.stop}
	if abroad {
		stops = nil
	}
	for i := range e.Left {
		stops = append(stops, &e.Left[i])
	}
	for _, s := range stops {
		if s.spool(now) && now.Sub(s.Fetched).Abs() >= entryEvery {
			s.Fetched, due = now, append(due, s.Domain)
		}
	}
	return due
}

// entry returns the node that we chose beside the home; ok is false if there is none, though there
// may be stops.
func (a *Agent) entry() (e entry, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		e, ok, err = load[entry](tx, keyEntry)
		return err
	})
	return e, ok && !e.Domain.IsZero(), err
}

// spools are the servers that keep what is written to us, best first: where we are connected,
// and then the other one of home and entry.
func (a *Agent) spools(tx *vault.Tx) ([]pki.Domain, error) {
	if a.self.linked() { // what she says herself, for all of us
		card, err := a.self.ownCard()
		return card.Spools, err
	}
	spools := []pki.Domain{a.home()}
	e, _, err := load[entry](tx, keyEntry)
	if err == nil && e.spool(a.now()) {
		spools = append(spools, e.Domain)
	}
	if !a.base.IsZero() && a.base != a.home() {
		slices.Reverse(spools)
	}
	return spools, err
}

// tour fetches what waits elsewhere, if that was not done for a while, and comes back to where
// the link led. That some node does not answer is no error.
func (a *Agent) tour(ctx context.Context) error {
	var due []pki.Domain
	err := a.vault.Update(func(tx *vault.Tx) error {
		e, ok, err := load[entry](tx, keyEntry)
		if due = e.due(a.now(), a.abroad()); err != nil || !ok || len(due) == 0 {
			return err
		}
		return save(tx, keyEntry, e)
	})
	if err != nil || len(due) == 0 {
		return err
	}
	for _, via := range due {
		a.disconnect()
		if err := a.collect(ctx, via); err != nil {
			a.cfg.Log.Debug("fetching elsewhere", "err", err)
		}
	}
	a.disconnect()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if a.base == a.home() {
		return a.connectHome(ctx)
	}
	return a.connectEntry(ctx, a.base)
}

// collect fetches what waits at the node of via now.
func (a *Agent) collect(ctx context.Context, via pki.Domain) error {
	ctx, cancel := context.WithTimeout(ctx, collectTime)
	defer cancel()
	conn, err := a.reachEntry(ctx, via)
	if err != nil {
		return err
	}
	if err := a.begun(ctx, via, conn); err != nil {
		return err
	}
	for {
		if n, err := a.fetch(ctx, 0); n == 0 || err != nil {
			return err
		}
	}
}

// stale tells whether the link is to be made anew, to see whether the home answers, and what has
// come elsewhere, or since something is to be renewed.
func (a *Agent) stale() (bool, error) {
	if aged, err := a.aged(); err != nil || aged {
		return aged, err
	}
	e, _, err := a.entry()
	return a.now().Sub(a.since).Abs() >= entryEvery && (a.abroad() || len(e.due(a.now(), false)) > 0), err
}

// cardedThere tells whether the node that the link leads to has a card of ours that will do:
// with this certificate, and with these spools.
func (a *Agent) cardedThere(id identity, e entry, certificate []byte, spools []pki.Domain) (bool, error) {
	published, carded := id.Published, id.Carded
	if a.abroad() {
		published, carded = e.Published, e.Carded
	} else if len(spools) > 1 || len(e.Told) > 1 {
		if !slices.Equal(e.Told, spools) {
			return false, nil
		}
	}
	due, err := a.self.recards(carded, published)
	return equal(carded, certificate) && a.now().Before(due), err
}

// noteCard notes that the node that the link leads to has a card of ours.
func (a *Agent) noteCard(tx *vault.Tx, at time.Time, certificate []byte, spools []pki.Domain) error {
	e, ok, err := load[entry](tx, keyEntry)
	if err != nil {
		return err
	}
	if a.abroad() {
		e.Published, e.Carded = at, certificate
	} else {
		e.Told = spools
	}
	if ok {
		if err := save(tx, keyEntry, e); err != nil || a.abroad() {
			return err
		}
	}
	id, _, err := load[identity](tx, keyIdentity)
	if err != nil {
		return err
	}
	id.Published, id.Carded = at, certificate
	return save(tx, keyIdentity, id)
}
