package node

import (
	"context"
	"errors"
	"fmt"
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
// peers', and those that its peers have. Each is signed by its domain; that the signing
// key is the domain's true one, DNS says at first sight and the pin from then on.
type directory struct {
	n     *Node
	pulls chan struct{} // has room for maxPulls: one for each that is under way
	pages chan struct{} // the same for maxPages

	mu    sync.Mutex // guards known; held for a map's access only
	known map[pki.Domain]known
}

// known is what the directory holds in memory of a domain: enough to see what is not new.
type known struct {
	ca     pki.CACert
	serial uint64
}

func openDirectory(ctx context.Context, n *Node) (*directory, error) {
	d := &directory{n: n, pulls: make(chan struct{}, maxPulls), pages: make(chan struct{}, maxPages), known: make(map[pki.Domain]known)}
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
	d.known[signed.Domain] = known{signed.CA, signed.Serial}
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
	signed, err := d.n.authority.SignDescriptor(fresh)
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
	}
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
	return fmt.Sprint(a.ServerKeys, a.Links, a.KeyServers) == fmt.Sprint(b.ServerKeys, b.Links, b.KeyServers)
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
	rows, err := d.n.store.ServersAfter(ctx, after.String(), session.MaxDescriptors)
	if err != nil {
		return session.Descriptors{}, err
	}
	page := session.Descriptors{Descriptors: make([][]byte, len(rows))}
	for i, row := range rows {
		page.Descriptors[i] = row.Descriptor
	}
	if len(rows) == session.MaxDescriptors {
		page.Last, err = pki.ParseDomain(rows[len(rows)-1].Domain)
	}
	return page, err
}

// discover finds a domain by DNS and its key server, and keeps its descriptor. A key other
// than the pinned one is a *pki.KeyChangedError, whichever of the two shows it.
func (d *directory) discover(ctx context.Context, domain pki.Domain) (pki.SignedDescriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	record, err := d.n.resolver.Lookup(ctx, domain)
	if err != nil {
		return pki.SignedDescriptor{}, err
	}
	if err := d.pinned(ctx, domain, record.Fingerprint); err != nil {
		return pki.SignedDescriptor{}, err
	}
	var failed error
	for _, address := range record.KeyServers {
		signed, err := d.n.client.Server(ctx, keyserver.Endpoint{Address: address, CA: record.Fingerprint}, domain)
		if err == nil {
			err = signed.CheckTime(time.Now())
		}
		if err == nil {
			_, err = d.keep(ctx, signed)
		}
		if err == nil {
			return signed, nil
		}
		failed = errors.Join(failed, err)
	}
	return pki.SignedDescriptor{}, fmt.Errorf("node: %s's key server: %w", domain, failed)
}

// pinned holds what a domain shows against its pin, if it has one already.
func (d *directory) pinned(ctx context.Context, domain pki.Domain, shown pki.Fingerprint) error {
	pinned, err := d.n.store.Pinned(ctx, pinDomain, domain.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return pki.CheckPin(pinned, shown, domain.String())
}

// take judges a descriptor that somebody else handed on. A domain never seen before is
// looked up in DNS: whoever hands it on cannot make it up.
func (d *directory) take(ctx context.Context, signed pki.SignedDescriptor) (changed bool, err error) {
	domain, shown := signed.Domain, signed.CA.Fingerprint()
	if domain == d.n.cfg.Domain {
		return false, nil
	}
	known, ok := d.find(domain)
	if ok {
		err = pki.CheckPin(known.ca.Fingerprint(), shown, domain.String())
		if err != nil || signed.Serial <= known.serial {
			return false, err
		}
	}
	if err := signed.CheckTime(time.Now()); err != nil {
		return false, err
	}
	if !ok {
		if d.full() { // before a pin is made that nobody can use
			return false, store.ErrFull
		}
		record, err := d.n.resolver.Lookup(ctx, domain)
		if err != nil {
			return false, err
		}
		if err := pki.CheckPin(record.Fingerprint, shown, domain.String()); err != nil {
			return false, err
		}
	}
	return d.keep(ctx, signed)
}

// keep stores a descriptor under its pin, which is made now if there is none: at first
// sight, and another key is refused ever after. An older descriptor than we have changes
// nothing.
func (d *directory) keep(ctx context.Context, signed pki.SignedDescriptor) (changed bool, err error) {
	domain, shown := signed.Domain.String(), signed.CA.Fingerprint()
	pinned, fresh, err := d.n.store.Pin(ctx, pinDomain, domain, shown)
	if err == nil && !fresh {
		err = pki.CheckPin(pinned, shown, domain)
	}
	if err != nil {
		return false, err
	}
	changed, err = d.n.store.PutServer(ctx, store.Server{
		Domain: domain, CA: shown, Serial: signed.Serial,
		Descriptor: signed.Raw(), NotAfter: signed.Expires, Origin: store.Cache,
	})
	if errors.Is(err, store.ErrOldSerial) {
		return false, nil
	}
	if changed {
		d.know(signed)
	}
	return changed, err
}
