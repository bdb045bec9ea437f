package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// pinDomain is the kind of a pin of a domain's authority.
const pinDomain = "domain"

// maxPages is how many pages of the directory are read for users at a time: strangers may
// ask for them too, and shall not be in the way of those who fetch their letters.
const maxPages = 2

// lookUpTime bounds one look-up at another node, DNS and key server together.
const lookUpTime = 10 * time.Second

// A directory is the set of all server descriptors that the node knows: its own, its
// peers', and those that its peers have. Each is signed by its domain; whether the signing
// key is the domain's true one, [pki.Judge] says. What only DNS names is good enough to route
// by, and is not pinned.
type directory struct {
	n     *Node
	pulls chan struct{} // has room for maxPulls: one for each that is under way
	pages chan struct{} // the same for maxPages

	mu      sync.Mutex // guards what follows; held for a map's access only
	known   map[pki.Domain]known
	changes uint64                              // how often what statements of a domain are judged by has changed
	signers map[pki.Fingerprint]pki.Domain      // whose the authorities in known are
	shown   map[pki.Domain]pki.SignedDescriptor // what domains' own servers show under another key than the pinned one
}

// known is what the directory holds in memory of a domain: enough to see what is not new.
type known struct {
	ca      pki.CACert
	serial  uint64
	log     pki.LogPublic     // zero: it keeps none
	witness pki.WitnessPublic // the same
	changed uint64            // which of the changes was the last of this domain
}

func openDirectory(ctx context.Context, n *Node) (*directory, error) {
	d := &directory{n: n, pulls: make(chan struct{}, maxPulls), pages: make(chan struct{}, maxPages), known: make(map[pki.Domain]known), signers: make(map[pki.Fingerprint]pki.Domain), shown: make(map[pki.Domain]pki.SignedDescriptor)}
	rows, err := n.store.Servers(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		descriptor, err := pki.ParseDescriptor(row.Descriptor)
		if err != nil {
			return nil, fmt.Errorf("node: descriptor of %s: %w", row.Domain, err)
		}
		d.know(descriptor)
	}
	return d, nil
}

func (d *directory) know(signed pki.SignedDescriptor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	is := d.known[signed.Domain]
	was := is.ca.Fingerprint()
	if d.signers[was] == signed.Domain {
		delete(d.signers, was)
	}
	if was != signed.CA.Fingerprint() || is.log != signed.Log {
		d.changes++
		is.changed = d.changes
	}
	is.ca, is.serial, is.log, is.witness = signed.CA, signed.Serial, signed.Log, signed.Witness
	d.known[signed.Domain] = is
	d.signers[signed.CA.Fingerprint()] = signed.Domain
}

// change notes that more is known by which statements of a domain in it are judged.
func (d *directory) change(domain pki.Domain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if is, ok := d.known[domain]; ok {
		d.changes++
		is.changed = d.changes
		d.known[domain] = is
	}
}

// now is the number of the last change.
func (d *directory) now() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

func (d *directory) find(domain pki.Domain) (known, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.known[domain]
	return k, ok
}

func (d *directory) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.known) >= store.MaxServers
}

// authority finds the authority of a domain that is in the directory.
func (d *directory) authority(domain pki.Domain) (pki.CACert, bool) {
	k, ok := d.find(domain)
	return k.ca, ok
}

// authorityKey is the key that a domain is known by; zero if it is not.
func (n *Node) authorityKey(domain pki.Domain) pki.Fingerprint {
	ca, ok := n.directory.authority(domain)
	if !ok {
		return pki.Fingerprint{}
	}
	return ca.Fingerprint()
}

// publishOwn signs our descriptor anew if what it says has changed or it is half way
// through its life.
func (d *directory) publishOwn(ctx context.Context, now time.Time) error {
	fresh, err := d.own(now)
	if err != nil {
		return err
	}
	old, err := d.descriptor(ctx, d.n.cfg.Domain)
	if err == nil && says(old, fresh) && now.Before(old.Issued.Add(pki.DescriptorLifetime/2)) {
		return nil
	}
	fresh.Serial = max(old.Serial+1, uint64(now.UnixMilli()))
	signed, err := d.n.authority().SignDescriptor(fresh)
	if err != nil {
		return fmt.Errorf("node: signing our descriptor: %w", err)
	}
	if err := d.n.published.PublishDescriptor(ctx, signed); err != nil {
		return err
	}
	d.know(signed)
	d.n.tell()
	return nil
}

// own is what our descriptor says now.
func (d *directory) own(now time.Time) (pki.Descriptor, error) {
	servers, err := d.n.keys.servers(now)
	if err != nil {
		return pki.Descriptor{}, err
	}
	fresh := pki.Descriptor{
		Issued: now, Expires: now.Add(pki.DescriptorLifetime),
		Links: d.n.cfg.Publish.Links, KeyServers: d.n.cfg.Publish.KeyServers,
		CA: d.n.authority().CA(), Next: d.n.authority().Commitment().Next, Root: d.n.authority().Commitment().Root,
	}
	d.n.logging.describe(&fresh)
	if len(fresh.Links) == 0 {
		fresh.Links = []string{d.n.addresses.Link}
	}
	if len(fresh.KeyServers) == 0 {
		fresh.KeyServers = []string{d.n.addresses.KeyServer}
	}
	for _, key := range servers {
		if key.Period >= pki.PeriodAt(now) { // the last one only opens what is late
			fresh.ServerKeys = append(fresh.ServerKeys, pki.ServerKey{
				Period: key.Period, Public: [pki.ServerKeySize]byte(key.Private.Public().Bytes()),
			})
		}
	}
	return fresh, nil
}

// says reports whether two descriptors hold the same keys and addresses.
func says(a pki.SignedDescriptor, b pki.Descriptor) bool {
	return fmt.Sprint(a.ServerKeys, a.Links, a.KeyServers, a.Next, a.Root, a.CA.Fingerprint()) ==
		fmt.Sprint(b.ServerKeys, b.Links, b.KeyServers, b.Next, b.Root, b.CA.Fingerprint()) &&
		a.Log == b.Log && a.Witness == b.Witness && a.Labels == b.Labels
}

// descriptor returns the newest descriptor of domain that we hold.
func (d *directory) descriptor(ctx context.Context, domain pki.Domain) (pki.SignedDescriptor, error) {
	row, err := d.n.store.Server(ctx, domain.String())
	if err != nil {
		return pki.SignedDescriptor{}, err
	}
	return pki.ParseDescriptor(row.Descriptor)
}

// page returns the descriptors of the domains that sort after the given one, signed, for
// our users.
func (d *directory) page(ctx context.Context, after pki.Domain) (session.Descriptors, error) {
	select {
	case d.pages <- struct{}{}:
		defer func() { <-d.pages }()
	case <-ctx.Done():
		return session.Descriptors{}, ctx.Err()
	}
	most := session.MaxDescriptors - session.MaxShown // so many as an answer can hold, whatever their size
	rows, err := d.n.store.ServersAfter(ctx, after.String(), most)
	if err != nil {
		return session.Descriptors{}, err
	}
	page := session.Descriptors{Descriptors: make([][]byte, len(rows))}
	for i, row := range rows {
		page.Descriptors[i] = row.Descriptor
		if shown, ok := d.shownBy(row.Domain); ok && len(page.Shown) < session.MaxShown {
			page.Shown = append(page.Shown, shown.Raw())
		}
	}
	if len(rows) == most {
		page.Last, err = pki.ParseDomain(rows[len(rows)-1].Domain)
	}
	return page, err
}

// maxShown is of how many domains it is kept what they show under another key. Of more it is not told.
const maxShown = 1024

// show keeps what a domain's own servers show under another key than the pinned one: for our users to
// judge by, who do not ask us about each other.
func (d *directory) show(signed pki.SignedDescriptor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.shown[signed.Domain]; ok || len(d.shown) < maxShown {
		d.shown[signed.Domain] = signed
	}
}

// unshow forgets it: they show the pinned one.
func (d *directory) unshow(domain pki.Domain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.shown, domain)
}

// shownBy is what a domain's own servers show under another key than the pinned one.
func (d *directory) shownBy(name string) (signed pki.SignedDescriptor, ok bool) {
	domain, err := pki.ParseDomain(name)
	if err != nil {
		return signed, false
	}
	d.mu.Lock()
	signed, ok = d.shown[domain]
	d.mu.Unlock()
	p, pinned := d.n.beliefs.pin(domain)
	return signed, ok && pinned && p.Key != signed.CA.Fingerprint()
}

// domains are those in the directory, without our own, by name.
func (d *directory) domains() []pki.Domain {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]pki.Domain, 0, len(d.known))
	for domain := range d.known {
		if domain != d.n.cfg.Domain {
			all = append(all, domain)
		}
	}
	slices.SortFunc(all, func(a, b pki.Domain) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// discover finds a domain by DNS and its key server, and keeps its descriptor. A key that is
// not the one to use, by all that is known, is a *ContestedError, whoever shows it.
func (d *directory) discover(ctx context.Context, domain pki.Domain) (pki.SignedDescriptor, error) {
	return d.discoverBy(ctx, domain, d.take)
}

// enlist is discover for a domain that the operator adds as a peer: that overrules what a single
// peer says of it.
func (d *directory) enlist(ctx context.Context, domain pki.Domain) (pki.SignedDescriptor, error) {
	return d.discoverBy(ctx, domain, func(ctx context.Context, signed pki.SignedDescriptor) (bool, error) {
		changed, err := d.take(ctx, signed)
		var contested *ContestedError
		if _, isPinned := d.n.beliefs.pin(domain); isPinned || !errors.As(err, &contested) {
			return changed, err
		}
		vouches := d.n.peersVouches(domain, time.Now())
		for _, v := range vouches {
			if v.Key != signed.CA.Fingerprint() && wordsFor(vouches, v.Key) >= enoughPeers {
				return false, err
			}
		}
		return d.keep(ctx, signed)
	})
}

// discoverBy is discover with who judges what is found.
func (d *directory) discoverBy(ctx context.Context, domain pki.Domain, take func(context.Context, pki.SignedDescriptor) (bool, error)) (pki.SignedDescriptor, error) {
	defer d.forgetStranger(domain)
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	record, err := d.n.lookDNS(ctx, domain)
	if err != nil {
		return pki.SignedDescriptor{}, err
	}
	if p, ok := d.n.beliefs.pin(domain); ok && record.Fingerprint != p.Key && !d.n.isHeir(domain, record.Fingerprint) {
		d.n.watcher.soon(domain)
		return pki.SignedDescriptor{}, d.n.contested(ctx, domain, record.Fingerprint)
	}
	var failed error
	for _, address := range record.KeyServers {
		signed, err := d.n.client.Server(ctx, keyserver.Endpoint{Address: address, CA: record.Fingerprint}, domain)
		if err == nil {
			err = signed.CheckTime(time.Now())
		}
		if err == nil {
			_, err = take(ctx, signed)
		}
		if err == nil {
			return signed, nil
		}
		failed = errors.Join(failed, err)
	}
	return pki.SignedDescriptor{}, fmt.Errorf("node: %s's key server: %w", domain, failed)
}

// forgetStranger forgets what was seen of a domain that is not known all the same.
func (d *directory) forgetStranger(domain pki.Domain) {
	if !d.n.knows(domain) {
		d.n.beliefs.unsee(domain)
	}
}

// take judges a descriptor that somebody handed on, and keeps it if it is under the key to
// use. One under the key that the pinned one handed over to waits until that is pinned.
func (d *directory) take(ctx context.Context, signed pki.SignedDescriptor) (changed bool, err error) {
	domain, shown := signed.Domain, signed.CA.Fingerprint()
	if domain == d.n.cfg.Domain {
		return false, nil
	}
	known, ok := d.find(domain)
	same := ok && known.ca.Fingerprint() == shown
	if same && signed.Serial <= known.serial {
		return false, nil
	}
	p, isPinned := d.n.beliefs.pin(domain)
	switch {
	case isPinned && p.Key == shown:
	case isPinned && slices.Contains(p.Former, shown): // who hands it on lags behind
		return false, nil
	case isPinned && !d.n.isHeir(domain, shown):
		return false, d.n.contested(ctx, domain, shown)
	}
	if err := signed.CheckTime(time.Now()); err != nil {
		return false, err
	}
	switch {
	case isPinned && p.Key != shown:
		return d.takeHeir(ctx, signed)
	case !isPinned && !same:
		if err := d.introduce(ctx, signed, ok); err != nil {
			d.forgetStranger(domain)
			return false, err
		}
	}
	return d.keep(ctx, signed)
}

// takeHeir lets a descriptor under the heir's key wait for the pin to move, and judges.
func (d *directory) takeHeir(ctx context.Context, signed pki.SignedDescriptor) (changed bool, err error) {
	d.n.bench.await(signed)
	v, err := d.n.bench.settle(ctx, signed.Domain)
	return v.Key == signed.CA.Fingerprint(), err
}

// introduce judges the first descriptor of a domain of which nothing is pinned, or one under
// another key than it had so far: DNS is asked, and whoever hands it on cannot make it up.
func (d *directory) introduce(ctx context.Context, signed pki.SignedDescriptor, known bool) error {
	if !known && d.full() {
		return store.ErrFull
	}
	_, failed := d.n.lookDNS(ctx, signed.Domain)
	v := d.n.judge(ctx, signed.Domain)
	switch {
	case v.Key == signed.CA.Fingerprint():
		return nil
	case failed != nil:
		return failed
	}
	return d.n.contested(ctx, signed.Domain, signed.CA.Fingerprint())
}

// keep stores a descriptor that was judged, and then pins its key if it is to be. An older
// descriptor of that key than we have changes nothing.
func (d *directory) keep(ctx context.Context, signed pki.SignedDescriptor) (changed bool, err error) {
	known, ok := d.find(signed.Domain)
	if ok && known.ca.Fingerprint() != signed.CA.Fingerprint() {
		if err := d.replace(ctx, signed); err != nil {
			return false, err
		}
	} else {
		changed, err := d.n.store.PutServer(ctx, serverOf(signed))
		if errors.Is(err, store.ErrOldSerial) {
			return false, nil
		}
		if err != nil || !changed {
			return changed, err
		}
		d.know(signed)
	}
	if !ok { // from now on what is seen of it is kept
		_, err := d.n.beliefs.see(ctx, d.n.store, signed.Domain, func(s *store.Sighting) bool { return !s.DNSAt.IsZero() })
		if err != nil {
			return true, err
		}
		d.n.sayAnew()
		if err := d.n.refollow(ctx); err != nil {
			return true, err
		}
	}
	if _, err := d.n.bench.settle(ctx, signed.Domain); err != nil {
		return true, err
	}
	return true, d.n.bench.learn(ctx, signed)
}

// replace puts a descriptor in the place of one under another key. What that key said of
// others is forgotten: the new one says it anew.
func (d *directory) replace(ctx context.Context, signed pki.SignedDescriptor) error {
	if err := d.n.store.ReplaceServer(ctx, serverOf(signed)); err != nil {
		return err
	}
	d.know(signed)
	d.n.beliefs.unlook(signed.Domain)
	if err := d.n.store.DropStatement(ctx, uint8(pki.StatementView), signed.Domain.String(), [32]byte{}); err != nil {
		return err
	}
	d.n.tell()
	return d.n.refollow(ctx)
}

func serverOf(signed pki.SignedDescriptor) store.Server {
	return store.Server{
		Domain: signed.Domain.String(), CA: signed.CA.Fingerprint(), Serial: signed.Serial,
		Descriptor: signed.Raw(), NotAfter: signed.Expires, Origin: store.Cache,
	}
}
