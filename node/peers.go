package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	cryptorand "crypto/rand"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

const (
	firstRedial   = 200 * time.Millisecond
	longestRedial = 30 * time.Second
)

// peers are the domains that this node is federated with: those it countersigned.
type peers struct {
	n       *Node
	changed chan pki.Domain // was added or dropped

	mu     sync.Mutex // guards what follows; held for a map's access only
	cross  map[pki.Domain]pki.CrossCert
	former map[pki.Domain]pki.CrossCert // over keys that handed over while links under them go on
	hears  map[pki.Domain]string        // the name of our context that it hears, if that is not the first
}

func openPeers(ctx context.Context, n *Node) (*peers, error) {
	p := &peers{
		n: n, changed: make(chan pki.Domain),
		cross: make(map[pki.Domain]pki.CrossCert), former: make(map[pki.Domain]pki.CrossCert), hears: make(map[pki.Domain]string),
	}
	rows, err := n.store.Peers(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		cross, err := pki.ParseCrossCert(row.Given)
		if err != nil {
			return nil, fmt.Errorf("node: countersignature of %s: %w", row.Domain, err)
		}
		p.cross[cross.Domain()], p.hears[cross.Domain()] = cross, row.Context
		if err := p.openFormer(ctx, cross.Domain()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// openFormer finds the countersignature of the key that handed over to a peer's present one.
func (p *peers) openFormer(ctx context.Context, domain pki.Domain) error {
	pin, _ := p.n.beliefs.pin(domain)
	if len(pin.Former) == 0 {
		return nil
	}
	was := pin.Former[len(pin.Former)-1]
	if !p.n.handsOver(domain, was, pin.Key) {
		return nil
	}
	row, err := p.n.store.CertificateByFingerprint(ctx, was)
	if err != nil || row.Kind != store.KeyCross || row.Subject != domain.String() {
		return notFoundIsNil(err)
	}
	cross, err := pki.ParseCrossCert(row.Raw)
	if err == nil {
		p.former[domain] = cross
	}
	return err
}

// judge decides on the certificate that a node shows on a link: only a peer's is welcome.
func (p *peers) judge(leaf *x509.Certificate) error {
	_, err := p.identify(leaf)
	return err
}

// identify returns the peer whose certificate leaf is.
func (p *peers) identify(leaf *x509.Certificate) (pki.Domain, error) {
	domain, issuer, err := pki.LinkIssuer(leaf)
	if err != nil {
		return pki.Domain{}, err
	}
	cross, ok := p.crossOf(domain)
	if former, had := p.formerOf(domain); had && former.Fingerprint() == issuer {
		cross = former
	}
	switch {
	case !ok:
		return pki.Domain{}, fmt.Errorf("%s is no peer of %s", domain, p.n.cfg.Domain)
	case cross.Fingerprint() != issuer:
		p.n.watcher.doubt(domain)
		return pki.Domain{}, pki.CheckPin(cross.Fingerprint(), issuer, domain.String())
	}
	return p.n.authority().VerifyPeer(cross, leaf, time.Now())
}

func (p *peers) formerOf(domain pki.Domain) (pki.CrossCert, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cross, ok := p.former[domain]
	return cross, ok
}

func (p *peers) crossOf(domain pki.Domain) (pki.CrossCert, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cross, ok := p.cross[domain]
	return cross, ok
}

// add federates with domain: it is found by DNS and its key server, pinned if it is not,
// countersigned, and connected to as soon as it has done the same (row K3).
func (p *peers) add(ctx context.Context, domain pki.Domain) error {
	if domain == p.n.cfg.Domain {
		return fmt.Errorf("%w: %s is this node's own domain", ErrInput, domain)
	}
	descriptor, err := p.n.directory.enlist(ctx, domain)
	if err != nil {
		return err
	}
	if err := p.n.bench.adopt(ctx, descriptor); err != nil {
		return err
	}
	ca, listed := p.n.directory.authority(domain) // the one that is pinned, which a hand-over may not have reached yet
	if !listed {
		ca = descriptor.CA // another road brought it too, and is just writing it down
	}
	cross, err := p.n.authority().Countersign(cryptorand.Reader, time.Now(), ca)
	if err != nil {
		return fmt.Errorf("node: countersigning %s: %w", domain, err)
	}
	_, again := p.crossOf(domain)
	if err := p.keep(ctx, domain, ca, cross); err != nil {
		return err
	}
	if !again {
		p.n.note(ctx, domain, EventPeer, "it was added as a peer, and its key countersigned: "+ca.Fingerprint().String())
	}
	if err := p.n.loadView(ctx, domain); err != nil {
		return err
	}
	p.n.bench.again(p.n.directory.domains()...) // its word counts from now on
	p.n.sayAnew()
	return p.change(ctx, domain)
}

// change has run begin or end the link with domain.
func (p *peers) change(ctx context.Context, domain pki.Domain) error {
	select {
	case p.changed <- domain:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow countersigns a peer under the key that has followed its own. Links under the old one
// go on, and may come anew while its certificates last; unless the offline root had to name
// who follows.
func (p *peers) follow(ctx context.Context, domain pki.Domain, ca pki.CACert) error {
	old, ok := p.crossOf(domain)
	if !ok {
		return nil
	}
	cross, err := p.n.authority().Countersign(cryptorand.Reader, time.Now(), ca)
	if err != nil {
		return fmt.Errorf("node: countersigning %s: %w", domain, err)
	}
	lasts := p.n.handsOver(domain, old.Fingerprint(), ca.Fingerprint())
	p.mu.Lock()
	if delete(p.former, domain); lasts {
		p.former[domain] = old
	}
	p.mu.Unlock()
	if err := p.keep(ctx, domain, ca, cross); err != nil {
		return err
	}
	if !lasts {
		return p.endLink(ctx, domain)
	}
	return p.handOver(ctx, domain, cross)
}

// endLink ends the link with a domain, if there is one.
func (p *peers) endLink(ctx context.Context, domain pki.Domain) error {
	return p.n.loop.do(ctx, func(l *loop, _ time.Time) (mor.Output, bool) {
		if link := l.links[domain]; link != nil {
			link.end()
		}
		return mor.Output{}, false
	})
}

// handOver gives a peer that has a link its new countersignature; others get it with the next
// hello.
func (p *peers) handOver(ctx context.Context, domain pki.Domain, cross pki.CrossCert) error {
	return p.n.loop.do(ctx, func(l *loop, _ time.Time) (mor.Output, bool) {
		if link := l.links[domain]; link != nil {
			link.note("handing over a countersignature", link.send(peerMessage{Cross: &crossing{cross.DER()}}))
		}
		return mor.Output{}, false
	})
}

// drop ends the federation with domain: our countersignature is withdrawn, and its word counts
// no more.
func (p *peers) drop(ctx context.Context, domain pki.Domain) error {
	if _, ok := p.crossOf(domain); !ok {
		return fmt.Errorf("%w: %s is no peer", ErrInput, domain)
	}
	if err := p.n.store.DropPeer(ctx, domain.String()); err != nil {
		return err
	}
	p.mu.Lock()
	delete(p.cross, domain)
	delete(p.former, domain)
	delete(p.hears, domain)
	p.mu.Unlock()
	p.n.beliefs.unlook(domain)
	p.n.note(ctx, domain, EventPeer, "it was dropped as a peer, and the countersignature of its key withdrawn")
	p.n.bench.again(p.n.directory.domains()...)
	p.n.sayAnew()
	return errors.Join(p.endLink(ctx, domain), p.change(ctx, domain))
}

// countBut is how many peers there are, without that one.
func (p *peers) countBut(domain pki.Domain) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := len(p.cross)
	if _, ok := p.cross[domain]; ok {
		count--
	}
	return count
}

// renew countersigns anew those peers whose countersignature has a third of its life left, or
// is by another federation root than ours now, and has all of them judged again: there may be
// one whose new key has not been countersigned.
func (p *peers) renew(ctx context.Context, now time.Time) error {
	var failed error
	for domain, cross := range p.known() {
		p.n.bench.again(domain)
		if now.Before(cross.NotAfter().Add(-pki.CrossLifetime/3)) && p.n.authority().Countersigned(cross) {
			continue
		}
		failed = errors.Join(failed, p.countersign(ctx, domain, now))
	}
	return failed
}

func (p *peers) countersign(ctx context.Context, domain pki.Domain, now time.Time) error {
	row, err := p.n.store.Peer(ctx, domain.String())
	if err != nil {
		return err
	}
	ca, err := pki.ParseCACert(row.CA)
	if err != nil {
		return err
	}
	cross, err := p.n.authority().Countersign(cryptorand.Reader, now, ca)
	if err != nil {
		return fmt.Errorf("node: countersigning %s: %w", domain, err)
	}
	if err := p.keep(ctx, domain, ca, cross); err != nil {
		return err
	}
	return p.handOver(ctx, domain, cross)
}

// keep writes the countersignature down: in the key ring and on the key server in one
// transaction, and in the table of peers.
func (p *peers) keep(ctx context.Context, domain pki.Domain, ca pki.CACert, cross pki.CrossCert) error {
	if err := p.n.published.PublishCross(ctx, cross); err != nil {
		return fmt.Errorf("node: keeping the countersignature: %w", err)
	}
	row := store.Peer{Domain: domain.String(), CA: ca.DER(), Given: cross.DER(), Since: time.Now(), Context: p.context(domain)}
	if old, err := p.n.store.Peer(ctx, domain.String()); err == nil {
		row.Received, row.Since = old.Received, old.Since
	}
	if err := p.n.store.PutPeer(ctx, row); err != nil {
		return fmt.Errorf("node: keeping the peer: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cross[domain] = cross
	return nil
}

// received keeps the countersignature that a peer made for us.
func (p *peers) received(ctx context.Context, domain pki.Domain, der []byte) error {
	cross, err := pki.ParseCrossCert(der)
	if err != nil {
		return err
	}
	if cross.Fingerprint() != p.n.authority().CA().Fingerprint() || cross.Domain() != p.n.cfg.Domain {
		return errors.New("node: a countersignature of another key than ours")
	}
	if err := p.n.store.SetReceived(ctx, domain.String(), der); err != nil {
		return err
	}
	p.n.sayAnew()
	return nil
}

// run keeps a link with every peer whose part it is for us to dial. Of two nodes the one
// with the smaller domain dials, so that there is never a second link.
func (p *peers) run(ctx context.Context) error {
	var dialling sync.WaitGroup
	defer dialling.Wait()
	begun := make(map[pki.Domain]context.CancelFunc)
	defer func() {
		for _, end := range begun {
			end()
		}
	}()
	begin := func(domain pki.Domain) {
		_, peer := p.crossOf(domain)
		end, on := begun[domain]
		switch {
		case on && !peer:
			end()
			delete(begun, domain)
		case !on && peer && domain.String() > p.n.cfg.Domain.String():
			dials, end := context.WithCancel(ctx)
			begun[domain] = end
			dialling.Go(func() { p.keepLink(ctx, dials, domain) })
		}
	}
	for domain := range p.known() {
		begin(domain)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case domain := <-p.changed:
			begin(domain)
		}
	}
}

// known is a copy of the table of peers.
func (p *peers) known() map[pki.Domain]pki.CrossCert {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := make(map[pki.Domain]pki.CrossCert, len(p.cross))
	for domain, cross := range p.cross {
		copied[domain] = cross
	}
	return copied
}

// keepLink dials domain again and again, with growing pauses while it does not answer.
// Where it cannot be reached any more, DNS is asked where it has gone. It dials until dials
// ends; a link that is up then ends by itself.
func (p *peers) keepLink(ctx, dials context.Context, domain pki.Domain) {
	for pause := firstRedial; dials.Err() == nil; pause = min(2*pause, longestRedial) {
		begun := time.Now()
		conn, err := p.dial(dials, domain)
		if err == nil {
			p.n.servePeer(ctx, domain, conn)
		} else if !errors.Is(err, link.ErrRefused) && dials.Err() == nil {
			_, lost := p.n.directory.discover(dials, domain)
			err = errors.Join(err, lost)
		}
		if err != nil && dials.Err() == nil {
			p.n.log.Info("no link", "peer", domain, "again_in", pause, "err", err)
		}
		if time.Since(begun) > longestRedial { // it held for a while
			pause = firstRedial
		}
		wait(dials, pause/2+rand.N(pause))
	}
}

// dial connects to one of the addresses in domain's descriptor.
func (p *peers) dial(ctx context.Context, domain pki.Domain) (*link.Conn, error) {
	descriptor, err := p.n.directory.descriptor(ctx, domain)
	if err != nil {
		return nil, err
	}
	config := p.n.linkConfig()
	config.Judge = func(leaf *x509.Certificate) error {
		shown, err := p.identify(leaf)
		if err == nil && shown != domain {
			err = fmt.Errorf("%s answers where %s should", shown, domain)
		}
		return err
	}
	var failed error
	for _, address := range descriptor.Links {
		conn, err := link.Dial(ctx, config, address)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// wait passes time, or returns early when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
