package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

const (
	// watchLeast and watchMost bound how long a domain is left alone between two looks at its
	// record; within them the record's time to live counts.
	watchLeast = time.Minute
	watchMost  = time.Hour
	// homeEvery is how long a domain's own servers are left alone while nothing is odd.
	homeEvery = time.Hour
	// watchSure is how long a key that nobody handed over to must stand in DNS before the
	// operator hears of it: the word of a hand-over may be on its way.
	watchSure = 3 * time.Second
	// doubtPause is the least time between two looks at a peer's servers for what somebody shows on a
	// link: anybody can show anything there.
	doubtPause = 5 * time.Second
	// maxLooks is how many domains are looked at, at a time.
	maxLooks = 8
)

// A watcher looks at the records and servers of all domains in the directory, again and again,
// so that nobody has to ask about one when it matters.
type watcher struct {
	n           *Node
	least, most time.Duration
	wake        chan struct{} // has room for one: somebody is due sooner

	mu   sync.Mutex // guards what follows
	due  map[pki.Domain]time.Time
	told map[source]pki.DNSEvidence // what the operator heard of last; of servers, the key alone
	odd  map[source]time.Time       // since when it says another one

	doubted map[pki.Domain]time.Time // peers of whom another key was shown on a link: until when no more is heard of that
	asked   map[pki.Domain]bool      // of these, whose servers are to be looked at
}

// A source says which key a domain has.
type source struct {
	domain pki.Domain
	kind   string // EventDNS or EventHome
}

func newWatcher(n *Node) *watcher {
	least, most := watchLeast, watchMost
	if pace := time.Duration(n.cfg.Lab.Watch); pace > 0 {
		least, most = pace, pace
	}
	w := &watcher{
		n: n, least: least, most: most, wake: make(chan struct{}, 1), due: make(map[pki.Domain]time.Time),
		told: make(map[source]pki.DNSEvidence), odd: make(map[source]time.Time),
		doubted: make(map[pki.Domain]time.Time), asked: make(map[pki.Domain]bool),
	}
	for domain, s := range n.beliefs.seen { // nobody else has it yet
		w.told[source{domain, EventDNS}] = pki.DNSEvidence{Key: s.DNS, Secure: s.Secure}
		w.told[source{domain, EventHome}] = pki.DNSEvidence{Key: s.Home}
	}
	return w
}

// soon has a domain looked at now.
func (w *watcher) soon(domain pki.Domain) { w.in(domain, 0) }

// in has a domain looked at after a time, and not before.
func (w *watcher) in(domain pki.Domain, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due[domain] = time.Now().Add(d)
	offer(w.wake, struct{}{})
}

// doubt has a peer's servers looked at, of whom somebody has shown another key than the pinned one
// on a link: they know if there was a hand-over, and nobody else may have heard of it yet.
func (w *watcher) doubt(peer pki.Domain) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Before(w.doubted[peer]) {
		return
	}
	w.doubted[peer], w.asked[peer], w.due[peer] = now.Add(doubtPause), true, now
	offer(w.wake, struct{}{})
}

// isDoubted tells once that a domain's servers are to be looked at for a doubt.
func (w *watcher) isDoubted(domain pki.Domain) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked[domain]
	delete(w.asked, domain)
	return asked
}

// run looks at whoever is due until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	places := make(chan struct{}, maxLooks)
	for ctx.Err() == nil {
		all, pause := w.take(time.Now())
		for _, domain := range all {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			looking.Go(func() {
				defer func() { <-places }()
				w.look(ctx, domain)
			})
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.wake:
		}
		timer.Stop()
	}
	return nil
}

// take returns who is due, and how long nobody will be. Who is new is due within the least
// time, at any instant of it.
func (w *watcher) take(now time.Time) (all []pki.Domain, pause time.Duration) {
	domains := w.n.directory.domains()
	w.mu.Lock()
	defer w.mu.Unlock()
	pause = w.least
	for _, domain := range domains {
		due, ok := w.due[domain]
		if !ok {
			due = now.Add(rand.N(w.least))
		}
		if !due.After(now) {
			all = append(all, domain)
			due = now.Add(w.most + lookUpTime) // until it has been looked at
		}
		w.due[domain] = due
		pause = min(pause, due.Sub(now))
	}
	return all, pause
}

// look looks at one domain: its record in DNS, and, if that is odd or it is time, its servers.
func (w *watcher) look(ctx context.Context, domain pki.Domain) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	answer, err := w.n.lookDNS(ctx, domain)
	next := min(max(answer.TTL, w.least), w.most)
	if err != nil {
		next = w.least
	}
	w.in(domain, next*9/10+rand.N(next/5+1)) // first: what follows may have it looked at sooner
	if w.isDoubted(domain) || w.n.homeIsDue(domain) {
		w.n.lookHome(ctx, domain)
	}
	if _, err := w.n.bench.settle(ctx, domain); err != nil && ctx.Err() == nil {
		w.n.log.Error("judging", "domain", domain, "err", err)
	}
	w.n.tellChanges(ctx, domain)
}

// lookDNS asks DNS for a domain's record, and remembers what it names. If there is none, or no
// good one, it names nothing; if there is no answer, or one whose signature is wrong, what it said
// last is all that we know.
func (n *Node) lookDNS(ctx context.Context, domain pki.Domain) (dnstxt.Answer, error) {
	answer, err := n.resolver.Look(ctx, domain)
	if err != nil && (errors.Is(err, dnstxt.ErrBogus) || !errors.Is(err, dnstxt.ErrNone) && !errors.Is(err, dnstxt.ErrInvalid)) {
		return answer, err
	}
	secure := answer.Security == dnstxt.Secure
	changed, failed := n.beliefs.see(ctx, n.sightingsOf(domain), domain, func(s *store.Sighting) bool {
		if s.DNS == [32]byte(answer.Fingerprint) && s.Secure == secure && !s.DNSAt.IsZero() {
			return false
		}
		s.DNS, s.Secure, s.DNSAt = answer.Fingerprint, secure, time.Now()
		return true
	})
	if changed {
		n.sayAnew()
		n.bench.again(domain)
	}
	return answer, errors.Join(err, failed)
}

// sightingsOf is where what is seen of a domain is kept: nowhere unless it is pinned or in the
// directory, or anybody could have us keep what DNS says of anything.
func (n *Node) sightingsOf(domain pki.Domain) *store.Store {
	if !n.knows(domain) {
		return nil
	}
	return n.store
}

func (n *Node) knows(domain pki.Domain) bool {
	_, isPinned := n.beliefs.pin(domain)
	_, listed := n.directory.find(domain)
	return isPinned || listed
}

// homeIsDue reports whether a domain's own servers are to be looked at: when what DNS or they
// themselves said last is not the pinned key, or it was long ago.
func (n *Node) homeIsDue(domain pki.Domain) bool {
	p, ok := n.beliefs.pin(domain)
	s := n.beliefs.sighting(domain)
	odd := func(key [32]byte) bool { return key != [32]byte{} && key != [32]byte(p.Key) }
	return ok && (odd(s.DNS) || odd(s.Home) || len(n.heirs(domain, p)) > 0 || n.authorityKey(domain) != p.Key || time.Since(s.HomeAt) > homeEvery)
}

// lookHome asks the key servers that a domain named under its pinned key which key they show,
// wherever DNS may point now. What they show under another key is kept if it is the heir's.
func (n *Node) lookHome(ctx context.Context, domain pki.Domain) {
	descriptor, err := n.directory.descriptor(ctx, domain)
	p, ok := n.beliefs.pin(domain)
	if err != nil || !ok {
		return
	}
	for _, address := range descriptor.KeyServers {
		signed, err := n.client.Server(ctx, keyserver.Endpoint{Address: address, CA: p.Key}, domain)
		var changed *pki.KeyChangedError
		switch {
		case err == nil:
			n.sawHome(ctx, domain, p.Key)
			n.directory.unshow(domain)
			_, err = n.directory.take(ctx, signed)
		case errors.As(err, &changed):
			at := keyserver.Endpoint{Address: address, CA: changed.Shown}
			n.hearSuccessions(ctx, domain, at.CA, at)
			n.sawHome(ctx, domain, changed.Shown)
			if shown, failed := n.client.Server(ctx, at, domain); failed == nil {
				n.directory.show(shown)
			}
			err = n.takeHeir(ctx, domain, at)
		default: // it does not answer, and says nothing
			continue
		}
		if err != nil && ctx.Err() == nil {
			n.log.Info("a domain's own servers", "domain", domain, "err", err)
		}
		return
	}
}

// takeHeir gets the descriptor of a domain under the key that the pinned one handed over to.
func (n *Node) takeHeir(ctx context.Context, domain pki.Domain, at keyserver.Endpoint) error {
	if !n.isHeir(domain, at.CA) {
		return nil
	}
	signed, err := n.client.Server(ctx, at, domain)
	if err == nil {
		_, err = n.directory.take(ctx, signed)
	}
	return err
}

// sawHome remembers which key a domain's own servers show.
func (n *Node) sawHome(ctx context.Context, domain pki.Domain, shown pki.Fingerprint) {
	var was pki.Fingerprint
	changed, err := n.beliefs.see(ctx, n.store, domain, func(s *store.Sighting) bool {
		if was = s.Home; was == shown && time.Since(s.HomeAt) < homeEvery {
			return false
		}
		s.Home, s.HomeAt = shown, time.Now()
		return true
	})
	if err != nil {
		n.log.Error("remembering a sighting", "domain", domain, "err", err)
	}
	if changed && was != shown {
		n.bench.again(domain)
	}
}

// tellChanges makes one event of each change of what DNS says of a domain, and whether DNSSEC
// vouches for that, or of what its own servers say, when it has stood for a while.
func (n *Node) tellChanges(ctx context.Context, domain pki.Domain) {
	s := n.beliefs.sighting(domain)
	n.tellChange(ctx, domain, EventDNS, pki.DNSEvidence{Key: s.DNS, Secure: s.Secure})
	n.tellChange(ctx, domain, EventHome, pki.DNSEvidence{Key: s.Home})
}

// tellChange is tellChanges for one source, which says is. A hand-over, also one that it has
// not heard of yet, and the first that a source says of a domain, are no events.
func (n *Node) tellChange(ctx context.Context, domain pki.Domain, kind string, is pki.DNSEvidence) {
	p, _ := n.beliefs.pin(domain)
	expected := is.Key == p.Key || p.Key.IsZero() || n.isHeir(domain, is.Key) || n.handedOver(domain, is.Key)
	was, change, sure := n.watcher.changed(source{domain, kind}, is, expected)
	if !sure {
		n.watcher.in(domain, min(watchSure, n.watcher.least))
		return
	}
	if !change {
		return
	}
	v := n.judge(ctx, domain)
	n.note(ctx, domain, kind, said(kind, was, is)+": "+v.Reason()+vouchers(v))
}

// said is a change of what a source says, in words.
func said(kind string, was, is pki.DNSEvidence) string {
	key := is.Key.String()
	switch {
	case kind == EventHome:
		return "its own servers show the key " + key
	case is.Key.IsZero():
		return "DNS has no record of it"
	case is.Key == was.Key && is.Secure:
		return "DNS names the key " + key + " as before, and DNSSEC vouches for it now"
	case is.Key == was.Key:
		return "DNS names the key " + key + " as before, and DNSSEC does not vouch for it any more"
	}
	return "DNS names the key " + key + " (" + is.Security() + ")"
}

// changed reports whether a source says something else than the operator heard of last, which it
// returns. What is not expected, or worth less than before, must have been seen for a while before
// that is sure.
func (w *watcher) changed(of source, is pki.DNSEvidence, expected bool) (was pki.DNSEvidence, change, sure bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, ok := w.told[of]
	since, odd := w.odd[of]
	weaker := was.Secure && !is.Secure
	switch {
	case !ok && is.Key.IsZero(): // it has said nothing yet
		return was, false, true
	case ok && was == is:
		delete(w.odd, of)
		return was, false, true
	case expected && !weaker:
		delete(w.odd, of)
		w.told[of] = is
		return was, ok && !was.Key.IsZero() && (was.Key == is.Key || !w.n.handedOver(of.domain, was.Key)), true
	case !odd:
		w.odd[of] = time.Now()
		return was, false, false
	case time.Since(since) < min(watchSure, w.least):
		return was, false, false
	}
	delete(w.odd, of)
	w.told[of] = is
	return was, true, true
}

// handedOver reports whether a key is one that handed over to the pinned one, or is the pinned
// one that has handed over: when DNS leaves it, that is no news.
func (n *Node) handedOver(domain pki.Domain, key pki.Fingerprint) bool {
	p, ok := n.beliefs.pin(domain)
	for _, former := range p.Former {
		if former == key {
			return true
		}
	}
	return ok && key == p.Key && len(n.heirs(domain, p)) > 0
}
